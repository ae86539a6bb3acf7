"""A deployment with events around changes of clocks, its marts built, and a plain model of them.

Invariant: what the model says is computed from the events alone, hour by hour, without SQL.
"""

from __future__ import annotations

import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from door import Door, serving

from analytics_assets.settings import load_settings
from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database

# How dbt is run is shared with its own suites.
sys.path.append(str(Path(__file__).parents[1] / "dbt"))

START, AS_OF = date(2025, 10, 20), datetime(2026, 6, 8, 9, 30, tzinfo=UTC)
# Berlin puts clocks back, then forward (with Beirut, at midnight); Santiago back at midnight and
# Lord Howe by half an hour; an ordinary fortnight.
SPANS = (
    (date(2025, 10, 24), 4),
    (date(2026, 3, 27), 4),
    (date(2026, 4, 3), 4),
    (date(2026, 5, 25), 14),
)
EVENTS_A_DAY = 60
KINDS = (
    ("project.viewed", "interaction", {"project_id": "p1"}),
    ("search.performed", "interaction", {"query": "quiet words", "results_count": 3}),
    ("server_installed", "registry", {"server_id": "weather"}),
)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Sent:
    event_id: str
    event_type: str
    category: str
    user_id: str | None
    timestamp: datetime


@dataclass
class MartsWorld:
    """An API over built marts, and all events in them."""

    door: Door
    events: list[Sent]
    key: str

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of a query that succeeds."""
        response = self.ask(path, **parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def ask(self, path: str, *, accept: str = "*/*", **parameters: Any) -> Any:
        headers = {"x-api-key": self.key, "accept": accept}
        return self.door.client.get(path, params=parameters, headers=headers)

    def pages(self, path: str, name: str, **parameters: Any) -> Iterator[list[Any]]:
        """The rows of each page, following ``next``."""
        answer = self.get(path, **parameters)
        while True:
            yield answer[name]
            if answer["next"] is None:
                return
            answer = self.get(path, **{**parameters, "cursor": answer["next"]})

    def aggregated(self, grain: str, zone: str, first: date, last: date) -> dict[Any, Any]:
        """(start, category, type) -> (events, users), of local periods in [first, last]."""
        tz = ZoneInfo(zone)
        found: dict[Any, list[Sent]] = defaultdict(list)
        for event in self.events:
            local = event.timestamp.astimezone(tz)
            if grain == "weekly":
                first_day = local.date() - timedelta(days=local.weekday())
                inside = first_day <= last and first_day + 6 * DAY >= first
                start = _midnight(first_day, tz)
            else:
                inside = first <= local.date() <= last
                start = _midnight(local.date(), tz)
            if grain == "hourly":
                past = timedelta(
                    minutes=local.minute, seconds=local.second, microseconds=local.microsecond
                )
                start = event.timestamp - past
            if inside:
                found[start, event.category, event.event_type].append(event)
        return {
            key: (len(group), len({e.user_id for e in group} - {None}))
            for key, group in found.items()
        }


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _events() -> list[Sent]:
    rng = Random(11)  # noqa: S311 (test data)
    found = []
    for first, days in SPANS:
        for n in range(days * EVENTS_A_DAY):
            event_type, category, _ = rng.choice(KINDS)
            moment = datetime.combine(first, time(), UTC) + rng.random() * days * DAY
            if n % 10 == 0:  # equal times, whose order is that of their ids
                moment = moment.replace(minute=45, second=0, microsecond=0)
            user = rng.choice([None, *(f"u{i}" for i in range(9))])
            identity = str(uuid.UUID(int=rng.getrandbits(128), version=4))
            found.append(Sent(identity, event_type, category, user, moment))
    return found


def payload(event: Sent) -> dict[str, Any]:
    data = {name: data for name, _, data in KINDS}[event.event_type]
    sent = {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "timestamp": event.timestamp.isoformat(),
        "event_data": data,
        "metadata": {"app": "web", "note": "hidden words"},
    }
    return sent if event.user_id is None else {**sent, "user_id": event.user_id}


@contextmanager
def marts_world(template: Database, home: Path) -> Iterator[MartsWorld]:
    from dbt_runs import DbtBuilder

    settings = load_settings(
        home=home, database_url=None, start_day=START, as_of=AS_OF,
        api_public_requests_per_minute=1_000_000,
    )  # fmt: skip
    with cloned_database(template, "test_marts") as database, serving(settings, database) as door:
        events = _events()
        for n in range(0, len(events), 1_000):
            answer = door.send(*map(payload, events[n : n + 1_000]))
            assert answer["accepted"] == len(events[n : n + 1_000])
        door.load()
        models = (
            "stg_events int_event_counts_15min int_user_hours user_days event_aggregations "
            "event_log search_usage server_installs daily_metrics"
        )
        builder = DbtBuilder(database, home / "dbt")
        builder.build(
            START, AS_OF.date() + DAY, as_of=AS_OF, start_day=START, select=models, command="run"
        ).check()
        _publish(database)
        yield MartsWorld(door, events, door.key("query:events", "query:metrics"))


def _publish(database: Database) -> None:
    """Released rows, past the guard: what is released is tested elsewhere."""
    with database.connect_as_admin(database.name, autocommit=False) as admin:
        admin.execute("set local session_replication_role = replica")
        admin.execute(PUBLISHED)


PUBLISHED = """
insert into published.ai_usage_trends (week, avg_ai_percentage, analyses_count)
values ('2026-05-04', 41.25, 52), ('2026-05-11', 40.5, 12);
insert into published.archetype_distribution (period, archetype, count, avg_ai_score)
values ('2026-04-01', 'any', 14, 40), ('2026-04-01', 'explorer', 18, 45.5);
insert into published.event_trends (period, period_kind, event_category, event_type, n_people)
values
    ('2026-05-04', 'day', 'any', 'any', 40),
    ('2026-05-04', 'week', 'any', 'any', 60),
    ('2026-05-04', 'week', 'interaction', 'project.viewed', 31),
    ('2026-05-11', 'week', 'interaction', 'project.viewed', 33);
insert into published.install_trends (period, period_kind, server_id, n_people)
values ('2026-05-04', 'week', 'any', 14), ('2026-05-04', 'week', 'weather', 15);
insert into published.search_trends (period, period_kind, query, n_people)
values ('2026-05-01', 'month', 'a, "b"', 19);
"""


@contextmanager
def copied(world: MartsWorld) -> Iterator[MartsWorld]:
    """The same over a database that is a copy."""
    original = world.door.database
    with world.door.database.connect_as_admin("postgres") as admin:
        # Nobody may be in a database that is copied; the API's pools come back by themselves.
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
            [original.name],
        )
        with (
            cloned_database(original, "test_marts_copy") as database,
            serving(world.door.settings, database) as door,
        ):
            yield MartsWorld(door, world.events, door.key("query:events", "query:metrics"))
