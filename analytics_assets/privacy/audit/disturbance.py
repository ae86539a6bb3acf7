"""What happens to a release afterwards: late rows, a killed run, an erasure, a full refresh.

Belongs here: doing it to a generated world, and both readings of the tables. Does not: comparing
them (snapshots.py). Invariant: half of the days are released before, everything after.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from analytics_assets.benchmarks.release_world import forget
from analytics_assets.privacy.audit.outcome import Outcome, none_of
from analytics_assets.privacy.audit.rehearsal import Rehearsal
from analytics_assets.privacy.audit.released import Slot, read_released
from analytics_assets.privacy.audit.snapshots import digests, disturbed, erased, late_people
from analytics_assets.privacy.audit.truth import read_truth
from analytics_assets.privacy.audit.worlds import Worlds
from analytics_assets.privacy.erasure import erase
from analytics_assets.privacy.plan import ReleasePlan
from analytics_assets.windows import monday_of

TABLE: Final = "published.event_trends"
MODELS: Final = "event_trends analytics_events"
LATE_DAY, HALF = 18, 24  # of a world's days
LATE_PEOPLE, ERASED_PEOPLE, ERASED_RAREST = 30, 20, 5
YOUNG: Final = 10
SYBIL_EVENT: Final = ("content", "sybil.event")


def disturb(run: Rehearsal, worlds: Worlds, plan: ReleasePlan) -> list[Outcome]:
    """T7 and T8, in a database that holds the worlds and has released nothing.

    Raises RehearsalError when dbt fails.
    """
    world = worlds.worlds[0]
    days = world.drawn.days
    half = replace(run, as_of=datetime.combine(days[HALF], datetime.min.time(), UTC))
    run.draw_keys()
    half.release(MODELS)
    undisturbed = digests(run.database)
    forget(run.database)
    run.draw_keys()
    half.release_killed("event_trends", TABLE)
    begun = digests(run.database)
    half.release(MODELS)
    again = digests(run.database)
    with run.database.connect("analytics_reader") as reader:
        before = read_released(reader, plan)
    people = [world.planted, *_rarest(worlds)]
    everybody = sorted({row.subject for row in world.drawn.profiles} - set(people))
    people += everybody[:: max(1, len(everybody) // ERASED_PEOPLE)][:ERASED_PEOPLE]
    with run.database.connect("analytics_pipeline") as pipeline:
        late = late_rows(pipeline, days[LATE_DAY], LATE_PEOPLE)
    left = _erase(run, people)
    run.release(MODELS, "--full-refresh")
    with run.database.connect("analytics_reader") as reader:
        after = read_released(reader, plan)
    with run.database.connect("analytics_pipeline") as pipeline:
        truth = read_truth(pipeline, plan, worlds.closes_at, tables=[TABLE])
    week = Slot("week", monday_of(days[LATE_DAY]))
    changed = sum(again.get(key) != digest for key, digest in undisturbed.items())
    return [
        none_of("T7", "periods told by a run that was killed", len(begun), len(undisturbed)),
        none_of("T7", "periods changed by a kill and a second run", changed, len(undisturbed)),
        disturbed(before, after, "late rows and a full refresh"),
        late_people(truth, after, TABLE, week, len(late)),
        *erased(before, after, truth, people, Slot("day", days[HALF])),
        none_of("T8", "people with rows left in any zone", left, len(people)),
    ]


def _rarest(worlds: Worlds) -> list[str]:
    """The people who are active least, but one: each of them is rare."""
    active: dict[str, int] = {}
    for row in worlds.worlds[0].drawn.profiles:
        active[row.subject] = active.get(row.subject, 0) + 1
    return sorted(active, key=lambda person: (active[person], person))[: ERASED_RAREST - 1]


def _erase(run: Rehearsal, people: list[str]) -> int:
    """Erase people as `privacy erase` does; how many have rows left somewhere.

    They are in the vault and the inbox too.
    """
    with run.database.connect("analytics_pipeline", autocommit=True) as pipeline:
        with pipeline.cursor() as cursor:
            cursor.executemany(
                "insert into vault.known_identifiers (user_id, kind, value)"
                " values (%s, 'handle', %s)",
                [(person, f"{person}@example.org") for person in people],
            )
            cursor.executemany(
                "insert into inbox.entries (kind, source, payload) values ('user', 'audit', %s)",
                [(Jsonb({"user_id": person}),) for person in people],
            )
        return sum(not erase(pipeline, person).complete for person in people)


def late_rows(pipeline: psycopg.Connection[Any], day: date, people: int) -> list[str]:
    """People of whom the platform hears only after their day has closed; their names."""
    names = [f"late-{number}" for number in range(people)]
    with pipeline.cursor() as cursor:
        cursor.executemany(
            "insert into marts.int_subject_days (day, event_category, event_type, subject, events)"
            " values (%s, 'user_activity', 'user.login', %s, 1)",
            [(day, name) for name in names],
        )
    return names


def young_accounts(run: Rehearsal) -> Outcome:
    """T15: ten accounts made yesterday beside one person, from raw on: none of them counts.

    Builds the tables of people; the rows of raw are gone afterwards.
    """
    from analytics_assets.store.partitions import ensure_event_partitions

    day = run.start_day
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=9)
    young = [f"sybil-{number}" for number in range(YOUNG)]
    with run.database.connect("analytics_pipeline", autocommit=True) as pipeline:
        ensure_event_partitions(pipeline, [(SYBIL_EVENT[0], day)])
        with pipeline.cursor() as cursor:
            cursor.executemany(
                "insert into raw.users (user_id, valid_from, signup_at, source)"
                " values (%s, %s, %s, 'audit')",
                [(name, at, at - timedelta(days=1)) for name in young],
            )
            cursor.executemany(
                "insert into raw.platform_events"
                " (event_id, event_category, event_type, user_id, subject, source, timestamp, day)"
                " values (gen_random_uuid(), %s, %s, %s, %s, 'audit', %s, %s)",
                [(*SYBIL_EVENT, name, name, at, day) for name in [*young, "sybil-target"]],
            )
        run.make_people_tables()
        counted = pipeline.execute(
            "select subject from marts.int_subject_days where event_type = %s", [SYBIL_EVENT[1]]
        ).fetchall()
        pipeline.execute("delete from raw.platform_events")
        pipeline.execute("delete from raw.users")
    people = {subject for (subject,) in counted}
    # The target alone must be there: of nobody at all nothing would be shown.
    wrong = len(people & set(young)) if "sybil-target" in people else YOUNG
    return none_of("T15", "young accounts that count", wrong, YOUNG)
