"""The release of 400,000 person-days, beside the plain ``group by … having`` on the same rows.

Belongs here: what is timed. Does not: the people (release_world.py). Invariant: both count the same
rows in the same server; the release's time is that of its dbt model, counting, noise, guard, insert
and ledger included, dbt's own start left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, LiteralString

from analytics_assets.benchmarks.measure import BenchmarkError, Figure, timed
from analytics_assets.benchmarks.release_world import ReleaseWorld, draw_world, fill, forget
from analytics_assets.settings import Settings, child_environment, load_settings
from analytics_assets.store.database import Database
from analytics_assets.store.embedded import EmbeddedPostgres
from analytics_assets.store.migrate import migrate
from analytics_assets.windows import Window, monday_of

PEOPLE: Final = 20_500
DAYS: Final = 61
SMALLER: Final = 4  # times
RELEASE_SECONDS: Final = 3.0
STATED: Final = 400_000
TIMES_PER_PERSON: Final = 1.3
# What everybody writes: classes of more than 10, by person and label.
PLAIN: Final[dict[str, LiteralString]] = {
    "event_trends": """
        create temporary table plain on commit drop as
        with kinds (kind) as (values ('day'), ('week'), ('month'))
        select kind, date_trunc(kind, day::timestamp)::date as period, event_category, event_type,
            count(distinct subject) as n_people
        from marts.int_subject_days
        cross join kinds
        group by 1, 2, 3, 4
        having count(distinct subject) > 10
    """,
    "ai_usage_trends": """
        create temporary table plain on commit drop as
        select date_trunc('week', day::timestamp)::date as period, ai_percentage / 5 as bucket,
            count(distinct subject) as n_people
        from marts.int_profile_days
        group by 1, 2
        having count(distinct subject) > 10
    """,
    "analytics_events": """
        create temporary table plain on commit drop as
        with classes as (
            select day, event_type, archetype, floor(ai_savviness / 10) as ai_savviness,
                floor(ai_percentage / 5) as ai_percentage, language,
                count(distinct subject) as n_people
            from marts.int_profile_days
            group by 1, 2, 3, 4, 5, 6
            having count(distinct subject) > 10
        )
        select gen_random_uuid() as id, classes.* from classes, generate_series(1, n_people)
    """,
}


def release(people: int = PEOPLE, folder: Path | None = None) -> list[Figure]:
    """Figures of each table at that many people, and how they grow from a quarter of them."""
    home = Path(tempfile.mkdtemp(prefix="analytics-bench-", dir=folder))
    server = EmbeddedPostgres(home)
    try:
        few = draw_world(people // SMALLER, days=DAYS)
        many = draw_world(people, days=DAYS)
        settings = load_settings(
            home=home,
            database_url=None,
            start_day=many.days[0],
            as_of=many.closes_at,
            sources_file=None,
            catalogue_dirs="",
            gemini_api_key=None,
            slack_webhook_url=None,
        )
        database = Database.open(settings)
        migrate(database)
        _dbt(settings, database, many, "+tag:release", "--exclude", "tag:release")
        before = _release(settings, database, few)
        after = _release(settings, database, many)
        days, periods = len(many.profiles), _person_periods(many)
        figures = [
            Figure("person-days", days),
            Figure("person-days, -weeks and -months of event_trends", periods),
            Figure(
                f"event_trends, for {STATED:,} of them",
                after["event_trends"] / periods * STATED,
                "s",
                at_most=RELEASE_SECONDS,
            ),
        ]
        for model in PLAIN:
            figures += [
                Figure(model, after[model], "s"),
                Figure(f"{model}, plain group by … having", _plain(database, model), "s"),
                Figure(
                    f"{model}, seconds a person at {SMALLER} times the people",
                    after[model] / before[model] / SMALLER,
                    "x",
                    at_most=TIMES_PER_PERSON,
                ),
            ]
        return figures
    finally:
        server.destroy()
        shutil.rmtree(home, ignore_errors=True)


def _person_periods(world: ReleaseWorld) -> int:
    """What event_trends counts: a person once a day, once a week and once a month."""
    seen = set()
    for day, *_, subject, _ in world.events:
        monday = monday_of(day)
        seen |= {("day", day, subject), ("week", monday, subject)}
        seen.add(("month", day.replace(day=1), subject))
    return len(seen)


def _release(settings: Settings, database: Database, world: ReleaseWorld) -> dict[str, float]:
    from analytics_assets.privacy.period_keys import ensure_period_keys

    forget(database)
    with database.connect("analytics_pipeline") as connection:
        fill(connection, world)
        ensure_period_keys(connection, world.days[0], world.closes_at)
    return _dbt(settings, database, world, "tag:release")


def _dbt(
    settings: Settings, database: Database, world: ReleaseWorld, *selection: str
) -> dict[str, float]:
    """Seconds of each model. Raises BenchmarkError with what dbt said when it fails."""
    from analytics_assets.resources import dbt_environment, dbt_executable

    target = settings.home / "dbt"
    window = Window(world.days[0], world.closes_at.date() + timedelta(days=1))
    project = str(settings.dbt_project_dir)
    command: Sequence[str] = (
        dbt_executable(), "build", "--select", *selection, "--resource-type", "model",
        "--threads", "1", "--project-dir", project, "--profiles-dir", project,
        "--target-path", str(target), "--log-path", str(target),
    )  # fmt: skip
    done = subprocess.run(
        command,
        env=child_environment(dict(dbt_environment(settings, database, window))),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"the release failed:\n{done.stdout[-2000:]}")
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    return {each["unique_id"].split(".")[-1]: each["execution_time"] for each in results}


def _plain(database: Database, model: str) -> float:
    with database.connect("analytics_pipeline") as connection:
        connection.execute("set local work_mem = '96MB'")
        return timed(lambda: connection.execute(PLAIN[model]))
