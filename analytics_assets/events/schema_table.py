"""``ops.event_schemas``: the catalogue as SQL, dashboards and the API see it.

Belongs here: bringing the table in line with the catalogue. Does not: reading the files
(``catalogue_files``). Invariant: after a sync the table holds exactly the catalogue's types, each
with its fingerprint; where it already did, nothing was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from analytics_assets.events.catalogue import Catalogue

_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('ops.event_schemas', 0))"

_IN_LINE: Final = """
select count(*) = %(types)s and coalesce(bool_and(catalogue_hash = %(fingerprint)s), true)
from ops.event_schemas
"""

_REMOVE: Final = """
delete from ops.event_schemas
where event_type <> all (%(event_types)s::text[])
"""

# updated_at is when the type changed; the fingerprint of the whole changes with any other type.
_UPSERT: Final = """
with wanted as (
    select *
    from jsonb_to_recordset(%(schemas)s) as w (
        event_type text,
        event_category text,
        fields jsonb,
        required_fields text[],
        personal_fields text[],
        retention_days integer,
        description text
    )
),

compared as (
    select
        w.*,
        t.event_type is null as is_new,
        t.updated_at,
        (
            w.event_category, w.fields, w.required_fields, w.personal_fields, w.retention_days,
            w.description
        ) is distinct from (
            t.event_category, t.fields, t.required_fields, t.personal_fields, t.retention_days,
            t.description
        ) as is_changed
    from wanted as w
    left join ops.event_schemas as t using (event_type)
),

written as (
    insert into ops.event_schemas (
        event_type, event_category, fields, required_fields, personal_fields, retention_days,
        description, catalogue_hash, updated_at
    )
    select
        event_type, event_category, fields, required_fields, personal_fields, retention_days,
        description, %(fingerprint)s, case when is_changed then now() else updated_at end
    from compared
    on conflict (event_type) do update set
        event_category = excluded.event_category,
        fields = excluded.fields,
        required_fields = excluded.required_fields,
        personal_fields = excluded.personal_fields,
        retention_days = excluded.retention_days,
        description = excluded.description,
        catalogue_hash = excluded.catalogue_hash,
        updated_at = excluded.updated_at
)

select
    count(*) filter (where is_new),
    count(*) filter (where is_changed and not is_new)
from compared
"""


@dataclass(frozen=True, slots=True)
class SyncCounts:
    """Event types by what happened to them."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


def sync_event_schemas(connection: psycopg.Connection[Any], catalogue: Catalogue) -> SyncCounts:
    """Make ``ops.event_schemas`` equal to the catalogue, in one transaction of the connection.

    Types that are gone from the catalogue are removed; events of theirs stay where they are.
    Concurrent syncs wait for each other.
    """
    total = len(catalogue.schemas)
    with connection.transaction():
        state = {"types": total, "fingerprint": catalogue.fingerprint}
        if _is_in_line(connection, state):
            return SyncCounts(unchanged=total)
        connection.execute(_LOCK)
        if _is_in_line(connection, state):
            return SyncCounts(unchanged=total)
        removed = connection.execute(_REMOVE, {"event_types": list(catalogue.schemas)}).rowcount
        rows = [
            {
                "event_type": schema.event_type,
                "event_category": schema.category,
                "fields": schema.fields_as_json(),
                "required_fields": schema.required_fields,
                "personal_fields": schema.personal_fields,
                "retention_days": catalogue.retention_days(schema.category),
                "description": schema.description,
            }
            for schema in catalogue.schemas.values()
        ]
        counted = connection.execute(
            _UPSERT, {"schemas": Jsonb(rows), "fingerprint": catalogue.fingerprint}
        ).fetchone()
        added, changed = counted or (0, 0)
        return SyncCounts(added, changed, removed, total - added - changed)


def _is_in_line(connection: psycopg.Connection[Any], state: dict[str, Any]) -> bool:
    found = connection.execute(_IN_LINE, state).fetchone()
    return found is not None and bool(found[0])
