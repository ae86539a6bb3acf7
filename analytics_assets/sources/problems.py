"""What the load would say of records, asked before they are in the inbox.

Belongs here: the load's own checks as one query over JSON texts. Does not: any check of its own.
Invariant: a record without a problem here is loaded, unless the catalogue or the clock changes
meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from psycopg import sql

from analytics_assets.events.sql_text import first_true
from analytics_assets.events.validation import problem_expression
from analytics_assets.sources.contract import Contract
from analytics_assets.sources.inbox import payload_columns
from analytics_assets.sources.record_checks import moment_column, record_problem
from analytics_assets.sources.stage_events import shape_checks
from analytics_assets.sources.staging import LoadRules

# Stands for the latest time allowed while the query is written down: a query whose text never
# changes is planned once, which takes longer than running it.
_LATEST: Final = datetime(2999, 12, 31, 23, 59, 58, tzinfo=UTC)
# Why Postgres cannot store a JSON text, by SQLSTATE.
REFUSALS: Final = {
    "22P05": ("nul_byte", "the record holds \\u0000, which Postgres cannot store; remove it"),
    "22021": (
        "nul_byte",
        "the record holds a NUL character, which Postgres cannot store; remove it",
    ),
    "22P02": ("invalid_json", "a JSON value is not as the standard has it, such as NaN; mend it"),
    "54001": ("too_deep", "the record is nested too deeply; send flat properties"),
    "22003": ("out_of_range", "a number has too many digits; send fewer"),
}
REFUSED: Final = ("unstorable", "Postgres cannot store a value of the record")


def problem_query(contract: Contract, rules: LoadRules) -> bytes:
    """SQL that gives the number (from 1) and ``code|message`` of each bad record.

    Its parameters are ``records``, a list of JSON texts, and ``latest``, the latest time allowed
    (``rules.now`` is not looked at). Raises a DataError when it is run on a text that Postgres
    cannot store.
    """
    timeless = replace(rules, now=_LATEST - rules.clock_skew)
    columns = payload_columns(contract)
    if contract.record == "event":
        problem = _event_problem(timeless)
    else:
        problem = record_problem(contract, timeless)
    query = sql.SQL(_QUERY).format(
        columns=sql.SQL(", ").join(
            sql.SQL("{} as {}").format(value, sql.Identifier(name))
            for name, value in columns.items()
        ),
        parsed=sql.SQL(", ").join(_parsed(contract)),
        problem=problem,
    )
    return query.as_bytes(None).replace(
        sql.Literal(_LATEST).as_bytes(None), b"%(latest)s::timestamptz"
    )


def _parsed(contract: Contract) -> list[sql.Composable]:
    if contract.record == "event":
        return [
            sql.SQL("staged.event_id as event_id_text"),
            sql.SQL('staged."timestamp" as ts_text'),
            sql.SQL('ops.try_timestamptz(staged."timestamp") as ts'),
        ]
    return [
        sql.SQL("ops.try_timestamptz({}) as {}").format(
            sql.Identifier("staged", column.name), sql.Identifier(moment_column(column.name))
        )
        for column in contract.columns
        if column.kind == "moment"
    ]


def _event_problem(rules: LoadRules) -> sql.Composable:
    return sql.SQL("case when s.problem is not null then s.problem else {} end").format(
        first_true(shape_checks(), otherwise=problem_expression(rules.catalogue, rules.envelope))
    )


_QUERY: Final = """
with given as (
    select number, record::jsonb as payload
    from unnest(%(records)s::text[]) with ordinality as g (record, number)
    offset 0
),

staged as (
    select number, {columns}
    from given
    offset 0
),

parsed as (
    select staged.*, {parsed}
    from staged
    offset 0
),

judged as (
    select s.number, {problem} as problem
    from parsed as s
    offset 0
)

select number, problem
from judged
where problem is not null
order by number
"""
