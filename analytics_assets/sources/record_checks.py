"""What a valid conversation, message, job, user or server is, as SQL over staged text.

Belongs here: checks made from a contract, and casts that follow them. Does not: events, whose
checks come from the catalogue (events/). Invariant: no check can raise, no message holds a value,
and a column that passed its check can be cast.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Final

from psycopg import sql

from analytics_assets.events.envelope import JUNK_USER_IDS
from analytics_assets.events.sql_text import Check, first_true, problem, texts
from analytics_assets.sources.contract import NEVER_STORED, Column, Contract
from analytics_assets.sources.staging import LoadRules

# A B-tree entry has a limit, and these are indexed.
MAX_ID_BYTES: Final = 256
MAX_SHORT_BYTES: Final = 4_096
MAX_METADATA_BYTES: Final = 32 * 1024
_LONG: Final = "content"
_IDS: Final = ("user_id", "subject", "conversation_id")
_TRUE: Final = ("true", "t", "yes", "y", "1")
_FALSE: Final = ("false", "f", "no", "n", "0")
_NUMBER: Final = r"^-?[0-9]{1,18}([.][0-9]{1,12})?$"


def moment_column(name: str) -> str:
    """Name of the parsed form of a column of kind moment."""
    return f"{name}_at"


def record_problem(contract: Contract, rules: LoadRules) -> sql.Composable:
    """SQL of the first problem of a staged row ``s``, null where there is none.

    The row also has each moment column parsed, under ``moment_column`` of its name.
    """
    checks: list[Check] = []
    for column in contract.columns:
        checks.extend(_column_checks(contract, column))
    checks.extend(_time_checks(contract, rules))
    return sql.SQL("case when s.problem is not null then s.problem else {} end").format(
        first_true(checks, otherwise=sql.SQL("null::text"))
    )


def typed(column: Column) -> sql.Composable:  # noqa: PLR0911 (one for each kind)
    """A column of a checked row ``c`` as its type."""
    value = sql.Identifier("c", column.name)
    if column.kind == "moment":
        return sql.Identifier("c", moment_column(column.name))
    if column.kind == "number":
        return sql.SQL("{}::numeric").format(value)
    if column.kind == "flag":
        return sql.SQL("lower(btrim({})) in ({})").format(value, texts(_TRUE))
    if column.kind == "json":
        return sql.SQL("coalesce({}, '{{}}') - {}::text[]").format(
            value, sql.Literal(list(NEVER_STORED))
        )
    if column.values:
        return sql.SQL("lower(btrim({}))").format(value)
    if column.name == _LONG:
        return sql.SQL("coalesce({}, '')").format(value)
    if column.name == "subject":
        return sql.SQL("case when lower(btrim({0})) not in ({1}) then {0} end").format(
            value, texts(JUNK_USER_IDS)
        )
    return value


def _column_checks(contract: Contract, column: Column) -> list[Check]:
    value = sql.Identifier("s", column.name)
    name = column.name
    checks: list[Check] = []
    if column.required or (name == contract.id_column and contract.derives_ids):
        checks.append(
            (
                sql.SQL("coalesce({}, '') = ''").format(value),
                problem("missing_field", f"{name} is missing; every {contract.record} needs it"),
            )
        )
    if column.kind == "moment":
        checks.append(
            (
                sql.SQL("{} <> '' and {} is null").format(
                    value, sql.Identifier("s", moment_column(name))
                ),
                problem(
                    "invalid_timestamp",
                    f"{name} is no RFC 3339 time; send one such as 2026-01-31T12:34:56Z",
                ),
            )
        )
    elif column.kind == "number":
        checks.append(
            (
                sql.SQL("{} !~ {}").format(value, sql.Literal(_NUMBER)),
                problem("wrong_type", f"{name} must be a number"),
            )
        )
    elif column.kind == "flag":
        checks.append(
            (
                sql.SQL("lower(btrim({})) not in ({})").format(value, texts((*_TRUE, *_FALSE))),
                problem("wrong_type", f"{name} must be true or false"),
            )
        )
    elif column.kind == "json":
        checks += _json_checks(name, value)
    else:
        checks += _text_checks(contract, column, value)
    return checks


def _json_checks(name: str, value: sql.Composable) -> list[Check]:
    return [
        (
            sql.SQL("jsonb_typeof({}) <> 'object'").format(value),
            problem("not_an_object", f"{name} must be a JSON object, or be left out"),
        ),
        (
            sql.SQL("s.byte_size > {limit} and octet_length({value}::text) > {limit}").format(
                limit=sql.Literal(MAX_METADATA_BYTES), value=value
            ),
            problem("oversized", f"{name} takes more than {MAX_METADATA_BYTES // 1024} KB"),
        ),
    ]


def _text_checks(contract: Contract, column: Column, value: sql.Composable) -> list[Check]:
    checks: list[Check] = []
    if column.name == "user_id":
        checks.append(
            (
                sql.SQL("lower(btrim({})) in ({})").format(value, texts(JUNK_USER_IDS)),
                problem(
                    "junk_user_id",
                    "user_id is a placeholder such as 'null' or an empty text, which would merge "
                    "many people into one; send the user's id, or leave user_id out",
                ),
            )
        )
    if column.values:
        allowed = sql.SQL("lower(btrim({})) not in ({})").format(value, texts(column.values))
        named = ", ".join(column.values)
        checks.append((allowed, problem("not_in_enum", f"{column.name} must be one of {named}")))
    elif column.name != _LONG:
        is_id = column.name in _IDS or column.name == contract.id_column
        limit = MAX_ID_BYTES if is_id else MAX_SHORT_BYTES
        checks.append(
            (
                sql.SQL("octet_length({}) > {}").format(value, sql.Literal(limit)),
                problem("too_long", f"{column.name} must have at most {limit} bytes"),
            )
        )
    return checks


def _time_checks(contract: Contract, rules: LoadRules) -> list[Check]:
    """A row's own time lies between the first day and now; a history may begin earlier."""
    value = sql.Identifier("s", moment_column(contract.time_column))
    seconds = round(rules.clock_skew.total_seconds())
    checks: list[Check] = [
        (
            sql.SQL("{} > {}").format(value, sql.Literal(rules.now + rules.clock_skew)),
            problem(
                "future_timestamp",
                f"{contract.time_column} is more than {seconds} seconds ahead of the platform's "
                "clock; set the sender's clock right and send it again",
            ),
        )
    ]
    if contract.by_name[contract.time_column].required:
        first = datetime.combine(rules.start_day, time(), tzinfo=UTC)
        checks.append(
            (
                sql.SQL("{} < {}").format(value, sql.Literal(first)),
                problem(
                    "before_start_day",
                    f"{contract.time_column} is before {rules.start_day.isoformat()}, the first "
                    "day of this deployment (ANALYTICS_START_DAY); correct the sender, or set an "
                    "earlier day and load it again",
                ),
            )
        )
    return checks


def check_statement(
    contract: Contract, rules: LoadRules, staged: sql.Composable, checked: sql.Composable
) -> sql.Composed:
    """Fill ``checked`` from ``staged``: the same columns, then moments, then the problem."""
    names = ["line_no", *contract.names, "byte_size", "raw_text", "payload", "origin"]
    moments = [column.name for column in contract.columns if column.kind == "moment"]
    return sql.SQL(
        "insert into {checked} ({names}, {moments}, problem)"
        " with parsed as (select staged.*, {parsed} from {staged} as staged offset 0)"
        " select {values}, {moments}, {problem} from parsed as s"
    ).format(
        checked=checked,
        staged=staged,
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(sql.Identifier("s", name) for name in names),
        moments=sql.SQL(", ").join(sql.Identifier(moment_column(name)) for name in moments),
        parsed=sql.SQL(", ").join(
            sql.SQL("ops.try_timestamptz({}) as {}").format(
                sql.Identifier("staged", name), sql.Identifier(moment_column(name))
            )
            for name in moments
        ),
        problem=record_problem(contract, rules),
    )


def checked_columns(contract: Contract) -> sql.Composable:
    """Definitions of the columns that ``checked`` has beyond ``staged``."""
    return sql.SQL(", ").join(
        sql.SQL("{} timestamptz").format(sql.Identifier(moment_column(column.name)))
        for column in contract.columns
        if column.kind == "moment"
    )
