"""The privacy report for an officer: what is collected, why, where, how long, who reads it.

Belongs here: reading all of that from the catalogue, the plan and the database, and its Markdown.
Does not: showing it (cli, api), attacking the release (audit/). Invariant: nothing is written by
hand that a table or a file knows, and no number is about 10 people or fewer.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.types.json import Jsonb

from analytics_assets.privacy.erasure import PAYLOADS
from analytics_assets.privacy.plan import FLOOR, HOLD_BACK, ReleasePlan
from analytics_assets.retention.policy import RAW_TABLE_RETENTION
from analytics_assets.store.database import LOGIN_ROLES

if TYPE_CHECKING:
    from analytics_assets.events.catalogue import Catalogue
    from analytics_assets.store.database import Database

Report = dict[str, Any]
# What k-anonymity does not give; docs/privacy.md says it at length.
NOT_PROMISED: Final = (
    (
        "Somebody who knows everybody else in a class learns a little about one person (TPR - FPR "
        "up to 0.25 for one number), and much more when the same is told for many periods."
    ),
    "What is true of nearly all of a group is told of each of its members.",
    "Eleven accounts kept for a week and used by one person count as eleven people.",
    "Tables other than those of the plan, and releases of other organisations, are not foreseen.",
)
_TABLES: Final = """
    select
        namespace.nspname,
        class.relname,
        obj_description(class.oid, 'pg_class'),
        array(
            select role from unnest(%(roles)s::text[]) as role
            where has_schema_privilege(role, namespace.oid, 'usage')
                and has_table_privilege(role, class.oid, 'select')
                -- A view that reads as its reader shows nothing to who may not read what it reads.
                and (
                    not coalesce('security_invoker=true' = any (class.reloptions), false)
                    or not exists (
                        select from pg_rewrite as rule
                        join pg_depend as needs
                            on needs.classid = 'pg_rewrite'::regclass and needs.objid = rule.oid
                        join pg_class as read on read.oid = needs.refobjid
                        where rule.ev_class = class.oid
                            and needs.refclassid = 'pg_class'::regclass
                            and read.oid <> class.oid
                            and not (
                                has_schema_privilege(role, read.relnamespace, 'usage')
                                and has_table_privilege(role, read.oid, 'select')
                            )
                    )
                )
            order by role
        ),
        array(
            select attname::text from pg_attribute
            where attrelid = class.oid and attname in ('user_id', 'subject', 'person')
                and not attisdropped
            order by 1
        )
    from pg_class as class
    join pg_namespace as namespace on namespace.oid = class.relnamespace
    where namespace.nspname in
            ('inbox', 'raw', 'vault', 'marts', 'anonymous', 'published', 'insights', 'ops')
        and class.relkind in ('r', 'p', 'v', 'm')
        and not class.relispartition
    order by 1, 2
"""
_RELEASED: Final = """
    select
        release_table, period_kind,
        count(*) filter (where state = 'closed'),
        count(*) filter (where state = 'withheld'),
        count(*) filter (where state = 'superseded'),
        min(period) filter (where state <> 'withheld'),
        max(period) filter (where state <> 'withheld'),
        coalesce(sum(released_classes), 0)::bigint,
        coalesce(sum(released_people), 0)::bigint
    from ops.release_ledger
    group by 1, 2
    order by 1, 2
"""
_WITHHELD: Final = """
    select release_table, period_kind, coalesce(reason, 'none given'), count(*)
    from ops.release_ledger
    where state = 'withheld'
    group by 1, 2, 3
    order by 1, 2, 3
"""
# Who agrees is asked where selection asks it; whom the ledger does not know may agree by a source.
_PURPOSES: Final = """
    with purposes as (
        select 'insights' as purpose
        union
        select purpose from vault.consent_ledger
    ),
    people as (
        select array_agg(user_id) as users
        from (
            select user_id from raw.users
            union
            select user_id from vault.consent_ledger
        ) as known
    ),
    agreed as (
        select purposes.purpose, count(agreed.user_id) as granted_by
        from purposes
        cross join people
        left join lateral vault.consenting(
            purposes.purpose, people.users, %(as_of)s
        ) as agreed on true
        group by purposes.purpose
    )
    select purpose, case when granted_by > %(floor)s then granted_by end
    from agreed
    order by purpose
"""
_ERASED: Final = """
    select
        case when count(*) filter (where complete) > %(floor)s
            then count(*) filter (where complete) end,
        coalesce(bool_or(complete is not true), false),
        (select count(*) from ops.trace_findings)
    from ops.erasure_receipts
    where action = 'erased'
"""
_KEPT_FROM: Final = "select event_category, kept_from from ops.retention_floor order by 1"
_PRUNED: Final = """
    select coalesce(event_category, table_name), count(*), max(cutoff)
    from ops.retention_log
    where not dry_run
    group by 1
    order by 1
"""


def make_report(
    database: Database,
    catalogue: Catalogue,
    plan: ReleasePlan,
    as_of: datetime,
    *,
    audited: bool = True,
) -> Report:
    """The report as of now. With ``audited`` the newest release is attacked first (seconds)."""
    with database.connect("analytics_pipeline") as connection:
        made = {
            "as_of": as_of.isoformat(),
            "collected": _collected(connection, catalogue),
            "consent": [
                {"purpose": purpose, "granted_by": granted}
                for purpose, granted in connection.execute(
                    _PURPOSES, {"floor": FLOOR, "as_of": as_of}
                ).fetchall()
            ],
            "erased": _erased(connection),
            "stored": _stored(connection),
            "pruned": [
                {"class": name, "partitions": count, "first_day_kept": day}
                for name, count, day in connection.execute(_PRUNED).fetchall()
            ],
            "plan": _planned(plan),
            "released": _released(connection),
            "not_promised": list(NOT_PROMISED),
        }
    made["audit"] = []
    if audited:
        from analytics_assets.privacy.audit.battery import audit_deployment

        made["audit"] = [asdict(o) for o in audit_deployment(database, plan, as_of)]
    return made


def keep_report(connection: psycopg.Connection[Any], made: Report, as_of: datetime) -> None:
    """Keep a report as the newest, for those who may read it and may not make it."""
    connection.execute(
        """
        insert into ops.privacy_reports (as_of, report) values (%s, %s)
        on conflict (as_of) do update set report = excluded.report, made_at = now()
        """,
        [as_of, Jsonb(made, dumps=_dumps)],
    )


def summary(made: Report) -> dict[str, Any]:
    """Small facts for Dagster: no count of people among them."""
    verdicts = [outcome["verdict"] for outcome in made["audit"]]
    return {
        "event_types": sum(len(row["event_types"]) for row in made["collected"]["events"]),
        "tables_with_people": sum(bool(row["about_people"]) for row in made["stored"]),
        "released_tables": len(made["plan"]),
        "periods_closed": sum(row["closed"] for row in made["released"]["periods"]),
        "periods_withheld": sum(row["withheld"] for row in made["released"]["periods"]),
        "attacks_held": verdicts.count("held"),
        "attacks_broken": verdicts.count("broken"),
    }


def _collected(connection: psycopg.Connection[Any], catalogue: Catalogue) -> dict[str, Any]:
    kept_from: dict[str, date] = dict(connection.execute(_KEPT_FROM).fetchall())
    return {
        "events": [
            {
                "category": category.name,
                "why": category.description,
                "kept_days": category.retention_days,
                "first_day_kept": kept_from.get(category.name),
                "event_types": sorted(
                    schema.event_type
                    for schema in catalogue.schemas.values()
                    if schema.category == category.name
                ),
                "personal_fields": sorted(
                    {
                        f"{schema.event_type}.{name}"
                        for schema in catalogue.schemas.values()
                        if schema.category == category.name
                        for name in schema.personal_fields
                    }
                ),
            }
            for category in catalogue.categories.values()
        ],
        "records": [
            {"table": f"raw.{name}", "kept_days": days, "first_day_kept": kept_from.get(name)}
            for name, days in RAW_TABLE_RETENTION.items()
        ],
    }


def _stored(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    roles = [role for role in LOGIN_ROLES if role not in {"analytics_owner", "analytics_dagster"}]
    return [
        {
            "table": f"{schema}.{table}",
            "what": comment,
            "read_by": readers,
            "about_people": (bool(columns) or (schema, table) in PAYLOADS)
            and schema not in {"anonymous", "published"},
        }
        for schema, table, comment, readers, columns in connection.execute(
            _TABLES, {"roles": roles}
        ).fetchall()
    ]


def _erased(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    names = ("requests_fulfilled", "any_unfinished", "places_that_name_somebody")
    row = connection.execute(_ERASED, {"floor": FLOOR}).fetchone() or ()
    return dict(zip(names, row, strict=True))


def _planned(plan: ReleasePlan) -> list[dict[str, Any]]:
    return [
        {
            "table": table.name,
            "what": table.description,
            "periods": list(table.kinds),
            "hold_back_days": {kind: HOLD_BACK[kind] for kind in table.kinds},
            "told": [dimension.name for dimension in table.dimensions],
            "sensitive": sorted(table.sensitive),
            "at_least": FLOOR + 1,
            "days_kept": table.keep_days,
        }
        for table in plan.tables.values()
    ]


def _released(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    names = ("table", "period_kind", "closed", "withheld", "superseded", "first", "last",
             "classes", "published_counts")  # fmt: skip
    return {
        "periods": [
            dict(zip(names, row, strict=True)) for row in connection.execute(_RELEASED).fetchall()
        ],
        "withheld": [
            {"table": table, "period_kind": kind, "reason": reason, "periods": count}
            for table, kind, reason, count in connection.execute(_WITHHELD).fetchall()
        ],
    }


def _dumps(value: Any) -> str:
    import json

    return json.dumps(value, default=str)


def as_markdown(made: Report) -> str:
    """The report as a page."""
    events, stored = made["collected"]["events"], made["stored"]
    title = (
        f"# Privacy report\n\nAs of {made['as_of']}. Made from the event catalogue, the release "
        "plan and the database."
    )
    parts = [
        title,
        _section(
            "What is collected, why, and for how long",
            ["category", "why", "event types", "personal fields", "days kept", "first day kept"],
            [
                [row["category"], row["why"], len(row["event_types"]),
                 ", ".join(row["personal_fields"]) or "none", row["kept_days"],
                 row["first_day_kept"]]
                for row in events
            ],
        ),
        _section(
            "Other records",
            ["table", "days kept", "first day kept"],
            [
                [row["table"], row["kept_days"], row["first_day_kept"]]
                for row in made["collected"]["records"]
            ],
        ),
        _section(
            "Consent",
            ["purpose", "granted by (if more than 10)"],
            [[row["purpose"], row["granted_by"]] for row in made["consent"]],
        ),
        _section(
            "Erasure",
            ["requests fulfilled (if more than 10)", "any unfinished",
             "places in records and logs that name somebody"],
            [list(made["erased"].values())],
        ),
        _section(
            "Where it is, and who may read it",
            ["table", "what", "about people", "read by"],
            [
                [row["table"], row["what"], "yes" if row["about_people"] else "",
                 ", ".join(row["read_by"])]
                for row in stored
            ],
        ),
        _section(
            "What may be released",
            ["table", "what", "periods", "tells", "least people", "days kept"],
            [
                [row["table"], row["what"], ", ".join(row["periods"]), ", ".join(row["told"]),
                 row["at_least"], row["days_kept"] or "for good"]
                for row in made["plan"]
            ],
        ),
        _section(
            "What was released",
            ["table", "period", "closed", "withheld", "summed up", "first", "last", "classes"],
            [
                [row["table"], row["period_kind"], row["closed"], row["withheld"],
                 row["superseded"], row["first"], row["last"], row["classes"]]
                for row in made["released"]["periods"]
            ],
        ),
        _section(
            "What was withheld",
            ["table", "period", "reason", "periods"],
            [
                [row["table"], row["period_kind"], row["reason"], row["periods"]]
                for row in made["released"]["withheld"]
            ],
        ),
        _section(
            "Attacks on the newest release",
            ["attack", "what", "figure", "limit", "verdict", "trials"],
            [
                [row["attack"], row["what"], row["figure"], row["limit"], row["verdict"],
                 row["trials"]]
                for row in made["audit"]
            ],
        ),
        "## What is not promised\n\n" + "\n".join(f"- {text}" for text in made["not_promised"]),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _section(title: str, columns: list[str], rows: list[list[Any]]) -> str:
    if not rows:
        return f"## {title}\n\nNone."
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return f"## {title}\n\n" + "\n".join(lines)


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
