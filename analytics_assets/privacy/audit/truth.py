"""The truth a judge compares with: who stood in which leaf, from the internal tables of people.

Belongs here: reading it, as the pipeline's role. Does not: attacks, which never see it. Invariant:
it is counted anew by other statements than the release's; a period whose rows changed since it
closed, or were pruned, has no truth and is not judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, LiteralString

import psycopg

from analytics_assets.privacy.audit.released import Leaf, Slot, finest
from analytics_assets.privacy.plan import PlannedTable, ReleasePlan
from analytics_assets.store.database import table_exists

_PERIODS: Final = """
    with closing as (
        select period, day::date as day
        from unnest(%(periods)s::date[]) as period
        cross join lateral generate_series(
            period, period + ('1 ' || %(kind)s)::interval - interval '1 day', interval '1 day'
        ) as day
    ),
    accounts as (
        select distinct on (user_id)
            user_id, coalesce(subject, user_id) as subject, is_internal
        from raw.users
        order by
            user_id, valid_from > %(as_of)s, abs(extract(epoch from valid_from - %(as_of)s))
    ),
    ours as (
        select distinct subject from accounts where is_internal
    ),
    merged as (
        select user_id, subject from accounts where user_id <> subject
    ),
"""
_WHO: Final = """
    select period, coalesce(merged.subject, found.subject) as person, {columns}
    from found
    left join merged on merged.user_id = found.subject
    where coalesce(merged.subject, found.subject) not in (select subject from ours)
"""
_PROFILES: Final = """
    found as (
        select
            closing.period, rows.subject, event_type, archetype, activity_score, collab_score,
            diversity_score, ai_savviness, ai_percentage, language, tool, template
        from marts.int_profile_days as rows
        join closing using (day)
    )
"""
_SHARES: Final = """
    found as (
        select closing.period, rows.subject, avg(rows.ai_percentage) as ai_percentage
        from marts.int_profile_days as rows
        join closing using (day)
        where rows.ai_percentage is not null
        group by closing.period, rows.subject
    )
"""
_ARCHETYPES: Final = """
    found as (
        select
            closing.period, rows.subject,
            mode() within group (order by rows.archetype) as archetype,
            avg(rows.ai_savviness) as ai_savviness
        from marts.int_profile_days as rows
        join closing using (day)
        where rows.ai_savviness is not null
        group by closing.period, rows.subject
    )
"""


def _done_most(table: str, labels: str, amount: str) -> str:
    return f"""
    done as (
        select closing.period, rows.subject, {labels}, sum(rows.{amount}) as amount
        from marts.{table} as rows
        join closing using (day)
        group by closing.period, rows.subject, {labels}
    ),
    found as (
        select distinct on (period, subject) period, subject, {labels}
        from done
        order by period, subject, amount desc, {labels}
    )
    """  # noqa: S608 (names of this module's own)


# By table: how its people are found. A table of one's own has none; only what needs no truth is
# tried on it.
_FOUND: Final[Mapping[str, str]] = {
    "anonymous.analytics_events": _PROFILES,
    "published.ai_usage_trends": _SHARES,
    "published.archetype_distribution": _ARCHETYPES,
    "published.event_trends": _done_most(
        "int_subject_days", "event_category, event_type", "events"
    ),
    "published.install_trends": _done_most("int_subject_installs", "server_id", "installs"),
    "published.search_trends": _done_most("int_subject_searches", "query", "searches"),
}
_LEDGER: Final = """
    select release_table, period_kind, period, state
    from ops.release_ledger as ledger
    where state in ('closed', 'withheld')
        and coalesce(reason, '') not in (
            'its keys are gone', 'raw rows were pruned before it closed'
        )
        and period >= coalesce(%(since)s::date, '-infinity')
        and period < coalesce(%(until)s::date, 'infinity')
        and not exists (
            select from ops.retention_log as pruned
            where not pruned.dry_run
                and pruned.rows_dropped > 0
                and pruned.day >= ledger.period
                and pruned.day < ledger.period + ('1 ' || ledger.period_kind)::interval
        )
        and not exists (
            select from marts.int_built_days as built
            where built.day >= ledger.period
                and built.day < ledger.period + ('1 ' || ledger.period_kind)::interval
                and built.built_as_of > ledger.closed_as_of
        )
    order by 1, 2, 3
"""
_BUSIEST: Final = """
    select distinct on (closing.period) closing.period, rows.subject
    from marts.int_subject_days as rows
    join closing using (day)
    group by closing.period, rows.subject
    order by closing.period, sum(rows.events) desc, rows.subject
"""


@dataclass
class TrueTable:
    """By slot, the leaves of every person: one, or several where any of them may count."""

    people: dict[Slot, dict[str, list[Leaf]]] = field(default_factory=lambda: defaultdict(dict))
    withheld: set[Slot] = field(default_factory=set)


@dataclass
class Truth:
    """Who stood where. ``busiest`` is the person with most events of a slot."""

    tables: dict[str, TrueTable] = field(default_factory=dict)
    busiest: dict[Slot, str] = field(default_factory=dict)


def read_truth(
    connection: psycopg.Connection[Any],
    plan: ReleasePlan,
    as_of: datetime,
    *,
    tables: Collection[str] | None = None,
    since: date | None = None,
    until: date | None = None,
    newest: Mapping[str, int] | None = None,
) -> Truth:
    """The truth behind the closed and withheld periods of a span; ``newest`` so many of a kind."""
    if not table_exists(connection, "marts.int_built_days"):
        return Truth()
    slots: dict[str, list[tuple[Slot, str]]] = defaultdict(list)
    for name, kind, period, state in connection.execute(
        _LEDGER, {"since": since, "until": until}
    ).fetchall():
        if name in plan.tables and (tables is None or name in tables):
            slots[name].append((Slot(kind, period), state))
    truth = Truth()
    for name, found in slots.items():
        if name not in _FOUND:
            continue
        table = plan[name]
        true = truth.tables[name] = TrueTable()
        for kind in table.kinds:
            chosen = [(slot, state) for slot, state in found if slot.kind == kind]
            if kind in table.otherwise:
                chosen = [(slot, state) for slot, state in chosen if state == "closed"]
            if newest is not None:
                chosen = chosen[-newest.get(kind, 0) :] if newest.get(kind) else []
            if chosen:
                _read(connection, table, kind, chosen, true, as_of)
    for slot in {slot for true in truth.tables.values() for slot in true.people}:
        truth.busiest.setdefault(slot, "")
    for kind in {slot.kind for slot in truth.busiest}:
        periods = [slot.period for slot in truth.busiest if slot.kind == kind]
        rows = connection.execute(
            _statement(_PERIODS.rstrip().rstrip(",") + _BUSIEST),
            {"kind": kind, "periods": periods, "as_of": as_of},
        )
        truth.busiest |= {Slot(kind, period): subject for period, subject in rows.fetchall()}
    return truth


def _read(
    connection: psycopg.Connection[Any],
    table: PlannedTable,
    kind: str,
    chosen: list[tuple[Slot, str]],
    true: TrueTable,
    as_of: datetime,
) -> None:
    columns = ", ".join(f"found.{dimension.source}" for dimension in table.dimensions)
    rows = connection.execute(
        _statement(_PERIODS + _FOUND[table.name] + _WHO.format(columns=columns)),
        {"kind": kind, "periods": [slot.period for slot, _ in chosen], "as_of": as_of},
    )
    for slot, state in chosen:
        true.people[slot] = {}
        if state == "withheld":
            true.withheld.add(slot)
    for period, person, *values in rows.fetchall():
        leaf = tuple(
            finest(dimension, value)
            for dimension, value in zip(table.dimensions, values, strict=True)
        )
        true.people[Slot(kind, period)].setdefault(person, []).append(leaf)


def _statement(text: str) -> LiteralString:
    """A statement of this module's own pieces and the plan's checked column names."""
    return text
