"""Events on their way into ``raw.platform_events``: checked, deduplicated, enriched, in order.

Belongs here: the SQL special to events. Does not: what a valid event is (events/). Invariant: an
event id occurs once per category within neighbouring days, the first valid one wins, and role and
tenure are those of the event's own time.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.events.envelope import JUNK_USER_IDS
from analytics_assets.events.sql_text import Check, first_true, problem, texts
from analytics_assets.events.validation import problem_expression
from analytics_assets.retention.policy import expired_before
from analytics_assets.sources.contract import NEVER_STORED
from analytics_assets.sources.staging import Origin, Outcome, Stage
from analytics_assets.store.partitions import event_partitions
from analytics_assets.windows import DAY

MAX_SHORT_BYTES: Final = 512
MAX_PLACE_BYTES: Final = 2_048
GEO_KEYS: Final = ("country", "region", "city")
DEVICE_KEYS: Final = ("device_type", "browser", "os")


class EventStage(Stage):
    """Stages events.

    Partitions that are there when the stage is opened hold what was loaded before; of what comes
    later, whoever stages must mark as ``suspect`` what may repeat it.
    """

    def _create_checked(self, connection: psycopg.Connection[Any]) -> None:
        self._old = event_partitions(connection)
        connection.execute(
            sql.SQL(
                "create temporary table {} (like {}, ts timestamptz, day date,"
                " event_category text, event_uuid uuid, expired boolean, duplicate boolean)"
                " on commit delete rows"
            ).format(self.checked, self.staged)
        )
        connection.execute(
            "create temporary table event_types"
            " (event_type text primary key, event_category text, kept_from date)"
        )
        kept_from = expired_before(self.rules.catalogue, self.rules.now)
        connection.cursor().executemany(
            "insert into event_types values (%s, %s, %s)",
            [
                (schema.event_type, schema.category, kept_from[schema.category])
                for schema in self.rules.catalogue.schemas.values()
            ],
        )
        connection.execute("analyze event_types")

    def check(self, connection: psycopg.Connection[Any]) -> None:
        shape = first_true(
            shape_checks(),
            otherwise=problem_expression(self.rules.catalogue, self.rules.envelope),
        )
        connection.execute(
            sql.SQL(_CHECK).format(
                staged=self.staged,
                checked=self.checked,
                problem=sql.SQL(
                    "case when s.problem is not null then s.problem else {} end"
                ).format(shape),
                columns=_columns(self.contract.names, "s"),
            )
        )

    def _load(self, connection: psycopg.Connection[Any], origin: Origin) -> Outcome:
        names = {"checked": self.checked}
        # Without it the planner takes the chunk for a single row, and compares all with all.
        connection.execute(
            sql.SQL("analyze {checked} (user_id, problem, event_category, day, expired)").format(
                **names
            )
        )
        found = connection.execute(
            sql.SQL(
                "select event_category, day, count(*), count(*) filter (where expired)"
                " from {checked} where problem is null group by 1, 2"
            ).format(**names)
        ).fetchall()
        pairs = {(category, day) for category, day, rows, expired in found if rows > expired}
        self.partitions.events(pairs)
        self._mark_known_next_day(connection, pairs)
        inserted = connection.execute(
            sql.SQL(_INSERT).format(
                junk=texts(JUNK_USER_IDS),
                geo=_only("geo_location", GEO_KEYS),
                device=_only("device_info", DEVICE_KEYS),
                never=sql.Literal(list(NEVER_STORED)),
                **names,
            ),
            {"source": origin.source},
        ).fetchall()
        outcome = Outcome(days={day for day, _ in inserted})
        counts = outcome.counts
        counts.loaded = sum(rows for _, rows in inserted)
        counts.expired = sum(expired for _, _, _, expired in found)
        counts.duplicate = sum(rows for _, _, rows, _ in found) - counts.expired - counts.loaded
        return outcome

    def _mark_known_next_day(
        self, connection: psycopg.Connection[Any], pairs: set[tuple[str, date]]
    ) -> None:
        """Mark rows whose id is there already under the day before or after.

        Looking each row up costs more than loading it, so only those are looked up that a lane has
        seen before or whose neighbouring days had partitions when the stage was opened.
        """
        old = sorted(
            (category, day)
            for category, day in pairs
            if (category, day - DAY) in self._old or (category, day + DAY) in self._old
        )
        suspects = connection.execute(
            sql.SQL("select exists (select from {} where suspect)").format(self.checked)
        ).fetchone()
        if not old and not (suspects and suspects[0]):
            return
        connection.execute(sql.SQL(_REPEATED).format(checked=self.checked))
        connection.execute("set local enable_seqscan = off")
        connection.execute(
            sql.SQL(_KNOWN_NEXT_DAY).format(checked=self.checked),
            {"categories": [category for category, _ in old], "days": [day for _, day in old]},
        )
        connection.execute("set local enable_seqscan = on")


def _columns(names: list[str], alias: str) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)


def shape_checks() -> list[Check]:
    """Checks of columns that the catalogue says nothing about."""
    checks: list[Check] = [
        (
            sql.SQL("octet_length(s.{}) > {}").format(
                sql.Identifier(name), sql.Literal(MAX_SHORT_BYTES)
            ),
            problem("too_long", f"{name} must have at most {MAX_SHORT_BYTES} bytes"),
        )
        for name in ("session_id", "entity_type", "entity_id", "source", "subject")
    ]
    for name in ("geo_location", "device_info"):
        column = sql.Identifier("s", name)
        checks.append(
            (
                sql.SQL("jsonb_typeof({}) <> 'object'").format(column),
                problem("not_an_object", f"{name} must be a JSON object, or be left out"),
            )
        )
        checks.append(
            (
                sql.SQL("pg_column_size({}) > {}").format(column, sql.Literal(MAX_PLACE_BYTES)),
                problem("oversized", f"{name} takes more than {MAX_PLACE_BYTES} bytes"),
            )
        )
    return checks


def _only(column: str, keys: tuple[str, ...]) -> sql.Composable:
    """The column with no keys but these; most have no others, which is cheap to see."""
    value = sql.Identifier("c", column)
    allowed = sql.Literal(list(keys))
    return sql.SQL(
        "case when {value} - {allowed}::text[] = '{{}}' then {value} else ("
        "select jsonb_object_agg(item.key, item.value) from jsonb_each({value}) as item"
        " where item.key = any({allowed}::text[])) end"
    ).format(value=value, allowed=allowed)


# The inner query is fenced off: the checks name the parsed time many times over.
_CHECK: Final = """
insert into {checked} (
    line_no, event_id, event_type, "timestamp", user_id, subject, session_id, entity_type,
    entity_id, source, event_data, metadata, geo_location, device_info, problem, byte_size,
    raw_text, payload, origin, suspect, ts, day, event_category, event_uuid, expired, duplicate
)
with parsed as (
    select
        staged.*,
        staged.event_id as event_id_text,
        staged."timestamp" as ts_text,
        ops.try_timestamptz(staged."timestamp") as ts
    from {staged} as staged
    offset 0
),

judged as (
    select
        s.line_no, {columns}, {problem} as problem, s.byte_size, s.raw_text, s.payload, s.origin,
        s.suspect, s.ts
    from parsed as s
    offset 0
)

select
    j.line_no, j.event_id, j.event_type, j."timestamp", j.user_id, j.subject, j.session_id,
    j.entity_type, j.entity_id, j.source, j.event_data, j.metadata, j.geo_location,
    j.device_info, j.problem, j.byte_size, j.raw_text, j.payload, j.origin,
    j.suspect, j.ts,
    (j.ts at time zone 'UTC')::date,
    types.event_category,
    case when j.problem is null then j.event_id::uuid end,
    j.problem is null
    and (j.ts at time zone 'UTC')::date < greatest(types.kept_from, floors.kept_from),
    false
from judged as j
left join pg_temp.event_types as types on types.event_type = j.event_type
left join ops.retention_floor as floors on floors.event_category = types.event_category
"""

# The same id on neighbouring days of one chunk: rare, so only those rows are compared.
_REPEATED: Final = """
with suspects as (
    select event_category, event_uuid
    from {checked}
    where suspect and problem is null and not expired
    group by 1, 2
    having min(day) <> max(day)
),

later as (
    select second.line_no
    from suspects
    join {checked} as first using (event_category, event_uuid)
    join {checked} as second using (event_category, event_uuid)
    where
        first.line_no < second.line_no
        and not first.expired
        and abs(first.day - second.day) = 1
)

update {checked} as c
set duplicate = true
from later
where c.line_no = later.line_no and c.problem is null
"""

# The scalar subquery is looked up row by row in two partitions; an `exists` could become a join of
# all of them.
_KNOWN_NEXT_DAY: Final = """
update {checked} as c
set duplicate = true
where
    c.problem is null
    and not c.expired
    and (
        c.suspect
        or (c.event_category, c.day) in (
            select category, day from unnest(%(categories)s::text[], %(days)s::date[])
            as old (category, day)
        )
    )
    and (
        select true
        from raw.platform_events as p
        where
            p.event_category = c.event_category
            and p.day in (c.day - 1, c.day + 1)
            and p.event_id = c.event_uuid
        limit 1
    )
"""

# In the order of the primary key: two loads that meet at the same ids wait, and never deadlock.
_INSERT: Final = """
with inserted as (
    insert into raw.platform_events (
        event_category, day, event_id, event_type, "timestamp", user_id, user_role,
        user_tenure_days, subject, session_id, entity_type, entity_id, event_data, metadata,
        source, geo_location, device_info
    )
    select
        c.event_category,
        c.day,
        c.event_uuid,
        c.event_type,
        c.ts,
        c.user_id,
        u.role,
        case when c.ts >= u.signup_at
            then floor(extract(epoch from c.ts - u.signup_at) / 86400)::integer end,
        coalesce(
            case when lower(btrim(c.subject)) not in ({junk}) then c.subject end,
            u.subject,
            c.user_id
        ),
        c.session_id,
        c.entity_type,
        c.entity_id,
        coalesce(c.event_data, '{{}}') - {never}::text[],
        coalesce(c.metadata, '{{}}') - {never}::text[],
        coalesce(c.source, c.origin, %(source)s),
        {geo},
        {device}
    from {checked} as c
    left join raw.users as u
        on u.user_id = c.user_id
        and u.valid_from <= c.ts
        and (u.valid_to is null or c.ts < u.valid_to)
    where c.problem is null and not c.expired and not c.duplicate
    order by c.event_category, c.day, c.event_uuid, c.line_no
    on conflict do nothing
    returning day
)

select day, count(*)
from inserted
group by 1
"""
