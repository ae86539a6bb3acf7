"""The eight deliberately broken releases: the project's own dbt folder with one thing edited.

Belongs here: the edits, and what must be taken from the database's guard for them to run at all.
Does not: which attack must notice (test_audit.py). Invariant: an edit whose text is not found
fails, so that no mutant is silently the real thing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import sql

from analytics_assets.privacy.audit.rehearsal import Rehearsal
from analytics_assets.privacy.period_keys import hmac_pads
from analytics_assets.settings import PROJECT_ROOT
from analytics_assets.store.database import Database

TABLE = "published.event_trends"
# What the edited macros are about; a text is looked for in all of them.
TREE = RELEASE = PEOPLE = "macros"
MODEL = "models/published/event_trends.sql"
EXACT_COUNT = (
    TREE,
    "{% macro published_count(n, cell_key, plan) -%}",
    """{% macro published_count(n, cell_key, plan) -%}
    greatest({{ plan.floor + 1 }}, {{ n }})
{%- endmacro %}
{% macro published_count_of_the_real_thing(n, cell_key, plan) -%}""",
)
PLAIN_THRESHOLD = (TREE, "((({{ cell_key }} & 4095) * 10) >> 12)\n", "0\n")
PUBLISHED_AGAIN = [
    (
        RELEASE,
        "    from calendar\n    where not exists (",
        "    from calendar\n    where true or not exists (",
    ),
    (
        RELEASE,
        "from vault.period_keys as keys\nwhere keys.period_kind <> 'noise'",
        "from vault.period_keys as keys\nwhere false and keys.period_kind <> 'noise'",
    ),
    (
        RELEASE,
        "left join released using (period_kind, period);",
        "left join released using (period_kind, period)\non conflict do nothing;",
    ),
]
EVENTS_MODEL = """{{ config(materialized='release') }}
select closing.period_kind, closing.period, rows.subject, event_category, event_type
from {{ ref('int_subject_days') }} as rows
join {{ closing_days() }} as closing using (day)
cross join generate_series(1, least(events, 60))
"""
FORGET = "delete from {{ this }}; delete from vault.release_counts;"
LOCK = "        set local work_mem = '96MB';"


@dataclass(frozen=True)
class Mutant:
    """What is edited (a text of a file, or all of it), what the database must allow, the keys."""

    name: str
    caught_by: str
    edits: list[tuple[str, str | None, str]]
    unguarded: bool = False
    may_delete: bool = False
    keys: Callable[[Rehearsal], None] = field(default=lambda rehearsal: rehearsal.draw_keys())
    again: tuple[str, ...] | None = None  # a second run after late rows, with these arguments


def keys_of_dates(rehearsal: Rehearsal) -> None:
    """Keys that are the first day of their period."""
    rehearsal.draw_keys()
    with rehearsal.database.connect("analytics_pipeline") as pipeline:
        found = pipeline.execute("select period_kind, period from vault.period_keys").fetchall()
        pipeline.execute("delete from vault.period_keys")
        with pipeline.cursor() as cursor:
            cursor.executemany(
                "insert into vault.period_keys (period_kind, period, inner_pad, outer_pad) "
                "values (%s, %s, %s, %s)",
                [(kind, day, *hmac_pads(day.isoformat().encode())) for kind, day in found],
            )


MUTANTS = (
    Mutant(
        "k is 1",
        "T2",
        [
            PLAIN_THRESHOLD,
            (TREE, "greatest(\n        {{ plan.floor + 1 }},", "greatest(\n        1,"),
            # Of leaves and of pools alike.
            (TREE, "n >= {{ plan.floor + 1 }} +", "n >= 1 +"),
        ],
        unguarded=True,
    ),
    Mutant(
        "exact totals",
        "T4",
        [
            EXACT_COUNT,
            PLAIN_THRESHOLD,
            (
                TREE,
                "select step, class, n, cell_key from units_{{ last }} where stands;",
                """select step, class, n, cell_key from units_0 where stands
union all
select {{ last }}, class_{{ last }}, sum(n)::integer, bit_xor(cell_key)
from pg_temp.release_nodes group by class_{{ last }} having sum(n) > 10;""",
            ),
        ],
    ),
    Mutant(
        "published again",
        "T7",
        [*PUBLISHED_AGAIN, (RELEASE, LOCK, f"{LOCK} {FORGET}")],
        unguarded=True,
        may_delete=True,
        again=(),
    ),
    Mutant("no noise", "T17", [EXACT_COUNT]),
    Mutant(
        "events instead of people",
        "T16",
        [
            (
                RELEASE,
                "select min(keyed.leaf) as leaf, min(keyed.noise_key) as noise_key",
                "select keyed.leaf, keyed.noise_key",
            ),
            (RELEASE, "    group by keyed.person_key\n", ""),
            (MODEL, None, EVENTS_MODEL),
        ],
    ),
    Mutant(
        "daily sums as weeks",
        "T6",
        [
            (
                PEOPLE,
                """_totals as (
    select
        closing.period,
        people.subject,""",
                """_totals as (
    select
        closing.period,
        people.subject {{ "|| '/' || people.day" if kind != 'day' }} as subject,""",
            ),
            (
                PEOPLE,
                "    group by closing.period, people.subject, people.place",
                "    group by 1, 2, 3",
            ),
        ],
    ),
    Mutant(
        "full refresh allowed",
        "T7",
        [
            *PUBLISHED_AGAIN,
            (
                RELEASE,
                "    where true or not exists (",
                "    where {{ 'true or' if flags.FULL_REFRESH }} not exists (",
            ),
            (RELEASE, LOCK, f"{LOCK} {{% if flags.FULL_REFRESH %}}{FORGET}{{% endif %}}"),
        ],
        unguarded=True,
        may_delete=True,
        again=("--full-refresh",),
    ),
    Mutant("the key is the date", "T18", [], keys=keys_of_dates),
)


def edit_project(folder: Path, mutant: Mutant) -> Path:
    """A copy of the project's dbt folder, edited; each mutant needs a folder of its own."""
    shutil.copytree(PROJECT_ROOT / "dbt", folder, ignore=shutil.ignore_patterns("target", "logs"))
    for name, old, new in mutant.edits:
        if old is None:
            (folder / name).write_text(new, encoding="utf-8")
            continue
        # Whichever file of macros the text stands in by now.
        files = [file for file in folder.glob("macros/*.sql") if old in file.read_text("utf-8")]
        assert len(files) == 1, f"{mutant.name}: {len(files)} macros have the text: {old}"
        (file,) = files
        file.write_text(file.read_text("utf-8").replace(old, new), encoding="utf-8")
    return folder


def weaken(database: Database, mutant: Mutant) -> None:
    """Take from the database what would refuse the mutant, as an administrator could."""
    with database.connect_as_admin(database.name) as admin:
        if mutant.unguarded:
            for table in (TABLE, "vault.release_counts", "ops.release_ledger"):
                name = sql.Identifier(*table.split("."))
                admin.execute(sql.SQL("alter table {} disable trigger user").format(name))
                for (constraint,) in admin.execute(
                    "select conname from pg_constraint"
                    " where conrelid = %s::regclass and contype = 'c'",
                    [table],
                ).fetchall():
                    admin.execute(
                        sql.SQL("alter table {} drop constraint {}").format(
                            name, sql.Identifier(constraint)
                        )
                    )
        if mutant.may_delete:
            admin.execute(
                sql.SQL("grant delete on {} to analytics_pipeline").format(
                    sql.Identifier(*TABLE.split("."))
                )
            )
