"""What happens to a release afterwards: late rows, an erasure, a full refresh.

Belongs here: doing it to a generated world, and both readings of the tables. Does not: comparing
them (snapshots.py). Invariant: half of the days are released before, everything after.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg

from analytics_assets.privacy.audit.outcome import Outcome
from analytics_assets.privacy.audit.rehearsal import Rehearsal
from analytics_assets.privacy.audit.released import Slot, read_released
from analytics_assets.privacy.audit.snapshots import disturbed, erased, late_people
from analytics_assets.privacy.audit.truth import read_truth
from analytics_assets.privacy.audit.worlds import Worlds
from analytics_assets.privacy.plan import ReleasePlan

TABLE: Final = "published.event_trends"
MODELS: Final = "event_trends analytics_events"
LATE_DAY, HALF = 18, 24  # of a world's days
LATE_PEOPLE, ERASED_PEOPLE = 30, 25


def disturb(run: Rehearsal, worlds: Worlds, plan: ReleasePlan) -> list[Outcome]:
    """T7 and T8, in a database that holds the worlds and has released nothing."""
    world = worlds.worlds[0]
    days = world.drawn.days
    run.draw_keys()
    middle = datetime.combine(days[HALF], datetime.min.time(), UTC)
    replace(run, as_of=middle).release(MODELS)
    with run.database.connect("analytics_reader") as reader:
        before = read_released(reader, plan)
    # Every tenth person, and with them those planted as rare.
    people = [world.planted, *sorted({row.subject for row in world.drawn.profiles})[::10]]
    people = people[:ERASED_PEOPLE]
    with run.database.connect("analytics_pipeline") as pipeline:
        late = late_rows(pipeline, days[LATE_DAY], LATE_PEOPLE)
        for statement in (
            "delete from marts.int_profile_days where subject = any (%s)",
            "delete from marts.int_subject_days where subject = any (%s)",
        ):
            pipeline.execute(statement, [people])
    run.release(MODELS, "--full-refresh")
    with run.database.connect("analytics_reader") as reader:
        after = read_released(reader, plan)
    with run.database.connect("analytics_pipeline") as pipeline:
        truth = read_truth(pipeline, plan, worlds.closes_at, tables=[TABLE])
    week = Slot("week", days[LATE_DAY] - timedelta(days=days[LATE_DAY].weekday()))
    return [
        disturbed(before, after, "late rows and a full refresh"),
        late_people(truth, after, TABLE, week, len(late)),
        *erased(before, after, truth, people, Slot("day", days[HALF])),
    ]


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
