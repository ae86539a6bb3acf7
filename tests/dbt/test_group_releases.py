"""What groups of users do, as it is released: only of those who agree, each person once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dbt_runs import DbtBuilder
from raw_rows import RawRows

from analytics_assets.privacy.period_keys import ensure_period_keys
from analytics_assets.store.database import Database

START, AFTER = date(2026, 6, 1), date(2026, 7, 1)
AS_OF = datetime(2026, 7, 8, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NOISE = 6
Released = dict[str, list[tuple[Any, ...]]]
_FACET = """
insert into insights.conversation_facets (
    day, conversation_id, user_id, task, topic, outcome, friction, sentiment, feature_request,
    summary, wish, user_messages, source, behind_since, text_digest, cache_key, model, prompt_version
)
select
    '2026-06-03', %(prefix)s || name || '-' || n, name, %(task)s, %(topic)s, 'unclear', %(friction)s, 3, 'none',
    '', '', 1, 'model', null, 'd', 'k', 'm', '1'
from unnest(%(names)s::text[]) as name, generate_series(1, %(each)s) as n
"""


@pytest.fixture(scope="module")
def released(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Released]:
    """One month: 40 debug, 30 plan; 60 more debug and do not count."""
    agreeing = {f"d{n}" for n in range(40)} | {f"p{n}" for n in range(30)}
    with module_database.connect("analytics_pipeline", autocommit=True) as pipeline:
        raw = RawRows(pipeline)
        account = {"valid_from": LONG_AGO, "insights_consent": True}
        raw.history("users", [{"user_id": user, **account} for user in sorted(agreeing)])
        late = datetime(2026, 7, 1, tzinfo=UTC)
        for n in range(20):
            raw.history(
                "users",
                [
                    # Agreed, and took it back after the month.
                    {"user_id": f"w{n}", **account, "valid_to": late},
                    {"user_id": f"w{n}", "valid_from": late, "insights_consent": False},
                    # Signed up the day before.
                    {"user_id": f"y{n}", **account, "signup_at": datetime(2026, 6, 2, tzinfo=UTC)},
                    # Other accounts of people who count already.
                    {"user_id": f"a{n}", **account, "subject": f"d{n}"},
                ],
            )
        talk(pipeline, [f"d{n}" for n in range(40)], "debugging", friction="error")
        talk(pipeline, [f"{kind}{n}" for kind in "wya" for n in range(20)], "debugging")
        # Of several topics a person's commonest counts.
        planning = [f"p{n}" for n in range(30)]
        talk(pipeline, planning, "planning", each=3)
        talk(pipeline, planning, "debugging", prefix="other-")
        pipeline.execute(
            "insert into insights.segments "
            "(user_id, month, segment, persona, conversations, active_days) "
            "select user_id, '2026-06-01', 'regular', 'debugging', 3, 3 from raw.users "
            "where user_id ~ '^[dwa]' group by user_id"
        )
        ensure_period_keys(pipeline, START, AS_OF, random.Random(3).randbytes)  # noqa: S311
        DbtBuilder(module_database, tmp_path_factory.mktemp("dbt")).build(
            START,
            AFTER,
            select="+use_cases +feature_requests +friction_points +personas",
            as_of=AS_OF,
            start_day=START,
            extra=("--resource-type", "model"),
        ).check()
        yield {
            table: pipeline.execute(
                f"select * from published.{table} where period_kind = 'month' order by 3, 4".encode()
            ).fetchall()
            for table in ("use_cases", "feature_requests", "friction_points", "personas")
        }


def talk(
    pipeline: psycopg.Connection[Any],
    names: list[str],
    topic: str,
    *,
    friction: str = "none",
    each: int = 1,
    prefix: str = "",
) -> None:
    pipeline.execute(
        _FACET,
        {"names": names, "topic": topic, "friction": friction, "each": each, "prefix": prefix,
         "task": "fix" if topic == "debugging" else "write"},
    )  # fmt: skip


def test_each_person_who_agrees_counts_once_for_what_they_mostly_did(released: Released) -> None:
    counts = {(row[2], row[3]): row[4] for row in released["use_cases"]}
    assert set(counts) == {("debugging", "fix"), ("planning", "write")}
    assert abs(counts["debugging", "fix"] - 40) <= NOISE
    assert abs(counts["planning", "write"] - 30) <= NOISE


def test_frictions_and_requests_count_those_who_had_one(released: Released) -> None:
    [(_, _, friction, topic, people)] = released["friction_points"]
    assert (friction, topic) == ("error", "debugging")
    assert abs(people - 40) <= NOISE
    assert released["feature_requests"] == []


def test_personas_leave_out_who_took_the_consent_back(released: Released) -> None:
    [(_, _, persona, segment, people)] = released["personas"]
    assert (persona, segment) == ("debugging", "regular")
    assert abs(people - 40) <= NOISE
