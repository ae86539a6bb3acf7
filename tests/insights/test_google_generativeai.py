"""Gemini through the old SDK: the real package, in an environment of its own, against a server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from insights_company import DAY, MODEL, NOW, Company
from outbound import USERS, plant, told
from servers import gemini as wire
from servers.gemini import GeminiServer

from analytics_assets.insights.asking.asker import Asker, Reply
from analytics_assets.insights.asking.configured import configured
from analytics_assets.insights.conversations.facet_prompt import FACETS, Facets
from analytics_assets.insights.conversations.facets import read_window
from analytics_assets.insights.providers.google_generativeai import GoogleGenerativeAiProvider
from analytics_assets.insights.providers.google_generativeai_setup import SetupFailed, install
from analytics_assets.insights.providers.pacing import Pacer
from analytics_assets.insights.providers.protocol import Usage
from analytics_assets.settings import lean_environment, load_settings
from analytics_assets.windows import Window

QUESTION = FACETS.request("U: build it", "0" * 64)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the environment in it, made as the command makes it."""
    folder = tmp_path_factory.mktemp("home")
    try:
        install(folder)
    except SetupFailed as error:
        pytest.skip(f"NOT TESTED: google-generativeai ({error})")
    return folder


@pytest.fixture
def python(home: Path) -> Path:
    return home / "google-generativeai" / "bin" / "python"


@pytest.fixture(scope="module")
def replies(home: Path) -> Iterator[dict[str, Any]]:
    """Each way a question can end, over one worker."""
    told: dict[str, Any] = {}
    with GeminiServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANALYTICS_DATABASE_URL", "postgresql://secret")
        groups: dict[str, Sequence[wire.Fault]] = {
            "answered": [],
            "server down": [wire.server_error(503)] * 4,
            "server back": [wire.server_error(500)] * 3,
            "rate limited": [wire.rate_limited("0.01s")],
            "wrong key": [wire.refused(403, "PERMISSION_DENIED")],
            "no such model": [wire.refused(404, "NOT_FOUND")],
            "bad request": [wire.refused(400, "INVALID_ARGUMENT")],
            "blocked": [wire.blocked_prompt("SAFETY")],
            "recited": [wire.finished("RECITATION", "{")],
            "cut": [wire.finished("MAX_TOKENS", "{")],
            "empty": [wire.finished("STOP")],
            "not json": [wire.answered("I cannot do that.")],
            "wrong value": [wire.answered('{"task": "conquer"}')] * 2,
            "page": [wire.html()],
        }

        async def each() -> None:
            provider = GoogleGenerativeAiProvider(
                home / "google-generativeai" / "bin" / "python",
                server.key,
                MODEL,
                lean_environment(),
                server.url,
                timeout=10,
            )
            asker = Asker(provider, Pacer(100_000, burst=10), backoff=0.01)
            try:
                for name, faults in groups.items():
                    server.faults[:] = faults
                    before = len(server.requests)
                    reply = await asker.ask(QUESTION)
                    asker.breaker.succeeded()
                    told[name] = (reply, len(server.requests) - before)
                process = provider._process
                assert process is not None
                told["command line"] = proc(process.pid, "cmdline")
                told["environment"] = proc(process.pid, "environ")
            finally:
                await provider.aclose()

        asyncio.run(each())
        told["requests"] = server.requests
        yield told


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def reply_of(replies: dict[str, Any], name: str) -> tuple[str, str | None, int]:
    reply, requests = replies[name]
    return reply.state, reply.error_class, requests


def test_the_old_sdk_sends_the_same_question_and_its_answer_is_validated(
    replies: dict[str, Any],
) -> None:
    reply: Reply = replies["answered"][0]
    assert reply.state == "done"
    assert isinstance(reply.answer, Facets)
    assert reply.usage == Usage(input=1000, output=100, cached=400)
    request = replies["requests"][0]
    assert request.path.startswith(f"/v1beta/models/{MODEL}:generateContent")
    assert request.headers["x-goog-api-key"] == "test-key"
    assert request.text == QUESTION.text
    assert request.body["systemInstruction"]["parts"] == [{"text": QUESTION.system}]
    schema = request.body["generationConfig"]["responseSchema"]
    assert schema["required"] == list(Facets.model_fields)
    assert schema["properties"]["outcome"]["enum"][0] == "achieved"


def test_every_failure_of_the_old_sdk_means_what_it_means_for_the_new_one(
    replies: dict[str, Any],
) -> None:
    expected = {
        "server down": ("failed", "http_503", 4),
        "server back": ("done", None, 4),
        "rate limited": ("done", None, 2),
        "wrong key": ("failed", "http_403", 1),
        "no such model": ("failed", "http_404", 1),
        "bad request": ("failed", "http_400", 1),
        "blocked": ("poison", "blocked_safety", 1),
        "recited": ("poison", "finish_recitation", 1),
        "cut": ("done", None, 2),
        "empty": ("done", None, 2),
        "not json": ("done", None, 2),
        "wrong value": ("poison", "bad_value", 2),
        "page": ("done", None, 2),
    }
    assert {name: reply_of(replies, name) for name in expected} == expected
    assert "ANALYTICS_GEMINI_API_KEY" in replies["wrong key"][0].advice


def test_the_key_is_in_the_childs_environment_and_nothing_else_of_the_platform(
    replies: dict[str, Any],
) -> None:
    assert "test-key" not in replies["command line"]
    assert "GOOGLE_API_KEY=test-key" in replies["environment"]
    assert "ANALYTICS_" not in replies["environment"]


def test_the_environment_is_apart_from_the_platforms(python: Path) -> None:
    code = "import google.protobuf as p; print(p.__version__)"
    theirs = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(theirs.split(".")[0]) < 6
    gone = subprocess.run(
        [sys.executable, "-c", "import google.generativeai"], capture_output=True, check=False
    )
    assert gone.returncode != 0


def test_a_worker_that_dies_is_started_again_and_its_question_may_have_been_billed(
    python: Path, gemini: GeminiServer
) -> None:
    async def twice() -> list[Reply]:
        provider = GoogleGenerativeAiProvider(
            python, gemini.key, MODEL, lean_environment(), gemini.url, timeout=10
        )
        asker = Asker(provider, Pacer(100_000, burst=10), backoff=0.01)
        gemini.on_request = lambda _: os.kill(provider._process.pid, 9)  # type: ignore[union-attr]
        try:
            first = await asker.ask(QUESTION)
            gemini.on_request = None
            return [first, await asker.ask(QUESTION)]
        finally:
            await provider.aclose()

    first, second = asyncio.run(twice())
    assert (first.state, first.error_class, first.maybe_billed) == ("failed", "worker_lost", True)
    assert second.state == "done"


def test_a_python_without_the_package_is_a_wrong_configuration(gemini: GeminiServer) -> None:
    async def ask(python: Path) -> Reply:
        provider = GoogleGenerativeAiProvider(python, "k", MODEL, lean_environment(), gemini.url)
        try:
            return await Asker(provider, Pacer(100_000)).ask(QUESTION)
        finally:
            await provider.aclose()

    for wrong in (Path("/nowhere/python"), Path(sys.executable)):
        reply = asyncio.run(ask(wrong))
        assert (reply.state, reply.error_class) == ("failed", "no_environment")
        assert "install-google-generativeai" in str(reply.advice)


def test_the_settings_choose_it_and_its_requests_name_nobody(
    company: Company, gemini: GeminiServer, home: Path
) -> None:
    planted = plant(company)
    settings = load_settings(
        as_of=NOW, start_day=DAY, home=home, llm_provider="google_generativeai",
        gemini_api_key=gemini.key, gemini_base_url=gemini.url, scrub_ner="off",
        llm_requests_per_minute=100_000,
    )  # fmt: skip
    outcome = read_window(company.database, Window.of_day(DAY), settings)
    assert (outcome.analysed, outcome.complete) == (USERS, True)
    bodies = [json.dumps(json.loads(r.raw), ensure_ascii=False) for r in gemini.requests]
    assert len(bodies) == USERS
    assert told(planted, bodies) == set()
    elsewhere = load_settings(
        start_day=DAY, home=home / "none", llm_provider="google_generativeai", gemini_api_key="k"
    )
    assert "install-google-generativeai" in str(configured(elsewhere).why_none)
