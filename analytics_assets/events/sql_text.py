"""SQL constants, and problems as SQL values, that mean the same with and without parameters.

Belongs here: how generated SQL writes text, numbers, ``code|message`` and the first condition that
is true. Does not: the checks (``envelope``, ``field_checks``). Invariant: the SQL has no percent
sign, which a driver takes for a placeholder as soon as the statement has parameters.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, LiteralString

from psycopg import sql

SEPARATOR: Final = "|"
Check = tuple[sql.Composable, sql.Composable]
"""A condition that is true for a bad row (null is not), and what is then wrong with it."""


def text(value: str) -> sql.Composable:
    """A text constant; the planner folds the pieces around a percent sign into one."""
    pieces: list[sql.Composable] = [sql.Literal(piece) for piece in value.split("%")]
    joined = sql.SQL(" || chr(37) || ").join(pieces)
    return sql.SQL("({})").format(joined) if len(pieces) > 1 else joined


def number(value: float) -> sql.Composable:
    """A numeric constant, digit by digit as it was written; never a double."""
    return sql.SQL("({})").format(sql.Literal(Decimal(repr(value))))


def texts(values: tuple[str, ...]) -> sql.Composable:
    return sql.SQL(", ").join([text(value) for value in values])


def problem(code: LiteralString, message: str) -> sql.Composable:
    """A problem whose message is known beforehand."""
    return text(f"{code}{SEPARATOR}{message}")


def problem_code(column: sql.Composable) -> sql.Composed:
    """The code of a problem, such as ``missing_field``; null for null."""
    return sql.SQL("split_part({}, {}, 1)").format(column, sql.Literal(SEPARATOR))


def problem_message(column: sql.Composable) -> sql.Composed:
    """The message of a problem; null for null. The column is named twice: pass a stored one."""
    return sql.SQL("substr({0}, strpos({0}, {1}) + 1)").format(column, sql.Literal(SEPARATOR))


def first_true(checks: list[Check], otherwise: sql.Composable | None = None) -> sql.Composable:
    """The problem of the first condition that is true; conditions after it are not evaluated."""
    branches = [
        sql.SQL("when {condition} then {problem}").format(condition=condition, problem=found)
        for condition, found in checks
    ]
    if not branches:
        return otherwise or sql.SQL("null")
    return sql.SQL("case {branches} else {otherwise} end").format(
        branches=sql.SQL(" ").join(branches), otherwise=otherwise or sql.SQL("null")
    )
