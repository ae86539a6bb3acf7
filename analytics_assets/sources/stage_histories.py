"""Users and servers on their way into ``raw``: histories, one row per span of time.

Belongs here: the SQL of histories and what follows from a change of one. Does not: records with a
day. Invariant: the spans of an id follow one another without gap or overlap, and names, addresses
and handles of users go to ``vault.known_identifiers``, never to ``raw.users``.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.sources.contract import IDENTIFIERS, Column
from analytics_assets.sources.record_checks import check_statement, checked_columns, typed
from analytics_assets.sources.staging import Origin, Outcome, Stage
from analytics_assets.store import dirty_days

_STATE: Final = {
    "users": ("role", "signup_at", "insights_consent", "is_internal", "subject"),
    "servers": ("name", "category", "status", "metadata"),
}
_FLAGS: Final = ("insights_consent", "is_internal")


class HistoryStage(Stage):
    """Stages users or servers.

    A row with ``valid_from`` states what holds from then on. A row without is a snapshot: it holds
    from now on where it differs from what is known; the first one of an id also stands for the
    time before it (from ``signup_at``, or from the first day of the deployment).
    """

    def _create_checked(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(
            sql.SQL("create temporary table {} (like {}, {}) on commit delete rows").format(
                self.checked, self.staged, checked_columns(self.contract)
            )
        )

    def check(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(check_statement(self.contract, self.rules, self.staged, self.checked))
        # Without it the planner takes the chunk for a single row, and compares all with all.
        connection.execute(sql.SQL("analyze {} ({}, problem)").format(self.checked, self._id))

    def _load(self, connection: psycopg.Connection[Any], origin: Origin) -> Outcome:
        valid = connection.execute(
            sql.SQL("select count(*) from {} where problem is null").format(self.checked)
        ).fetchone()
        changed = [
            identity
            for (identity,) in connection.execute(
                self._write_statement(),
                {
                    "now": self.rules.now,
                    "start": datetime.combine(self.rules.start_day, time(), tzinfo=UTC),
                    "source": origin.source,
                },
            ).fetchall()
        ]
        outcome = Outcome()
        outcome.counts.loaded = len(changed)
        outcome.counts.duplicate = (valid[0] if valid else 0) - len(changed)
        if changed:
            connection.execute(
                sql.SQL(_CLOSE_SPANS).format(table=self._table, id=self._id),
                {"changed": sorted(set(changed))},
            )
        if self.contract.table == "users":
            self._remember_identifiers(connection)
            if changed:
                self._enrich_again(connection, sorted(set(changed)))
        return outcome

    @property
    def _table(self) -> sql.Identifier:
        return sql.Identifier("raw", self.contract.table)

    @property
    def _id(self) -> sql.Identifier:
        return sql.Identifier(self.contract.id_column)

    def _write_statement(self) -> sql.Composed:
        state = [self.contract.by_name[name] for name in _STATE[self.contract.table]]
        names = [column.name for column in state]
        if self.contract.table == "users":
            beginning = sql.SQL("coalesce(c.signup_at_at, %(start)s)")
        else:
            beginning = sql.SQL("%(start)s::timestamptz")
        return sql.SQL(_WRITE).format(
            table=self._table,
            name=sql.Identifier(self.contract.table),
            id=self._id,
            checked=self.checked,
            names=_names(names),
            known=_names(names, "known"),
            states=sql.SQL(", ").join(
                sql.SQL("coalesce({}, {}) as {}").format(
                    typed(column),
                    # What a snapshot does not mention stays as it was.
                    sql.SQL("case when c.valid_from_at is null then {} end").format(
                        sql.Identifier("known", column.name)
                    ),
                    sql.Identifier(column.name),
                )
                if column.kind != "json"
                else sql.SQL("{} as {}").format(typed(column), sql.Identifier(column.name))
                for column in state
            ),
            beginning=beginning,
            stored=sql.SQL(", ").join(map(_stored, state)),
            updates=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names
            ),
            old=_names(names, self.contract.table),
            new=_names(names, "excluded"),
        )

    def _remember_identifiers(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(
            sql.SQL(_IDENTIFIERS).format(
                checked=self.checked,
                identifiers=sql.SQL(", ").join(
                    sql.SQL("({}, c.{})").format(sql.Literal(name), sql.Identifier(name))
                    for name in IDENTIFIERS
                ),
            )
        )

    def _enrich_again(self, connection: psycopg.Connection[Any], users: list[str]) -> None:
        """Bring role and tenure of these users' events in line with their history."""
        found = connection.execute(_ENRICH, {"users": users}).fetchall()
        days: set[date] = {day for (day,) in found}
        dirty_days.mark(
            connection, {day for day in days if day not in self.rules.window}, "history"
        )


def _stored(column: Column) -> sql.Composable:
    name = sql.Identifier("stated", column.name)
    if column.name in _FLAGS:
        return sql.SQL("coalesce({}, false)").format(name)
    return name


def _names(names: list[str], alias: str | None = None) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.Identifier(name) if alias is None else sql.Identifier(alias, name) for name in names
    )


# Of two rows of a chunk for one id and time the later one counts.
_WRITE: Final = """
with stated as (
    select
        c.line_no,
        c.origin,
        c.{id},
        c.valid_from_at is null and known.{id} is not null as is_repeated_snapshot,
        coalesce(
            c.valid_from_at,
            case when known.{id} is null then {beginning} else %(now)s end
        ) as valid_from,
        {states}
    from {checked} as c
    left join {table} as known on known.{id} = c.{id} and known.valid_to is null
    where c.problem is null
),

latest as (
    select distinct on ({id}, valid_from) *
    from stated
    order by {id}, valid_from, line_no desc
),

written as (
    insert into {table} as {name} ({id}, valid_from, {names}, source)
    select stated.{id}, stated.valid_from, {stored}, coalesce(stated.origin, %(source)s)
    from latest as stated
    left join {table} as known on known.{id} = stated.{id} and known.valid_to is null
    where
        not stated.is_repeated_snapshot
        or ({stored}) is distinct from ({known})
    order by stated.{id}, stated.valid_from
    on conflict ({id}, valid_from) do update
    set {updates}, ingested_at = now()
    where ({old}) is distinct from ({new})
    returning {name}.{id}
)

select {id} from written
"""

_CLOSE_SPANS: Final = """
with spans as (
    select
        {id},
        valid_from,
        lead(valid_from) over (partition by {id} order by valid_from) as next_from
    from {table}
    where {id} = any(%(changed)s)
)

update {table} as h
set valid_to = spans.next_from
from spans
where
    h.{id} = spans.{id}
    and h.valid_from = spans.valid_from
    and h.valid_to is distinct from spans.next_from
"""

_IDENTIFIERS: Final = """
insert into vault.known_identifiers (user_id, kind, value)
select distinct c.user_id, given.kind, btrim(given.value)
from {checked} as c
cross join lateral (values {identifiers}) as given (kind, value)
where c.problem is null and btrim(given.value) <> '' and octet_length(given.value) <= 1000
order by 1, 2, 3
on conflict do nothing
"""

_ENRICH: Final = """
with enriched as (
    update raw.platform_events as p
    set
        user_role = u.role,
        user_tenure_days = case when p."timestamp" >= u.signup_at
            then floor(extract(epoch from p."timestamp" - u.signup_at) / 86400)::integer end
    from raw.users as u
    where
        p.user_id = any(%(users)s)
        and u.user_id = p.user_id
        and u.valid_from <= p."timestamp"
        and (u.valid_to is null or p."timestamp" < u.valid_to)
        and (p.user_role, p.user_tenure_days) is distinct from (
            u.role,
            case when p."timestamp" >= u.signup_at
                then floor(extract(epoch from p."timestamp" - u.signup_at) / 86400)::integer end
        )
    returning p.day
)

select distinct day from enriched
"""
