"""What leaves: of thousands of planted identifiers, none is in any body sent to any model."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from insights_company import DAY, FAST, NOW, Company, provider_of
from outbound import USERS, plant, told
from servers.gemini import GeminiServer
from servers.openai import OpenAiServer
from test_gemini_batch import QUICK

from analytics_assets.insights.asking.stage_run import Limits
from analytics_assets.insights.conversations.facets import read_conversations
from analytics_assets.insights.providers.gemini_batch import GeminiBatchProvider
from analytics_assets.insights.providers.openai_compatible import OpenAiCompatibleProvider
from analytics_assets.insights.providers.protocol import Provider
from analytics_assets.windows import Window


@pytest.fixture
def openai() -> Iterator[OpenAiServer]:
    with OpenAiServer() as server:
        yield server


def read(company: Company, provider: Provider, limits: Limits = FAST) -> None:
    outcome = read_conversations(
        lambda: company.database.connect("analytics_pipeline"),
        Window.of_day(DAY),
        provider,
        NOW,
        limits,
    )
    assert outcome.analysed == USERS


def test_no_body_tells_what_was_planted_whoever_is_asked(
    company: Company, gemini: GeminiServer, openai: OpenAiServer
) -> None:
    planted = plant(company)
    assert len(planted) > 300
    read(company, provider_of(gemini))
    online = [request.raw for request in gemini.requests]
    read(company, OpenAiCompatibleProvider(openai.url, "small", openai.key))
    local = [str(request["raw"]) for request in openai.requests]
    company.conn.execute("truncate insights.conversation_facets")
    read(company, GeminiBatchProvider(gemini.key, "gemini-2.5-flash", gemini.url), QUICK)
    batched = [batch.raw for batch in gemini.batches]
    assert (len(online), len(local), len(batched)) == (USERS, USERS, 1)
    for bodies in (online, local, batched):
        texts = [json.dumps(json.loads(body), ensure_ascii=False) for body in bodies]
        assert told(planted, texts) == set()
        # The texts around them did leave.
        assert "dashboard yesterday" in "".join(texts)
    # And where nothing is masked, the scan finds it.
    said = [text for (text,) in company.rows("select content from raw.messages")]
    assert len(told(planted, said)) > 300
