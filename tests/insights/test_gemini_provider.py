"""Every row of the failure matrix, made by a real server and read through the real SDK."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from insights_company import provider_of
from servers import gemini as wire
from servers.gemini import GeminiServer

from analytics_assets.insights.asking.asker import Asker, Reply
from analytics_assets.insights.asking.stage import CANARY
from analytics_assets.insights.providers.gemini import GeminiProvider
from analytics_assets.insights.providers.pacing import Pacer
from analytics_assets.insights.providers.protocol import Usage
from analytics_assets.insights.users.prompt import SYSTEM_PROMPT, USER_INSIGHT, UserInsight

# The SDK takes a reason it does not know, and warns.
SDK_WARNS_OF_NEW_REASONS = pytest.mark.filterwarnings("ignore:.* is not a valid:UserWarning")
QUESTION = USER_INSIGHT.request("U: build it", "0" * 64)


def ask(server: GeminiServer, **options: Any) -> Reply:
    """Put one question, as the analysis does."""
    return asyncio.run(_ask(provider_of(server, **options)))


def ask_with_faults(server: GeminiServer, faults: Sequence[Sequence[wire.Fault]]) -> list[Reply]:
    """Put one question for each group of faults, over one connection."""

    async def each() -> list[Reply]:
        provider = provider_of(server)
        asker = Asker(provider, Pacer(100_000, burst=10), backoff=0.01)
        replies = []
        try:
            for group in faults:
                server.faults[:] = group
                replies.append(await asker.ask(QUESTION))
        finally:
            await provider.aclose()
        return replies

    return asyncio.run(each())


async def _ask(provider: GeminiProvider) -> Reply:
    try:
        return await Asker(provider, Pacer(100_000, burst=10), backoff=0.01).ask(QUESTION)
    finally:
        await provider.aclose()


def test_the_request_is_what_the_wire_format_says(gemini: GeminiServer) -> None:
    reply = ask(gemini)
    (request,) = gemini.requests
    assert request.path == "/v1beta/models/gemini-2.5-flash-lite:generateContent"
    assert request.headers["x-goog-api-key"] == "test-key"
    assert request.body["systemInstruction"]["parts"] == [{"text": SYSTEM_PROMPT}]
    config = request.body["generationConfig"]
    assert config["temperature"] == 0.0
    assert config["seed"] == 7
    assert config["responseMimeType"] == "application/json"
    schema = config["responseSchema"]
    assert schema["required"][0] == "goals"
    assert schema["properties"]["outcome"]["enum"][0] == "achieved"
    assert "tools" not in request.body
    assert reply.state == "done"
    assert reply.usage == Usage(input=1000, output=100, cached=400)


def test_a_server_error_is_retried_and_then_answered(gemini: GeminiServer) -> None:
    faults = [[wire.server_error(status)] * 3 for status in (408, 500, 502, 503, 504)]
    assert [reply.state for reply in ask_with_faults(gemini, faults)] == ["done"] * 5
    assert len(gemini.requests) == 5 * 4


def test_a_server_that_stays_down_is_a_transient_failure(gemini: GeminiServer) -> None:
    gemini.faults += [wire.server_error(500)] * 4
    reply = ask(gemini)
    assert (reply.state, reply.error_class) == ("failed", "http_500")
    assert len(gemini.requests) == 4


def test_a_rate_limit_without_a_delay_backs_off_and_gives_up_after_four_tries(
    gemini: GeminiServer,
) -> None:
    gemini.faults += [wire.rate_limited(None)] * 4
    reply = ask(gemini)
    assert (reply.state, reply.error_class) == ("failed", "rate_limited")
    assert len(gemini.requests) == 4


def test_a_server_that_does_not_answer_in_time_is_asked_again(gemini: GeminiServer) -> None:
    release = threading.Event()
    gemini.faults += [wire.hang(release)]
    assert ask(gemini, timeout=0.5).state == "done"
    before = len(gemini.requests)
    assert before >= 2
    gemini.faults += [wire.hang(release)] * 4
    reply = ask(gemini, timeout=0.2)
    release.set()
    assert (reply.state, reply.error_class) == ("failed", "timeout")
    assert len(gemini.requests) == before + 4


def test_an_unreachable_server_is_a_transient_failure(gemini: GeminiServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    reply = ask(gemini, base_url=f"http://127.0.0.1:{port}")
    assert (reply.state, reply.error_class) == ("failed", "unreachable")


def test_a_wrong_configuration_is_told_by_its_setting_and_not_retried(
    gemini: GeminiServer,
) -> None:
    wrong = {
        (400, "INVALID_ARGUMENT"): "ANALYTICS_GEMINI_API_KEY",
        (401, "UNAUTHENTICATED"): "ANALYTICS_GEMINI_API_KEY",
        (403, "PERMISSION_DENIED"): "ANALYTICS_GEMINI_API_KEY",
        (404, "NOT_FOUND"): "ANALYTICS_GEMINI_MODEL",
    }
    replies = ask_with_faults(gemini, [[wire.refused(*answer)] for answer in wrong])
    for ((status, _), setting), reply in zip(wrong.items(), replies, strict=True):
        assert (reply.state, reply.error_class) == ("failed", f"http_{status}")
        assert reply.advice is not None
        assert setting in reply.advice
        assert "told by the server" not in reply.advice
    assert len(gemini.requests) == len(wrong)


@pytest.mark.parametrize(
    "options", [{"base_url": "ftp://127.0.0.1"}, {"base_url": "nonsense"}, {"api_key": "clé"}]
)
def test_a_senseless_setting_is_a_wrong_configuration(
    gemini: GeminiServer, options: dict[str, str]
) -> None:
    reply = ask(gemini, **options)
    assert reply.state == "failed"
    assert reply.advice is not None
    assert "ANALYTICS_GEMINI_" in reply.advice


REFUSED = [
    (wire.blocked_prompt("SAFETY"), "blocked_safety"),
    (wire.blocked_prompt("PROHIBITED_CONTENT"), "blocked_prohibited_content"),
    (wire.blocked_prompt("A_NEW_REASON"), "blocked_a_new_reason"),
    (wire.finished("SAFETY"), "finish_safety"),
    (wire.finished("RECITATION", "{"), "finish_recitation"),
    (wire.finished("SPII"), "finish_spii"),
]


@SDK_WARNS_OF_NEW_REASONS
def test_a_refusal_is_poison_at_once(gemini: GeminiServer) -> None:
    replies = ask_with_faults(gemini, [[fault] for fault, _ in REFUSED])
    assert [(reply.state, reply.error_class) for reply in replies] == [
        ("poison", error_class) for _, error_class in REFUSED
    ]
    assert len(gemini.requests) == len(REFUSED)
    assert all(reply.usage.input == 1000 for reply in replies)


UNUSABLE = [
    (wire.finished("MAX_TOKENS", '{"goals": ["bu'), "finish_max_tokens"),
    (wire.finished("OTHER"), "finish_other"),
    (wire.finished("SOMETHING_NEW", "{}"), "finish_something_new"),
    (wire.finished("STOP"), "no_answer"),
    (wire.answered("I cannot do that."), "bad_json"),
    (wire.answered('{"goals": ["build"]'), "bad_json"),
    (wire.answered("[]"), "bad_json"),
    (wire.answered("{}"), "bad_value"),
    (wire.answered('{"goals": ["conquer"], "outcome": "achieved"}'), "bad_value"),
    (wire.answered(f'{{"summary": "{CANARY}"}}'), "instructions_leaked"),
]


@SDK_WARNS_OF_NEW_REASONS
def test_an_unusable_answer_is_repaired_once(gemini: GeminiServer) -> None:
    replies = ask_with_faults(gemini, [[fault] for fault, _ in UNUSABLE])
    assert [reply.state for reply in replies] == ["done"] * len(UNUSABLE)
    assert len(gemini.requests) == 2 * len(UNUSABLE)
    for first, second in zip(gemini.requests[::2], gemini.requests[1::2], strict=True):
        assert second.text.startswith(first.text)
        assert "could not be used" in second.text
    assert all(reply.usage.input == 2000 for reply in replies)


@SDK_WARNS_OF_NEW_REASONS
def test_an_answer_that_stays_unusable_is_poison(gemini: GeminiServer) -> None:
    replies = ask_with_faults(gemini, [[fault, fault] for fault, _ in UNUSABLE])
    assert [(reply.state, reply.error_class) for reply in replies] == [
        ("poison", error_class) for _, error_class in UNUSABLE
    ]
    assert len(gemini.requests) == 2 * len(UNUSABLE)


def test_an_answer_that_was_cut_gets_twice_the_room(gemini: GeminiServer) -> None:
    gemini.faults += [wire.finished("MAX_TOKENS", "{")]
    ask(gemini)
    first, second = (r.body["generationConfig"]["maxOutputTokens"] for r in gemini.requests)
    assert second == 2 * first


def test_a_page_instead_of_json_is_tried_twice(gemini: GeminiServer) -> None:
    gemini.faults += [wire.html()]
    assert ask(gemini).state == "done"
    gemini.faults += [wire.html(), wire.html(), wire.html()]
    reply = ask(gemini)
    assert (reply.state, reply.error_class) == ("failed", "unreadable_answer")
    assert len(gemini.requests) == 2 + 2


def test_free_text_too_long_is_cut_not_paid_for_again(gemini: GeminiServer) -> None:
    gemini.rule = lambda _: wire.insight(summary="word " * 200)
    reply = ask(gemini)
    assert isinstance(reply.answer, UserInsight)
    assert len(reply.answer.summary) <= 280
    assert len(gemini.requests) == 1


def test_secrets_of_the_provider_are_not_in_its_representation() -> None:
    assert "s3cr3t" not in repr(GeminiProvider(api_key="s3cr3t", model="m"))


def test_importing_the_insights_loads_no_sdk() -> None:
    code = (
        "import sys; import analytics_assets.insights.users.analysis, "
        "analytics_assets.insights.providers.gemini, "
        "analytics_assets.insights.summary.daily_summary; "
        "print([m for m in sys.modules if m.startswith(('google.genai', 'httpx', 'dagster'))])"
    )
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert found.stdout.strip() == "[]"


def test_a_pause_for_one_call_holds_all(gemini: GeminiServer) -> None:
    gemini.faults += [wire.rate_limited("0.5s")]

    async def two() -> None:
        provider = provider_of(gemini)
        asker = Asker(provider, Pacer(100_000, burst=10))
        try:
            first = asyncio.create_task(asker.ask(QUESTION))
            await asyncio.to_thread(gemini.wait_for, 1)
            # The refusal is read when its waiter is back in the queue of the pacer.
            while not asker.pacer.is_paused:  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0)
            await asker.pacer.acquire()
            await asker.ask(QUESTION)
            await first
        finally:
            await provider.aclose()

    started = time.monotonic()
    asyncio.run(two())
    assert time.monotonic() - started >= 0.5
    assert min(r.at for r in gemini.requests[1:]) - gemini.requests[0].at >= 0.5
