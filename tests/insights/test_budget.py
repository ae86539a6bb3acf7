"""Hard caps: nothing passes them, and a run that is killed neither loses money nor spends twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from insights_company import DAY, LIMITS, MODEL, Analysis, Company
from servers import gemini as wire
from servers.gemini import GeminiServer
from servers.openai import OpenAiServer
from typer.testing import CliRunner

from analytics_assets.cli.main import app
from analytics_assets.insights.asking.budget import OVER_DAILY, OVER_MONTHLY, Budget, spent
from analytics_assets.insights.asking.configured import configured
from analytics_assets.insights.asking.stage_run import Limits
from analytics_assets.insights.conversations.facet_prompt import FACETS
from analytics_assets.insights.providers.pricing import price_of
from analytics_assets.settings import load_settings
from analytics_assets.store.database import Database

PRICE = price_of(MODEL, DAY)
assert PRICE is not None
# 600 fresh, 400 cached and 100 output tokens, as the loopback server bills every answer.
BILLED = 110
PEOPLE = 24


def people(company: Company, count: int = PEOPLE) -> None:
    for number in range(count):
        company.user(f"u{number:02}")
        company.says(f"u{number:02}", f"build thing {number:02}.")


def worst_case() -> int:
    budget = Budget(PRICE, 10**9, 10**9)
    return budget.worst_case(FACETS.request("U: build thing 00.", "0" * 64))


def within(daily: int = 10**9, monthly: int = 10**9, concurrency: int = 4) -> Limits:
    return Limits(**{**LIMITS, "concurrency": concurrency}, budget=Budget(PRICE, daily, monthly))


def test_the_caps_hold_and_the_next_day_goes_on(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    people(company)
    worst = worst_case()
    # Concurrent calls reserve at the same time: the cap counts what is open as spent.
    outcome = stages.read(limits=within(daily=worst + 9 * BILLED, concurrency=8))
    sent = len(gemini.requests)
    assert 1 <= sent <= 10
    assert sent * BILLED <= spent(company.conn).today <= worst + 9 * BILLED
    assert outcome.not_attempted == PEOPLE - sent
    assert "ANALYTICS_LLM_DAILY_BUDGET_USD" in outcome.missing[0]
    assert len(company.facets("model")) == sent
    # Who is not read for want of money is told by rules meanwhile.
    assert len(company.facets("rules")) == PEOPLE - sent

    company.conn.execute("update ops.llm_call set started_at = started_at - interval '1 day'")
    calls = company.rows("select count(*) from ops.llm_call where started_at >= "
                         "date_trunc('month', now(), 'UTC')")[0][0]  # fmt: skip
    outcome = stages.read(limits=within(daily=10**6, monthly=calls * BILLED + worst - 1))
    assert len(gemini.requests) == sent
    assert "ANALYTICS_LLM_MONTHLY_BUDGET_USD" in outcome.missing[0]
    outcome = stages.read(limits=within())
    assert outcome.complete
    assert len(gemini.requests) == PEOPLE
    assert not company.facets("rules")


def test_who_was_never_read_goes_first_where_money_is_short(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    people(company, 2)
    stages.read()
    for number in range(4):
        company.user(f"a{number}")
        company.says(f"a{number}", f"new thing {number}")
    company.says("u00", "more words")
    with gemini.fresh_log() as log:
        stages.read(limits=within(daily=2 * BILLED + worst_case() + 3 * BILLED, concurrency=1))
    assert len(log) <= 4
    assert all("new thing" in request.text for request in log)


def test_a_call_that_failed_gives_its_reserve_back_unless_it_may_have_been_billed(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    people(company, 2)
    gemini.faults += [wire.server_error(500, only="thing 00")] * 4
    stages.read(limits=within(concurrency=1))
    assert company.rows("select state, cost_micros from ops.llm_call order by call_id") == [
        ("failed", 0),
        ("done", BILLED),
    ]
    company.conn.execute("delete from ops.llm_call")
    company.says("u00", "again")
    release = threading.Event()
    gemini.faults += [wire.hang(release)] * 4
    stages.read(limits=within(concurrency=1), timeout=0.15)
    release.set()
    assert company.rows(
        "select state, error_class, cost_micros = reserved_micros from ops.llm_call"
    ) == [("failed", "timeout", True)]


def test_a_model_without_a_price_is_not_asked(company: Company, gemini: GeminiServer) -> None:
    keyed = {"gemini_api_key": "test-key", "gemini_base_url": gemini.url, "gemini_model": "mine"}
    model = configured(load_settings(start_day=DAY, **keyed))
    assert model.provider is None
    assert "ANALYTICS_LLM_INPUT_USD_PER_MILLION" in (model.why_none or "")
    model = configured(
        load_settings(
            start_day=DAY, llm_input_usd_per_million=2, llm_output_usd_per_million=4, **keyed
        )
    )
    assert model.limits.budget is not None
    assert model.limits.budget.price[:2] == (2, 4)
    assert configured(load_settings(start_day=DAY, llm_provider="none")).provider is None


def test_a_cap_names_the_period_it_is_for(company: Company) -> None:
    budget = Budget(PRICE, daily_micros=100, monthly_micros=150)
    assert budget.exceeded(company.conn, 100) is None
    assert budget.exceeded(company.conn, 101) == OVER_DAILY
    company.conn.execute(
        "insert into ops.llm_call (cache_key, stage, model, state, reserved_micros) "
        "values ('k', 's', 'm', 'reserved', 60)"
    )
    assert Budget(PRICE, 1000, 150).exceeded(company.conn, 91) == OVER_MONTHLY


KILLED_RUN = """
import os, sys
from datetime import UTC, date, datetime
from pathlib import Path
import httpx, psycopg
from analytics_assets.insights.asking.budget import Budget
from analytics_assets.insights.conversations.facets import read_conversations
from analytics_assets.insights.providers.openai_compatible import OpenAiCompatibleProvider
from analytics_assets.insights.providers.pricing import price_of
from analytics_assets.insights.asking.stage_run import Limits
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

host, port, name, superuser, secrets, url, key, cap = sys.argv[1:]
price = price_of("gemini-2.5-flash-lite", date(2026, 6, 1))
while sys.stdin.readline():
    child = os.fork()
    if child:
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)
        continue
    database = Database(host, int(port), name, superuser, Path(secrets))
    read_conversations(
        lambda: database.connect("analytics_pipeline"),
        Window.of_day(date(2026, 6, 1)),
        OpenAiCompatibleProvider(url, "small", key),
        datetime(2026, 6, 8, 6, tzinfo=UTC),
        Limits(100_000, 3, price=price, budget=Budget(price, int(cap), int(cap))),
    )
    os._exit(0)
"""


def test_killed_at_any_point_a_run_goes_on_without_spending_twice_or_past_the_cap(
    company: Company, database: Database
) -> None:
    people(company)
    # Enough for every question once, and for the few that each kill leaves open.
    cap = PEOPLE * BILLED + 20 * worst_case()
    with OpenAiServer() as server:
        command = [
            sys.executable, "-c", KILLED_RUN, database.host, str(database.port), database.name,
            database.superuser, str(database.secrets_dir), server.url, server.key, str(cap),
        ]  # fmt: skip
        forker = subprocess.Popen(
            command, cwd=Path(__file__).resolve().parents[2], env={**os.environ},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert forker.stdin is not None
        assert forker.stdout is not None
        with forker:
            for number, answers in enumerate((2, 0, 4, 3, 1, None)):
                forker.stdin.write("\n")
                pid = int(forker.stdout.readline())
                if answers is not None:
                    fatal = len(server.requests) + 1 + answers

                    def kill(fatal: int = fatal, pid: int = pid) -> None:
                        if len(server.requests) == fatal:
                            os.kill(pid, signal.SIGKILL)

                    if number % 2:
                        # From within the server: accepted and not answered.
                        server.on_request = kill
                    else:
                        # From without: before, between or after answers, as it happens.
                        server.wait_for(fatal)
                        os.kill(pid, signal.SIGKILL)
                assert forker.stdout.readline() == "gone\n"
                server.on_request = None
            requests = len(server.requests)
            forker.stdin.write("\n")
            forker.stdout.readline()
            assert forker.stdout.readline() == "gone\n"
            forker.stdin.close()

    assert len(company.facets("model")) == PEOPLE
    states = Counter(company.calls())
    assert states["done", None] == PEOPLE
    interrupted = states["failed", "interrupted"]
    assert set(states) == {("done", None), ("failed", "interrupted")}
    # Every request the server saw is in the ledger, and no answer that was kept was asked again.
    assert PEOPLE <= requests <= PEOPLE + interrupted
    assert interrupted <= 3 * 5
    assert requests * BILLED <= spent(company.conn).this_month <= cap
    assert len(server.requests) == requests


def test_costs_are_shown_by_day_and_by_call(
    company: Company,
    stages: Analysis,
    home: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people(company, 3)
    stages.read(limits=within())
    monkeypatch.setenv("ANALYTICS_HOME", str(home))
    monkeypatch.setenv("ANALYTICS_DATABASE_URL", database_url)
    monkeypatch.setenv("ANALYTICS_LLM_DAILY_BUDGET_USD", "2")
    told = json.loads(CliRunner().invoke(app, ["insights", "costs", "--json"]).stdout)
    assert told["budget"]["today"] == {"spent_usd": 3 * BILLED / 10**6, "cap_usd": 2.0}
    (day,) = told["days"]
    assert (day["stage"], day["model"], day["answered"]) == ("conversation_facets", MODEL, 3)
    assert (day["input_tokens"], day["cached_tokens"], day["cost_micros"]) == (3000, 1200, 330)
    told = json.loads(CliRunner().invoke(app, ["insights", "costs", "--calls", "--json"]).stdout)
    assert [call["price_version"] for call in told["calls"]] == ["list-2025-11"] * 3
    shown = CliRunner().invoke(app, ["insights", "costs"]).stdout
    assert "0.000330" in shown
    assert "today: 0.0003 of 2.00 US dollars" in shown
