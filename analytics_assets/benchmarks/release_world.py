"""People and what they did, drawn from a seed and put straight into the tables the release reads.

Belongs here: the draws, and filling the tables of people (marts.int_*). Does not: releasing, or
what must be true of it. Invariant: equal sizes and seeds give equal rows; languages, archetypes and
tools are as uneven as real ones, so that every step of a ladder acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg import sql

from analytics_assets.store.database import Database, qualified

if TYPE_CHECKING:
    import numpy as np

ARCHETYPES: Final = ("builder", "explorer", "reviewer", "architect", "automator")
LANGUAGES: Final = (
    "Python", "TypeScript", "JavaScript", "Java", "Go", "C#", "Rust", "C++", "Ruby", "PHP",
    "Kotlin", "Swift", "SQL", "Shell", "Scala", "Elixir", "Zig", "COBOL",
)  # fmt: skip
TOOLS: Final = ("cursor", "copilot", "claude-code", "aider", None)
EVENT_TYPES: Final = (
    ("user_activity", "user.login"), ("interaction", "profile.viewed"),
    ("interaction", "project.viewed"), ("content", "project.created"),
    ("transaction", "proposal.submitted"), ("content", "profile.updated"),
)  # fmt: skip
SERVERS: Final = tuple(f"server-{letter}" for letter in "abcdefghijkl")
QUERIES: Final = tuple(f"query {letter}" for letter in "abcdefghijkl")
# Shares: of the days on which a person is active; of active days with another language than usual,
# with a package, with an install, with a search.
DAILY_ACTIVE: Final = 0.32
STRAYS: Final = 0.15
PACKAGES: Final = 0.1
REGISTRY: Final = 0.3


class Profile(NamedTuple):
    """A row of marts.int_profile_days."""

    day: date
    subject: str
    event_type: str
    archetype: str
    activity_score: int
    collab_score: int
    diversity_score: int
    ai_savviness: int
    ai_percentage: int
    language: str
    tool: str | None
    template: str | None


@dataclass
class ReleaseWorld:
    """What was drawn: rows by table of people, each with a day first and then what it says."""

    people: int
    days: tuple[date, ...]
    profiles: list[Profile] = field(default_factory=list)
    events: list[tuple[date, str, str, str, int]] = field(default_factory=list)
    installs: list[tuple[date, str, str, int]] = field(default_factory=list)
    searches: list[tuple[date, str, str, int]] = field(default_factory=list)

    @property
    def closes_at(self) -> datetime:
        """A clock at which every period of these days has closed."""
        last = self.days[-1]
        return datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=40)


def draw_world(
    people: int, *, days: int = 60, seed: int = 1, start: date = date(2026, 4, 1)
) -> ReleaseWorld:
    """People of steady habits over some days; about a third of them are active on a day."""
    import numpy as np

    rng = np.random.default_rng([seed, people])
    calendar = tuple(start + timedelta(days=number) for number in range(days))
    world = ReleaseWorld(people, calendar)
    subjects = [f"person-{number:06d}" for number in range(people)]
    archetype = rng.choice(len(ARCHETYPES), people, p=_uneven(len(ARCHETYPES), 0.5))
    language = rng.choice(len(LANGUAGES), people, p=_uneven(len(LANGUAGES), 1.0))
    tool = rng.choice(len(TOOLS), people, p=_uneven(len(TOOLS), 0.6))
    habit = rng.choice(len(EVENT_TYPES), people, p=_uneven(len(EVENT_TYPES), 0.8))
    levels = rng.normal((55, 45, 50, 52, 40), (18, 18, 15, 14, 20), (people, 5))
    # Who is which archetype shows in how much they leave to AI and how well they do it.
    levels[:, 3] += archetype * 3
    levels[:, 4] += archetype * 5
    eager = np.clip(rng.beta(2, 4, people) * DAILY_ACTIVE * 3, 0.02, 0.98)
    for day in calendar:
        active = np.flatnonzero(rng.random(people) < eager)
        scores = np.clip(levels[active] + rng.normal(0, 4, (len(active), 5)), 0, 100).astype(int)
        strays = rng.random(len(active)) < STRAYS
        other = rng.choice(len(LANGUAGES), len(active), p=_uneven(len(LANGUAGES), 1.0))
        packages = rng.random(len(active)) < PACKAGES
        for place, person in enumerate(active):
            activity, collab, diversity, savviness, share = scores[place].tolist()
            world.profiles.append(
                Profile(
                    day,
                    subjects[person],
                    "package_generated" if packages[place] else "profile_analyzed",
                    ARCHETYPES[archetype[person]],
                    activity,
                    collab,
                    diversity,
                    savviness,
                    share,
                    LANGUAGES[other[place] if strays[place] else language[person]],
                    TOOLS[tool[person]],
                    "library" if packages[place] else None,
                )
            )
            category, kind = EVENT_TYPES[habit[person]]
            world.events.append((day, category, kind, subjects[person], 3))
        for rows, labels in ((world.installs, SERVERS), (world.searches, QUERIES)):
            some = active[rng.random(len(active)) < REGISTRY]
            what = rng.choice(len(labels), len(some), p=_uneven(len(labels), 1.0))
            rows += [
                (day, subjects[person], labels[label], 1)
                for person, label in zip(some, what, strict=True)
            ]
    return world


def fill(connection: psycopg.Connection[Any], world: ReleaseWorld) -> None:
    """Put the world into the tables of people in place of what they hold; all days are built.

    The tables must be there: dbt makes them on its first run. The caller commits.
    """
    refill(
        connection,
        {
            "int_profile_days": world.profiles,
            "int_subject_days": world.events,
            "int_subject_installs": world.installs,
            "int_subject_searches": world.searches,
            # Up to the end of the last day's month, so that this month closes too.
            "int_built_days": built_days(world.days[0], world.closes_at),
        },
    )


def refill(
    connection: psycopg.Connection[Any], tables: Mapping[str, Iterable[tuple[Any, ...]]]
) -> None:
    """Put rows into tables of ``marts`` in place of what they hold. The caller commits."""
    for table, rows in tables.items():
        name = sql.Identifier("marts", table)
        connection.execute(sql.SQL("truncate {}").format(name))
        copying = sql.SQL("copy {} from stdin").format(name)
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            for row in rows:
                copy.write_row(row)
        connection.execute(sql.SQL("analyze {}").format(name))


def forget(database: Database) -> None:
    """Empty all released tables, the ledger and the keys, as nobody but an administrator could.

    For databases made to be measured or tested alone.
    """
    from analytics_assets.privacy.plan_store import current_entries

    with database.connect_as_admin(database.name, autocommit=False) as admin:
        for table in (*current_entries(admin), "ops.release_ledger", "ops.dp_ledger"):
            for statement in (
                "alter table {} disable trigger user",
                "truncate {}",
                "alter table {} enable trigger user",
            ):
                admin.execute(sql.SQL(statement).format(qualified(table)))
        admin.execute("truncate vault.period_keys, vault.laplace_noise")
        admin.commit()


def built_days(first: date, closes_at: datetime) -> Iterator[tuple[date, datetime]]:
    """Rows of ``int_built_days``: every day before ``closes_at``, built then."""
    for number in range((closes_at.date() - first).days):
        yield first + timedelta(days=number), closes_at


def _uneven(size: int, power: float) -> np.ndarray:
    """Shares as of a Zipf law."""
    import numpy as np

    weights = 1 / np.arange(1, size + 1) ** power
    return np.asarray(weights / weights.sum())
