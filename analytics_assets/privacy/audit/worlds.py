"""Worlds whose truth is known: people of several sizes and seeds, planted people, trial cells.

Belongs here: what is drawn, and putting it where the release reads. Does not: releasing it
(rehearsal.py), attacks. Invariant: all worlds stand one after the other in one calendar, so that
one dbt run releases them all; equal seeds give equal rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any, Final

import psycopg

from analytics_assets.benchmarks.release_world import (
    Profile,
    ReleaseWorld,
    built_days,
    draw_world,
    refill,
)
from analytics_assets.windows import next_month

SIZES: Final = (40, 120, 400, 2000)
SEEDS: Final = (1, 2, 3)
START: Final = date(2024, 1, 1)  # a Monday, and the first of a quarter
DAYS: Final = 42
FEWER_DAYS: Final = (2000, 21)  # of worlds of so many people or more
# Few worlds of the sizes above tell a sensitive value; this one does: people, seed, days.
CROWD: Final = (20_000, 1, 2)
CONTROL: Final = 4  # one control, who is in no table, for so many people
RARE_LANGUAGES: Final = ("Elm", "Zig", "COBOL")
RARE_EVENT: Final = ("content", "rare.event")
PAIR_SIZES: Final = (10, 12, 14, 19, 29)
PAIRS: Final = 2000
STICKY: Final = 500
STICKY_SIZE: Final = 20


@dataclass
class World:
    """One drawn world. ``controls`` are people like the others whose rows were kept out."""

    people: int
    seed: int
    drawn: ReleaseWorld
    controls: list[Profile]
    planted: str
    planted_days: tuple[date, ...]

    @property
    def name(self) -> str:
        return f"{self.people} people, seed {self.seed}"

    @property
    def first(self) -> date:
        return self.drawn.days[0]

    @property
    def after(self) -> date:
        """The first day that is not of this world's months any more."""
        return next_month(next_month(self.first))


@dataclass
class Trials:
    """Cells made for counting: pairs of n and n + 1 people, and the same people told again.

    ``cells`` maps (week, label) to the true number of people.
    """

    first: date
    rows: list[tuple[date, str, str, int]] = field(default_factory=list)
    cells: dict[tuple[date, str], int] = field(default_factory=dict)
    known: dict[tuple[date, str], list[str]] = field(default_factory=dict)
    # (week, label) of the first telling, of the same people again, and with one exchanged.
    again: list[tuple[tuple[date, str], tuple[date, str]]] = field(default_factory=list)
    exchanged: list[tuple[tuple[date, str], tuple[date, str]]] = field(default_factory=list)

    @property
    def after(self) -> date:
        return self.first + timedelta(days=91)


@dataclass
class Worlds:
    """All worlds of one database."""

    worlds: list[World]
    trials: Trials | None

    @property
    def start_day(self) -> date:
        return self.worlds[0].first

    @property
    def closes_at(self) -> datetime:
        """A clock at which every period has closed."""
        last = max([self.worlds[-1].after, *([self.trials.after] if self.trials else [])])
        return datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=40)

    def identifiers(self) -> set[str]:
        """Everybody's name, planted people and controls among them."""
        names = {row.subject for world in self.worlds for row in world.drawn.profiles}
        names |= {row.subject for world in self.worlds for row in world.controls}
        return names | {world.planted for world in self.worlds}


def draw_worlds(
    sizes: Iterable[int] = SIZES,
    seeds: Iterable[int] = SEEDS,
    *,
    pairs: int = PAIRS,
    days: int = DAYS,
) -> Worlds:
    """Every size with every seed, two months each, and a quarter of trial cells after them.

    Neither the crowd nor trial cells with ``pairs`` of 0.
    """
    worlds = []
    start = START
    drawn = [
        (size, seed, days if size < FEWER_DAYS[0] else FEWER_DAYS[1])
        for size in sizes
        for seed in seeds
    ]
    for size, seed, length in [*drawn, *([CROWD] if pairs else [])]:
        worlds.append(_draw(size, seed, start, length))
        start = worlds[-1].after
    while start.month % 3 != 1:
        start = next_month(start)
    return Worlds(worlds, _draw_trials(start, pairs) if pairs else None)


def _draw(size: int, seed: int, start: date, days: int) -> World:
    drawn = draw_world(size + size // CONTROL, days=days, seed=seed, start=start)
    prefix = f"w{size}s{seed}-"
    controls = [
        row._replace(subject=prefix + row.subject)
        for row in drawn.profiles
        if _number(row.subject) >= size
    ]
    drawn.profiles = [
        row._replace(subject=prefix + row.subject)
        for row in drawn.profiles
        if _number(row.subject) < size
    ]
    # The first person makes nine events in ten.
    drawn.events = [
        (day, category, kind, prefix + subject, 9 * 3 * size if _number(subject) == 0 else count)
        for day, category, kind, subject, count in drawn.events
        if _number(subject) < size
    ]
    for rows in (drawn.installs, drawn.searches):
        rows[:] = [
            (day, prefix + subject, label, count)
            for day, subject, label, count in rows
            if _number(subject) < size
        ]
    planted = f"{prefix}planted-rare-7"
    planted_days = drawn.days[2:5]
    for day, language in zip(planted_days, RARE_LANGUAGES, strict=False):
        drawn.profiles.append(
            Profile(
                day,
                planted,
                "profile_analyzed",
                "architect",
                5,
                95,
                5,
                95,
                95,
                language,
                None,
                None,
            )
        )
        drawn.events.append((day, *RARE_EVENT, planted, 50))
    return World(size, seed, drawn, controls, planted, planted_days)


def _number(subject: str) -> int:
    return int(subject.rpartition("-")[2])


def _draw_trials(first: date, pairs: int) -> Trials:
    """Weeks of a quarter, one for each size of pair; then the same people twice more."""
    draw = random.Random(pairs)  # noqa: S311
    trials = Trials(first)
    monday = first + timedelta(days=-first.weekday() % 7)
    most = pairs * (2 * max(PAIR_SIZES) + 1)
    names = [f"trial-{number}" for number in range(most)]
    for number, size in enumerate(PAIR_SIZES):
        week = monday + timedelta(weeks=number)
        crowd = iter(draw.sample(names, pairs * (2 * size + 1)))
        for pair in range(pairs):
            for more in (0, 1):
                _cell(trials, week, f"pair-{size}-{pair}-{more}", _take(crowd, size + more))
    weeks = [monday + timedelta(weeks=len(PAIR_SIZES) + number) for number in range(3)]
    crowd = iter(draw.sample(names, min(most, pairs * (STICKY_SIZE + 1))))
    for number in range(min(STICKY, pairs)):
        people, stranger = _take(crowd, STICKY_SIZE), _take(crowd, 1)
        told = (weeks[0], f"told-{number}")
        again, exchanged = (weeks[1], f"again-{number}"), (weeks[2], f"exchanged-{number}")
        _cell(trials, *told, people)
        _cell(trials, *again, people)
        _cell(trials, *exchanged, people[1:] + stranger)
        trials.again.append((told, again))
        trials.exchanged.append((told, exchanged))
    return trials


def _cell(trials: Trials, week: date, label: str, people: list[str]) -> None:
    trials.cells[week, label] = len(people)
    trials.known[week, label] = people
    trials.rows += [(week, person, label, 1) for person in people]


def _take(people: Iterator[str], count: int) -> list[str]:
    return [next(people) for _ in range(count)]


def fill(connection: psycopg.Connection[Any], worlds: Worlds) -> None:
    """Put all worlds into the tables of people, in place of what they hold. The caller commits."""
    trials = worlds.trials.rows if worlds.trials else []
    drawn = [world.drawn for world in worlds.worlds]
    refill(
        connection,
        {
            "int_profile_days": chain.from_iterable(world.profiles for world in drawn),
            "int_subject_days": chain.from_iterable(world.events for world in drawn),
            "int_subject_installs": chain(*(world.installs for world in drawn), trials),
            "int_subject_searches": chain.from_iterable(world.searches for world in drawn),
            "int_built_days": built_days(worlds.start_day, worlds.closes_at),
        },
    )
