"""Attacks on what surrounds the numbers: identifiers, rights, keys, the order and time of rows.

Belongs here: T1, T13, T18. Does not: numbers. Invariant: a finding counts; it never holds a value,
a key or a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.privacy.audit.outcome import Outcome, Verdict, none_of, not_run
from analytics_assets.privacy.audit.placing import Placed
from analytics_assets.privacy.audit.released import Released
from analytics_assets.privacy.audit.subtraction import end_of
from analytics_assets.privacy.plan import HOLD_BACK
from analytics_assets.store.database import qualified

MOST_KNOWN_CELLS = 40
ENOUGH_ROWS = 3000
_READABLE: Final = """
    select
        (select count(*) from pg_class as class
         join pg_namespace as namespace on namespace.oid = class.relnamespace
         where namespace.nspname not in
                ('anonymous', 'published', 'pg_catalog', 'information_schema')
            and namespace.nspname not like 'pg\\_%'
            and class.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
            and has_schema_privilege(namespace.oid, 'usage')
            and (has_table_privilege(class.oid, 'select')
                or has_any_column_privilege(class.oid, 'select'))),
        (select count(*) from pg_proc as function
         join pg_namespace as namespace on namespace.oid = function.pronamespace
         where namespace.nspname in ('vault', 'ops', 'raw', 'inbox', 'insights', 'marts')
            and has_schema_privilege(namespace.oid, 'usage')
            and has_function_privilege(function.oid, 'execute')),
        (select count(*) from pg_class as class
         join pg_namespace as namespace on namespace.oid = class.relnamespace
         where namespace.nspname in ('anonymous', 'published')
            and class.relkind in ('r', 'p')
            and (has_table_privilege(class.oid, 'insert')
                or has_table_privilege(class.oid, 'update')
                or has_table_privilege(class.oid, 'delete')
                or has_table_privilege(class.oid, 'truncate'))),
        (select count(*) from pg_class where has_table_privilege(oid, 'select'))
"""
_KEPT_KEYS: Final = """
    with planned as (
        select release_table, kind
        from (
            select distinct on (release_table) release_table, entry
            from ops.release_plan
            where retired_at is null
            order by release_table, version desc
        ) as plan
        cross join lateral jsonb_array_elements_text(
            (entry -> 'periods') || (entry -> 'otherwise')
        ) as kind
    )
    select
        count(*) filter (where not exists (
            select from planned
            where planned.kind = keys.period_kind
                and not exists (
                    select from ops.release_ledger as ledger
                    where ledger.release_table = planned.release_table
                        and ledger.period_kind = keys.period_kind
                        and ledger.period = keys.period
                )
        )),
        (select count(distinct (period_kind, period)) from ops.release_ledger)
    from vault.period_keys as keys
    where period_kind <> 'noise'
"""
_NAMES: Final = """
    with known as (
        select user_id as name from raw.users
        union
        select subject from raw.users where subject is not null
        union
        select value from vault.known_identifiers
        union
        select unnest(%(planted)s::text[])
    ),
    vocabulary as (
        select lower(event_type) as word from ops.event_schemas
        union
        select lower(server_id) from raw.servers
    ),
    told as (
        select value from unnest(%(values)s::text[]) as value
        where lower(value) not in (select word from vocabulary)
    )
    select count(distinct told.value)
    from told
    where
        -- A single word without a digit or a sign is a language as often as a handle.
        (told.value ~ '[0-9@/._:-]' and lower(told.value) in (select lower(name) from known))
        or told.value in (
            select md5(name) from known
            union all
            select encode(sha256(convert_to(name, 'UTF8')), 'hex') from known
            union all
            select encode(sha512(convert_to(name, 'UTF8')), 'hex') from known
        )
"""


def identifiers(
    reader: psycopg.Connection[Any],
    pipeline: psycopg.Connection[Any],
    released: Released,
    planted: Collection[str] = (),
) -> list[Outcome]:
    """T1: names and their hashes in columns and comments; columns off the plan."""
    values = {
        value
        for table in released.values()
        for cells in table.cells.values()
        for cell in cells
        for value in cell
        if isinstance(value, str)
    }
    comments = reader.execute(
        "select description from pg_description where objoid in (select oid from pg_class "
        "where relnamespace::regnamespace::text in ('anonymous', 'published'))"
    ).fetchall()
    words = {word for (text,) in comments for word in text.split()}
    hits = pipeline.execute(
        _NAMES, {"planted": sorted(planted), "values": sorted(values | words)}
    ).fetchone()
    shaped = pipeline.execute(
        "select count(distinct value) from vault.forbidden_values(%s)", [sorted(values)]
    ).fetchone()
    columns = reader.execute(
        """
        select table_schema || '.' || table_name, column_name from information_schema.columns
        where table_schema in ('anonymous', 'published')
        """
    ).fetchall()
    allowed = {
        (table.plan.name, column)
        for table in released.values()
        for column in table.plan.column_types
    } | {
        (table.plan.monthly, column)
        for table in released.values()
        for column in ("month", "released", *(d.name for d in table.plan.shown))
        if table.plan.monthly
    }
    ours = {name for name, _ in allowed}
    off_list = [pair for pair in columns if pair[0] in ours and pair not in allowed]
    return [
        none_of(
            "T1", "identifiers in released values",
            (hits[0] if hits else 0) + (shaped[0] if shaped else 0), max(1, len(values)),
        ),
        none_of("T1", "columns off the plan", len(off_list), len(columns)),
        _near_unique(released),
    ]  # fmt: skip


def _near_unique(released: Released) -> Outcome:
    """T1: dimensions with more values than half their people, within a period."""
    unique = dimensions = 0
    for table in released.values():
        for cells in table.cells.values():
            people = sum(cells.values())
            for place in range(len(table.plan.shown)):
                dimensions += 1
                unique += len({values[place] for values in cells}) > people / 2
    return none_of("T1", "dimensions with over half as many values as people", unique, dimensions)


def order_and_time(
    reader: psycopg.Connection[Any], released: Released, as_of: datetime
) -> list[Outcome]:
    """T13: rows out of the order of their classes, in several inserts, or before their time."""
    disordered = inserts = early = rows = slots = 0
    for table in released.values():
        plan = table.plan
        columns = [name for name in plan.column_types if name != "id"]
        periods = [plan.period_column, *([plan.kind_column] if plan.kind_column else [])]
        classes = sorted(dimension.name for dimension in plan.shown)
        found = reader.execute(
            sql.SQL(
                """
                with ordered as (
                    select xmin::text as inserted, {periods},
                        md5(row({classes})::text) as class,
                        lag(md5(row({classes})::text)) over (
                            partition by {periods} order by ctid
                        ) as before
                    from {table}
                    where {period} >= {first}
                ),
                changes as (
                    select {periods}, class, count(*) filter (
                        where class is distinct from before
                    ) as runs, count(*) as rows
                    from ordered group by {periods}, class
                )
                select
                    (select coalesce(sum(runs - 1), 0) from changes),
                    (select coalesce(sum(rows), 0) from changes),
                    (select count(*) from (
                        select from ordered group by {periods}
                        having count(distinct inserted) > 1
                    ) as several),
                    (select count(*) from (select distinct {periods} from ordered) as all_of_them)
                """
            ).format(
                periods=sql.SQL(", ").join(map(sql.Identifier, periods)),
                classes=sql.SQL(", ").join(map(sql.Identifier, classes or columns)),
                table=qualified(plan.name),
                period=sql.Identifier(plan.period_column),
                first=sql.Literal(min((slot.period for slot in table.cells), default=date.max)),
            )
        ).fetchone()
        if found:
            disordered += int(found[0])
            rows += int(found[1])
            inserts += int(found[2])
            slots += int(found[3])
        early += sum(
            as_of.date() < end_of(slot) + timedelta(days=HOLD_BACK[slot.kind])
            for slot in table.cells
            if slot.kind
        )
    return [
        none_of("T13", "rows out of the order of classes", disordered, rows),
        none_of("T13", "periods inserted more than once", inserts, slots),
        none_of("T13", "periods published before their hold-back", early, slots),
    ]


def rights_and_keys(
    reader: psycopg.Connection[Any], pipeline: psycopg.Connection[Any]
) -> list[Outcome]:
    """T18: what the reader may read or call beyond what was released; keys of closed periods."""
    row = reader.execute(_READABLE).fetchone()
    tables, functions, writable, all_tables = row or (0, 0, 0, 0)
    keys = pipeline.execute(_KEPT_KEYS).fetchone()
    kept, closed = keys or (0, 0)
    return [
        none_of("T18", "tables the reader reads beside", tables, all_tables),
        none_of("T18", "functions the reader may call", functions, all_tables),
        none_of("T18", "released tables the reader may change", writable, all_tables),
        none_of("T18", "keys kept after their period closed", kept, closed),
    ]


def guessed_keys(
    reader: psycopg.Connection[Any], placed: Mapping[str, Placed], weights: Mapping[int, int]
) -> Outcome:
    """T18: whether noise can be foretold for people one knows, by a key that follows from a date.

    The attacker knows everybody in some cells (A2) and the noise table, and computes on the
    reader's own connection.
    """
    what = "noise foretold by guessed keys"
    known: list[tuple[date, list[str], int]] = []
    for table in placed.values():
        for slot, values, n, people in table.certain_cells():
            if people >= NOISELESS and len(known) < MOST_KNOWN_CELLS:
                known.append((slot.period, sorted(table.behind[slot, values]), n - people))
    if len(known) < FEWEST_KNOWN_CELLS or len({noise for _, _, noise in known}) == 1:
        return not_run("T18", what, "too few cells with noise whose people are certain")
    drawn = [noise for noise in sorted(weights) for _ in range(weights[noise])]
    best = 0.0
    for derive in _DERIVED:
        right = sum(
            drawn[_noise_bits(reader, derive(_quarter(period)), people)] == noise
            for period, people, noise in known
        )
        best = max(best, right / len(known))
    verdict: Verdict = "broken" if best > FORETOLD else "held"
    note = "share of numbers right; one in seven by chance"
    return Outcome("T18", what, round(best, 3), f"<= {FORETOLD}", verdict, len(known), note)


def _quarter(day: date) -> date:
    return date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)


NOISELESS = 17
FORETOLD = 0.5
FEWEST_KNOWN_CELLS = 20
_DERIVED: Sequence[Callable[[date], bytes]] = (
    lambda day: day.isoformat().encode(),
    lambda day: f"noise{day.isoformat()}".encode(),
    lambda day: f"noise {day.isoformat()}".encode(),
    lambda day: hashlib.sha256(day.isoformat().encode()).digest(),
    lambda day: hashlib.sha256(f"noise {day.isoformat()}".encode()).digest(),
    lambda day: hashlib.md5(day.isoformat().encode()).digest(),  # noqa: S324
    lambda day: day.strftime("%Y%m%d").encode(),
    lambda _: b"",
)


def _noise_bits(reader: psycopg.Connection[Any], key: bytes, people: list[str]) -> int:
    """Bits 12 to 23 of the exclusive or of the people's noise keys under a key."""
    from analytics_assets.privacy.period_keys import hmac_pads

    inner, outer = hmac_pads(key)
    row = reader.execute(
        """
        select (bit_xor(('x' || substr(encode(
            sha256(%s::bytea || sha256(%s::bytea || convert_to(person, 'UTF8'))), 'hex'
        ), 1, 16))::bit(64)::bigint) >> 12) & 4095
        from unnest(%s::text[]) as person
        """,
        [outer, inner, people],
    ).fetchone()
    return int(row[0]) if row else 0
