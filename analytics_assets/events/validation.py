"""The catalogue compiled into one SQL expression that says what is wrong with a staged event.

Belongs here: putting the checks together and choosing a row's schema. Does not: the checks
themselves (``envelope``, ``field_checks``). Invariant: this is the only implementation of what a
valid event is; it is total (never raises) and deterministic (the first problem wins).
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

from psycopg import sql
from psycopg.types.json import Jsonb

from analytics_assets.events.catalogue import Catalogue
from analytics_assets.events.envelope import EnvelopeRules, envelope_checks
from analytics_assets.events.field_checks import field_checks
from analytics_assets.events.sql_text import (
    Check,
    first_true,
    problem,
    problem_code,
    problem_message,
    text,
)

__all__ = ["EnvelopeRules", "problem_code", "problem_expression", "problem_message"]

LONGEST_NAME_SHOWN: Final = 64
LARGEST_LEAF: Final = 6
Branch = tuple[str, sql.Composable]


def problem_expression(
    catalogue: Catalogue, rules: EnvelopeRules, *, row_alias: str = "s"
) -> sql.Composed:
    """SQL that is null for a valid row and the text ``code|message`` for any other.

    The row has the columns ``event_id_text text, event_type text, ts_text text, ts timestamptz,
    user_id text, event_data jsonb, metadata jsonb, byte_size integer``. ``ts`` is
    ``ops.try_timestamptz(ts_text)``, stored, because it is looked at several times; ``byte_size``
    the bytes of the JSON text of ``event_data`` and ``metadata`` together, never null; for these
    two SQL null means left out. Split the text with ``problem_code`` and ``problem_message``.
    Run the statement with ``jit = off``: compiling the expression takes longer than checking a
    million rows (measured).
    """
    row = sql.Identifier(row_alias)
    branches = [
        (schema.event_type, first_true(field_checks(schema, row)))
        for schema in catalogue.schemas.values()
    ]
    checks = [*envelope_checks(rules, row), _catalogue_check(catalogue, row)]
    return sql.Composed([first_true(checks, otherwise=_dispatch(branches, row))])


def _dispatch(branches: list[Branch], row: sql.Composable) -> sql.Composable:
    """The branch of the row's event type, found by halving; ``branches`` are sorted by name.

    Asking for one type after the other grows with the catalogue, and a join with numbers for names
    is slower than both (measured).
    """
    if len(branches) > LARGEST_LEAF:
        half = len(branches) // 2
        return sql.SQL(
            'case when {row}.event_type < {first} collate "C" then {low} else {high} end'
        ).format(
            row=row,
            first=text(branches[half][0]),
            low=_dispatch(branches[:half], row),
            high=_dispatch(branches[half:], row),
        )
    if not branches:
        return sql.SQL("null")
    return sql.SQL("case {row}.event_type {branches} end").format(
        row=row,
        branches=sql.SQL(" ").join(
            [
                sql.SQL("when {name} then {checks}").format(name=text(name), checks=checks)
                for name, checks in branches
            ]
        ),
    )


def _catalogue_check(catalogue: Catalogue, row: sql.Composable) -> Check:
    """The type is in the catalogue.

    The message names it where it looks like a name, and the type meant where only case and
    punctuation differ: ``projectCreated`` for ``project.created``.
    """
    condition = sql.SQL("{row}.event_type <> all ({known}::text[])").format(
        row=row, known=sql.Literal(list(catalogue.schemas))
    )
    spelled: dict[str, list[str]] = defaultdict(list)
    for event_type in catalogue.schemas:
        spelled[re.sub("[^a-z0-9]", "", event_type)].append(f"'{event_type}'")
    meant = {letters: " or ".join(names) for letters, names in spelled.items()}
    unknown = sql.SQL(
        "{start} || case when {row}.event_type ~ '^[A-Za-z][A-Za-z0-9_.-]*$'"
        " then '''' || left({row}.event_type, {longest}) || '''' else 'this event type' end"
        " || ' is not in the catalogue; ' || coalesce('did you mean ' ||"
        " ({meant} ->> lower(regexp_replace({row}.event_type, '[^A-Za-z0-9]', '', 'g')))"
        " || '?', {advice})"
    ).format(
        row=row,
        start=problem("unknown_event_type", ""),
        longest=sql.Literal(LONGEST_NAME_SHOWN),
        meant=sql.Literal(Jsonb(meant)),
        advice=text("correct the name, or add it to a catalogue file, then replay"),
    )
    return condition, unknown
