"""Conversations, messages and jobs on their way into ``raw``: the latest version of each wins.

Belongs here: the SQL of records that have a day and may change. Does not: events, which do not
change, and histories. Invariant: an id occurs once within neighbouring days, and a record that is
loaded again unchanged is not touched.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from analytics_assets.retention.policy import raw_table_expired_before
from analytics_assets.sources.record_checks import (
    check_statement,
    checked_columns,
    moment_column,
    typed,
)
from analytics_assets.sources.staging import Origin, Outcome, Stage


class RecordStage(Stage):
    """Stages conversations, messages or service jobs."""

    def _create_checked(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(
            sql.SQL(
                "create temporary table {} (like {}, {}, day date, expired boolean)"
                " on commit delete rows"
            ).format(self.checked, self.staged, checked_columns(self.contract))
        )

    def check(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(check_statement(self.contract, self.rules, self.staged, self.checked))
        kept_from = raw_table_expired_before(self.rules.now)[self.contract.table]
        connection.execute(
            sql.SQL(_DATE).format(
                checked=self.checked,
                moment=sql.Identifier(moment_column(self.contract.time_column)),
            ),
            {"kept_from": kept_from, "table": self.contract.table},
        )
        # Without it the planner takes the chunk for a single row, and compares all with all.
        connection.execute(
            sql.SQL("analyze {} (user_id, problem, day, expired)").format(self.checked)
        )

    def _load(self, connection: psycopg.Connection[Any], origin: Origin) -> Outcome:
        found = connection.execute(
            sql.SQL(
                "select day, count(*), count(*) filter (where expired) from {}"
                " where problem is null group by 1"
            ).format(self.checked)
        ).fetchall()
        days = {day for day, rows, expired in found if rows > expired}
        self.partitions.days(self.contract.table, days)
        outcome = Outcome()
        if days:
            moved = connection.execute(self._statement(_LEAVE_OTHER_DAY, days)).fetchall()
            written = connection.execute(
                self._statement(_UPSERT, days), {"source": origin.source}
            ).fetchall()
            outcome.days = {day for (day,) in moved} | {day for day, _ in written}
            outcome.counts.loaded = sum(rows for _, rows in written)
        counts = outcome.counts
        counts.expired = sum(expired for _, _, expired in found)
        counts.duplicate = sum(rows for _, rows, _ in found) - counts.expired - counts.loaded
        return outcome

    def delete_gone(
        self, connection: psycopg.Connection[Any], origin: Origin, first: date, after: date
    ) -> set[date]:
        """Delete the source's rows of [first, after) that are not staged; their days."""
        found = connection.execute(
            sql.SQL(_DELETE_GONE).format(
                table=sql.Identifier("raw", self.contract.table),
                id=sql.Identifier(self.contract.id_column),
                checked=self.checked,
            ),
            {"source": origin.source, "first": first, "after": after},
        ).fetchall()
        return {day for (day,) in found}

    def _statement(self, template: LiteralString, days: set[date]) -> sql.Composed:
        step = timedelta(days=1)
        around = {day + shift for day in days for shift in (-step, step)}
        columns = [c for c in self.contract.columns if c.name != "subject"]
        names = [column.name for column in columns]
        kept = [name for name in names if name != self.contract.id_column]
        changing = [*kept, "subject", "source"]
        return sql.SQL(template).format(
            table=sql.Identifier("raw", self.contract.table),
            name=sql.Identifier(self.contract.table),
            checked=self.checked,
            id=sql.Identifier(self.contract.id_column),
            moment=sql.Identifier(moment_column(self.contract.time_column)),
            names=sql.SQL(", ").join(map(sql.Identifier, names)),
            values=sql.SQL(", ").join(map(typed, columns)),
            subject=typed(self.contract.by_name["subject"]),
            around=sql.SQL(", ").join(
                sql.SQL("{}::date").format(sql.Literal(day.isoformat())) for day in sorted(around)
            ),
            updates=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in changing
            ),
            old=sql.SQL(", ").join(sql.Identifier(self.contract.table, name) for name in changing),
            new=sql.SQL(", ").join(sql.Identifier("excluded", name) for name in changing),
        )


_DATE: Final = """
update {checked} as c
set
    day = (c.{moment} at time zone 'UTC')::date,
    expired = (c.{moment} at time zone 'UTC')::date < greatest(
        %(kept_from)s::date,
        (select kept_from from ops.retention_floor where event_category = %(table)s)
    )
where c.problem is null
"""

# A record whose time has moved over midnight leaves its old day.
_LEAVE_OTHER_DAY: Final = """
with latest as (
    select distinct on ({id}) {id} as id, day
    from {checked}
    where problem is null and not expired
    order by {id}, line_no desc
)

delete from {table} as p
using latest
where
    p.{id} = latest.id
    and p.day in ({around})
    and p.day in (latest.day - 1, latest.day + 1)
returning p.day
"""

_UPSERT: Final = """
with latest as (
    select distinct on ({id}) *
    from {checked}
    where problem is null and not expired
    order by {id}, line_no desc
),

written as (
    insert into {table} as {name} ({names}, subject, source, day)
    select
        {values},
        coalesce({subject}, u.subject, c.user_id),
        coalesce(c.origin, %(source)s),
        c.day
    from latest as c
    left join raw.users as u
        on u.user_id = c.user_id
        and u.valid_from <= c.{moment}
        and (u.valid_to is null or c.{moment} < u.valid_to)
    order by c.day, c.{id}
    on conflict (day, {id}) do update
    set {updates}, ingested_at = now()
    where ({old}) is distinct from ({new})
    returning {name}.day
)

select day, count(*)
from written
group by 1
"""

_DELETE_GONE: Final = """
delete from {table} as p
where
    p.source = %(source)s
    and p.day >= %(first)s
    and p.day < %(after)s
    and not exists (select from {checked} as c where c.{id} = p.{id} and c.problem is null)
returning p.day
"""
