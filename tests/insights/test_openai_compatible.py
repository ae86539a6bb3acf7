"""A model of one's own behind OpenAI's wire format: each way a call can end, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from insights_company import DAY, NOW, Company
from servers.openai import OpenAiServer, Scripted, completion

from analytics_assets.insights.asking.asker import Asker, Reply
from analytics_assets.insights.asking.configured import configured
from analytics_assets.insights.conversations.facet_prompt import FACETS
from analytics_assets.insights.conversations.facets import read_window
from analytics_assets.insights.providers.openai_compatible import OpenAiCompatibleProvider
from analytics_assets.insights.providers.pacing import Pacer
from analytics_assets.insights.providers.protocol import Usage
from analytics_assets.settings import load_settings
from analytics_assets.windows import Window

QUESTION = FACETS.request("U: build it", "0" * 64)


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer() as running:
        yield running


def ask(server: OpenAiServer, *groups: Sequence[Scripted], **options: Any) -> list[Reply]:
    """Put a question for each group of scripted answers, over one connection."""

    async def each() -> list[Reply]:
        provider = OpenAiCompatibleProvider(
            **{"base_url": server.url, "model": "small", "api_key": server.key, **options}
        )
        asker = Asker(provider, Pacer(100_000, burst=10), backoff=0.01)
        replies = []
        try:
            for group in groups:
                server.script[:] = group
                replies.append(await asker.ask(QUESTION))
        finally:
            await provider.aclose()
        return replies

    return asyncio.run(each())


def test_the_request_is_what_the_wire_format_says(server: OpenAiServer) -> None:
    (reply,) = ask(server, [])
    (request,) = server.requests
    assert request["path"] == "/v1/chat/completions"
    assert [m["role"] for m in request["messages"]] == ["system", "user"]
    assert request["messages"][0]["content"] == FACETS.system
    assert (request["temperature"], request["seed"], request["max_tokens"]) == (0.0, 7, 512)
    schema = request["response_format"]["json_schema"]
    assert schema["strict"]
    assert "task" in schema["schema"]["required"]
    assert "tools" not in request
    assert reply.state == "done"
    assert reply.usage == Usage(input=1000, output=100, cached=400)


def test_each_way_a_call_can_end_is_told_apart(server: OpenAiServer) -> None:
    good = completion(json.dumps({}))
    ways: list[tuple[list[Scripted], tuple[str, str | None, bool], int]] = [
        ([Scripted(503)] * 3, ("done", None, False), 4),
        ([Scripted(500)] * 4, ("failed", "http_500", False), 4),
        ([Scripted(429, headers=(("Retry-After", "0"),))], ("done", None, False), 2),
        ([Scripted(body="<html>")], ("done", None, False), 2),
        ([Scripted(body="<html>")] * 2, ("failed", "unreadable_answer", True), 2),
        ([Scripted(body='{"choices": []}')] * 2, ("failed", "unreadable_answer", True), 2),
        ([completion(None, "content_filter")], ("poison", "finish_content_filter", False), 1),
        ([completion(None, refusal="I will not")], ("poison", "refused", False), 1),
        ([completion('{"task', "length")], ("done", None, False), 2),
        ([completion("")] * 2, ("poison", "no_answer", False), 2),
        ([good, good], ("poison", "bad_value", False), 2),
        ([Scripted(404)], ("failed", "http_404", False), 1),
        ([Scripted(401)], ("failed", "http_401", False), 1),
        ([Scripted(302, headers=(("Location", "http://192.0.2.1/"),))],
         ("failed", "http_302", False), 1),
    ]  # fmt: skip
    for script, expected, requests in ways:
        server.requests.clear()
        (reply,) = ask(server, script)
        assert (reply.state, reply.error_class, reply.maybe_billed) == expected
        assert len(server.requests) == requests, expected
        assert (reply.advice is not None) == (expected[1] in ("http_404", "http_401", "http_302"))


def test_a_server_that_is_not_there_or_does_not_answer_is_a_transient_failure(
    server: OpenAiServer,
) -> None:
    release = threading.Event()
    (reply,) = ask(server, [Scripted(hang=release)] * 2, timeout=0.1)
    release.set()
    assert (reply.error_class, reply.maybe_billed) == ("timeout", True)
    (reply,) = ask(server, [], base_url="http://127.0.0.1:9/v1")
    assert (reply.error_class, reply.maybe_billed) == ("unreachable", False)
    for wrong in ({"base_url": "ftp://127.0.0.1"}, {"base_url": "nonsense"}, {"api_key": "clé"}):
        (reply,) = ask(server, [], **wrong)
        assert reply.state == "failed"
        assert "ANALYTICS_LLM_" in (reply.advice or "")


def test_settings_choose_it_and_its_answers_are_kept(
    company: Company, server: OpenAiServer
) -> None:
    company.user("u1", name="Zorbulon Quixley")
    company.says("u1", "Quixley here: it fails with an error")
    own = {"as_of": NOW, "start_day": DAY, "llm_provider": "openai_compatible"}
    without = configured(load_settings(**own))
    assert "ANALYTICS_LLM_BASE_URL" in (without.why_none or "")
    settings = load_settings(
        **own, llm_base_url=server.url, llm_model="small", llm_api_key=server.key,
        llm_input_usd_per_million=0, llm_output_usd_per_million=0,
    )  # fmt: skip
    outcome = read_window(company.database, Window.of_day(DAY), settings)
    assert outcome.complete
    row = company.facets()["u1", DAY]
    assert (row["source"], row["model"], row["friction"]) == ("model", "small", "error")
    assert "quixley" not in server.requests[0]["raw"].lower()
    read_window(company.database, Window.of_day(DAY), settings)
    assert len(server.requests) == 1
    assert company.rows("select cost_micros, price_version from ops.llm_call") == [(0, "settings")]
