"""What calls to models cost: read from the ledger, by day, by stage and model, or one by one.

Belongs here: reading ``ops.llm_call``. Does not: printing (cli/insights.py). Invariant: an open or
interrupted call counts with what was reserved for it, so that no sum is lower than the bill.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

_BY_DAY = """
select
    (started_at at time zone 'UTC')::date as day,
    stage,
    model,
    count(*) as questions,
    count(*) filter (where state = 'done') as answered,
    count(*) filter (where state in ('failed', 'poison')) as without_answer,
    coalesce(sum(input_tokens), 0)::bigint as input_tokens,
    coalesce(sum(cached_tokens), 0)::bigint as cached_tokens,
    coalesce(sum(output_tokens), 0)::bigint as output_tokens,
    coalesce(sum(coalesce(cost_micros, reserved_micros)), 0)::bigint as cost_micros
from ops.llm_call
where started_at >= clock_timestamp() - make_interval(days => %s)
group by 1, 2, 3
order by 1 desc, 2, 3
"""
_CALLS = """
select
    call_id, started_at, stage, model, state, attempt, input_tokens, cached_tokens, output_tokens,
    coalesce(cost_micros, reserved_micros) as cost_micros, price_version, error_class
from ops.llm_call
where started_at >= clock_timestamp() - make_interval(days => %s)
order by call_id desc
limit %s
"""


@dataclass(frozen=True)
class DayCosts:
    """Questions of one stage to one model on one UTC day; costs in millionths of a dollar."""

    day: date
    stage: str
    model: str
    questions: int
    answered: int
    without_answer: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_micros: int


@dataclass(frozen=True)
class Call:
    """One question; tokens are None while it is open."""

    call_id: int
    started_at: datetime
    stage: str
    model: str
    state: str
    attempt: int
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    cost_micros: int
    price_version: str | None
    error_class: str | None


def costs_by_day(conn: psycopg.Connection[Any], days: int) -> list[DayCosts]:
    """The last ``days`` days, the newest first."""
    with conn.cursor(row_factory=class_row(DayCosts)) as cursor:
        return cursor.execute(_BY_DAY, [days]).fetchall()


def calls(conn: psycopg.Connection[Any], days: int, limit: int) -> list[Call]:
    """Single questions of the last ``days`` days, the newest first."""
    with conn.cursor(row_factory=class_row(Call)) as cursor:
        return cursor.execute(_CALLS, [days, limit]).fetchall()
