"""A deployment of a few weeks, released step by step: what the tests of the release read.

Belongs here: the people of each day, the runs, and what stood in the tables after each run. Does
not: what must be true of it (test_release.py). Invariant: each day tries one rule; a class that must
stand has MANY people, one that must not has FEW, whatever the surcharge.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from dbt_runs import DbtBuilder, DbtOutcome
from psycopg import sql
from raw_rows import RawRows

from analytics_assets.privacy.period_keys import ensure_period_keys, hmac_pads
from analytics_assets.privacy.plan import shipped_plan
from analytics_assets.store.database import Database, qualified

START = date(2026, 4, 27)  # a Monday
MIDNIGHT = {day: datetime(2026, *day, tzinfo=UTC) for day in ((5, 8), (6, 8), (6, 13))}
TEN, ENOUGH, FIFTY_TIMES = (date(2026, 4, day) for day in (27, 28, 29))
NAMED, ORACLE, MIXED, ARCHETYPES = (date(2026, 5, day) for day in (1, 2, 3, 4))
HABITS, FLAGGED, UNFINISHED, UNBUILT, DIRTY = (date(2026, 5, day) for day in (5, 6, 8, 9, 25))
PRUNED, KEPT, PRUNED_WEEK = date(2026, 6, 2), date(2026, 6, 4), date(2026, 6, 1)
FEW, MANY = 10, 25
LATE = 100
MODELS = "+tag:release"
ONLY_MODELS = ("--resource-type", "model")
Event = dict[str, Any]


def at(day: date, hour: int = 10) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def profile(day: date, person: str, **fields: Any) -> Event:
    """One profile analysis; by default everybody's is the same."""
    data = {
        "archetype": "builder",
        "activity_score": 72,
        "collab_score": 45,
        "diversity_score": 51,
        "ai_savviness": 68,
        "ai_percentage": 38,
        "languages": ["Python", "Go"],
        "tools": ["cursor", "aider"],
        **fields,
    }
    return _event(day, person, "analytics", "profile_analyzed", data)


def search(day: date, person: str, query: str) -> Event:
    return _event(day, person, "registry", "search_performed", {"query": query})


def install(day: date, person: str, server: str) -> Event:
    return _event(day, person, "registry", "server_installed", {"server_id": server})


def _event(day: date, person: str, category: str, kind: str, data: Mapping[str, Any]) -> Event:
    return {
        "event_category": category,
        "event_type": kind,
        "timestamp": at(day),
        "user_id": person,
        "subject": person,
        "event_data": dict(data),
    }


def people(count: int, prefix: str = "p") -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def random_profiles(day: date) -> list[Event]:
    """People of all kinds, some without a share or a tool: every step of the ladder acts.

    Explorers have two skills, too few to be told of at all; builders without a language have one,
    to be told only where nothing is said of languages.
    """
    draw = random.Random(7)  # noqa: S311
    found = []
    for person in people(400, "random"):
        archetype = draw.choice(["builder", "builder", "builder", "reviewer", "explorer"])
        languages = draw.choice([["python"], ["Python"], ["Go"], ["Rust"], []])
        savviness = draw.choice([35, 58, 79])
        if archetype == "explorer":
            savviness = max(58, savviness)
        elif archetype == "builder" and not languages:
            savviness = 58
        found.append(
            profile(
                day,
                person,
                archetype=archetype,
                activity_score=draw.choice([40, 44, 72]),
                collab_score=45,
                ai_savviness=savviness,
                ai_percentage=draw.choice([30, 33, 36, 41, None]),
                languages=languages,
                tools=draw.choice([["cursor"], ["aider"], []]),
            )
        )
    return found


def first_days() -> list[Event]:
    """Events up to the first run."""
    uncounted = [
        # An employee, a bot under another subject, an account of 6 days, nobody known, and a
        # second account of p-0.
        profile(TEN, "staff"),
        {**profile(TEN, "bot"), "subject": "cookie-77"},
        profile(TEN, "young"),
        *({**profile(TEN, ""), "user_id": None, "subject": None} for _ in range(3)),
        {**profile(TEN, "p-0-work"), "subject": "p-0"},
    ]
    archetypes = ["analyst"] * FEW + ["automator"] * FEW
    return [
        *(profile(TEN, person) for person in people(FEW)),
        *uncounted,
        *(profile(ENOUGH, person) for person in people(MANY)),
        *(profile(FIFTY_TIMES, "p-0") for _ in range(50)),
        *(profile(FIFTY_TIMES, person) for person in people(FEW)),
        *(
            profile(ARCHETYPES, person, archetype=archetype)
            for person, archetype in zip(people(2 * FEW, "few"), archetypes, strict=True)
        ),
        *(profile(NAMED, person, tools=["octo@example.com"]) for person in people(MANY)),
        *random_profiles(ORACLE),
        *(search(MIXED, person, "  Vector   SEARCH") for person in people(MANY)),
        *(search(MIXED, person, "Olivia Whitfield") for person in people(MANY, "fan")),
        *(search(MIXED, person, f"one of a kind {person}") for person in people(3, "lone")),
        *(install(MIXED, person, "postgres") for person in people(MANY)),
        *(install(MIXED, person, f"rare-{person}") for person in people(MANY, "rare")),
        *habits(HABITS),
        *(profile(FLAGGED, person) for person in [*people(FEW), "tester"]),
    ]


def habits(day: date) -> list[Event]:
    """Events beside what people do most: logins of many, one of whom logs out as often as in.

    And of two who do not count: an account of a day, and a second account of one of them.
    """
    logins = [
        _event(day, person, category, kind, {})
        for person in people(MANY, "habit")
        for category, kind in [
            *[("user_activity", "user.login")] * 2,
            ("content", "profile.updated"),
        ]
    ]
    login = _event(day, "newcomer", "user_activity", "user.login", {})
    logins += [login, {**login, "user_id": "habit-1-work", "subject": "habit-1"}]
    logouts = [_event(day, "habit-0", "user_activity", "user.logout", {}) for _ in range(2)]
    views = [
        _event(day, person, "interaction", f"{what}.viewed", {})
        for what in ("profile", "project")
        for person in people(FEW, what)
    ]
    return [*logouts, *logins, *views]


@dataclass
class Snapshot:
    """Rows of every released table and of the ledger, and whose keys were left."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    ledger: dict[tuple[str, str, date], tuple[Any, ...]] = field(default_factory=dict)
    keys: set[tuple[str, date]] = field(default_factory=set)
    counts_left: int = 0

    def digest(self) -> str:
        """Of everything released, random ids included."""
        return hashlib.sha256(repr(sorted(self.rows.items())).encode()).hexdigest()

    def events(self, day: date) -> list[tuple[Any, ...]]:
        """Rows of anonymous.analytics_events of a day, without id and day."""
        return sorted(
            (row[1:-1] for row in self.rows["anonymous.analytics_events"] if row[-1] == day),
            key=repr,
        )

    def state(self, table: str, kind: str, period: date) -> str:
        """State of the period in the ledger; open where it does not stand there."""
        return str(self.ledger.get((table, kind, period), ("open",))[0])


def take_snapshot(connection: psycopg.Connection[Any]) -> Snapshot:
    snapshot = Snapshot()
    for table in shipped_plan().tables:
        snapshot.rows[table] = sorted(
            connection.execute(sql.SQL("select * from {}").format(qualified(table))).fetchall(),
            key=repr,
        )
    for name, kind, period, *rest in connection.execute(
        """
        select release_table, period_kind, period, state, released_classes, released_people,
               reason
        from ops.release_ledger
        """
    ):
        snapshot.ledger[name, kind, period] = tuple(rest)
    snapshot.keys = set(connection.execute("select period_kind, period from vault.period_keys"))
    (snapshot.counts_left,) = connection.execute(
        "select count(*) from vault.release_counts"
    ).fetchone() or (0,)
    return snapshot


def noise_keys_of(
    connection: psycopg.Connection[Any], day: date, subjects: Sequence[str]
) -> dict[str, int]:
    """Noise keys as unsigned numbers, asked one by one since the function names nobody."""
    rows = connection.execute(
        "select number, noise_key from vault.person_keys('day', %s, %s, %s)"
        " as keyed (person_key, noise_key, number)",
        [day, list(subjects), list(range(len(subjects)))],
    ).fetchall()
    return {subjects[number]: key % 2**64 for number, key in rows}


@dataclass
class World:
    """Snapshots by the name of the run they were taken after."""

    database: Database
    after: dict[str, Snapshot]
    failure: DbtOutcome
    log: str
    keys_drawn: Sequence[bytes]
    noise_keys: Mapping[str, int]  # of the people of ORACLE on that day
    weights: Sequence[int]  # of the noise


class LoggingBuilder(DbtBuilder):
    """Keeps dbt's own log, every statement in it, as a run in production does."""

    flags = ("--quiet",)


def build_world(builder: DbtBuilder, pipeline: psycopg.Connection[Any]) -> Iterator[World]:
    """Run the deployment's runs in order."""
    database = builder.database
    raw = RawRows(pipeline)
    raw.events(first_days())
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    raw.history(
        "users",
        [
            {"user_id": "staff", "valid_from": long_ago, "is_internal": True},
            {"user_id": "bot", "valid_from": long_ago, "is_internal": True},
            {"user_id": "tester", "valid_from": long_ago, "valid_to": at(UNBUILT)},
            {
                "user_id": "young",
                "valid_from": long_ago,
                "signup_at": at(TEN) - timedelta(days=6),
            },
            {"user_id": "newcomer", "valid_from": long_ago, "signup_at": at(HABITS, 1)},
            {"user_id": "p-1", "valid_from": long_ago, "signup_at": at(TEN) - timedelta(days=7)},
        ],
    )
    pipeline.execute(
        "insert into vault.known_identifiers values ('p-3', 'name', 'Olivia Whitfield')"
    )
    drawn: list[bytes] = []
    source = random.Random(5)  # noqa: S311

    def draw(size: int) -> bytes:
        drawn.append(source.randbytes(size))
        return drawn[-1]

    def run(first: date, after: date, as_of: datetime, *extra: str) -> DbtOutcome:
        ensure_period_keys(pipeline, START, as_of, draw)
        return builder.build(
            first, after, select=MODELS, as_of=as_of, start_day=START, extra=(*ONLY_MODELS, *extra)
        )

    taken: dict[str, Snapshot] = {}
    early, late = MIDNIGHT[5, 8], MIDNIGHT[6, 8]

    # The ledger cannot be written: the last statement but one of every release fails.
    with database.connect_as_admin(database.name) as admin:
        admin.execute("revoke insert on ops.release_ledger from analytics_pipeline")
        failure = run(START, date(2026, 5, 9), early)
        admin.execute("grant insert on ops.release_ledger to analytics_pipeline")
    taken["failure"] = take_snapshot(pipeline)
    noise_keys = noise_keys_of(pipeline, ORACLE, people(400, "random"))

    # The last day of the window has only begun.
    run(START, date(2026, 5, 9), early).check()
    taken["first"] = take_snapshot(pipeline)

    raw.events([profile(ENOUGH, person, archetype="reviewer") for person in people(LATE, "late")])
    pipeline.execute(
        "insert into vault.period_keys values ('day', %s, %s, %s)",
        [ENOUGH, *hmac_pads(b"a key that should be gone")],
    )
    run(START, date(2026, 5, 9), early, "--full-refresh").check()
    taken["again"] = take_snapshot(pipeline)

    # One day stays unbuilt and one unfinished; one person turns out to be a tester of ours.
    raw.history("users", [{"user_id": "tester", "valid_from": at(UNBUILT), "is_internal": True}])
    raw.events([profile(day, person) for day in (PRUNED, KEPT) for person in people(MANY)])
    run(date(2026, 5, 10), date(2026, 6, 9), late).check()
    taken["gap"] = take_snapshot(pipeline)

    pipeline.execute("insert into ops.dirty_days (day, reason) values (%s, 'late_data')", [DIRTY])
    run(UNFINISHED, date(2026, 5, 10), late).check()
    taken["dirty"] = take_snapshot(pipeline)

    run(DIRTY, date(2026, 5, 26), late).check()
    taken["all"] = take_snapshot(pipeline)

    # Raw is pruned into the middle of a week that is still open.
    pipeline.execute("insert into ops.retention_floor values ('analytics', %s)", [KEPT])
    run(date(2026, 6, 8), date(2026, 6, 14), MIDNIGHT[6, 13]).check()
    taken["pruned"] = take_snapshot(pipeline)

    log = "".join(path.read_text() for path in sorted(builder.folder.rglob("*.log")))
    weights = [
        weight
        for (weight,) in pipeline.execute("select weight from vault.noise_table order by noise")
    ]
    yield World(database, taken, failure, log, drawn, noise_keys, weights)
