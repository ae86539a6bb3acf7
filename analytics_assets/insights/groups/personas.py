"""Segments and personas: who came how often in a month, and what for.

Belongs here: months of facets as features, clusters of people, the two tables. Does not: arithmetic
(vectors/clustering.py) or the floor (grouping.py). Invariant: segment and persona are values of
closed lists, so that they can be released as they are; a model words the description of a persona
at most, from figures about all its people, and never decides who belongs to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from analytics_assets.insights.asking.configured import configured
from analytics_assets.insights.asking.stage_run import Connect, Limits
from analytics_assets.insights.floor import FLOOR_PEOPLE, told_people
from analytics_assets.insights.groups.asking import Asked, GroupRun, Question, told
from analytics_assets.insights.groups.gate import PASSING_SCORE, Leaks
from analytics_assets.insights.groups.grouping import LEAST_PEOPLE, Row, Size
from analytics_assets.insights.groups.prompts import (
    AUDIT_TEXT,
    DESCRIBE_PERSONA,
    Audit,
    PersonaText,
)
from analytics_assets.insights.groups.rows import Facet, facets_of, in_words
from analytics_assets.insights.providers.protocol import Provider
from analytics_assets.insights.scrubbing.dictionary import Scrubbers
from analytics_assets.insights.taxonomy import Outcome, Segment, Task, Topic
from analytics_assets.insights.vectors.workshop import work
from analytics_assets.store.database import lock_table
from analytics_assets.windows import Window, next_month

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

SEGMENTS, PERSONAS = "insights.segments", "insights.personas"
MIXED, OCCASIONAL = "mixed", "occasional"
LEAST_CONVERSATIONS = 2  # fewer say nothing about what somebody comes for
MOST_PERSONAS = 6
PEOPLE_PER_CLUSTER = 8  # small ones are merged by name, or not told
FOCUS = 0.4  # of a persona's conversations, to be named by their topic
TASK_WEIGHT = 0.3
REGULAR_DAYS = 4
FADING_AFTER = timedelta(days=14)
_SIGNED_UP = """
select user_id, min((signup_at at time zone 'UTC')::date) from raw.users
where user_id = any(%s) group by user_id
"""


@dataclass(frozen=True)
class PersonMonth:
    """One user's facets of a month."""

    user_id: str
    facets: tuple[Facet, ...]

    @property
    def days(self) -> list[date]:
        return sorted({facet.day for facet in self.facets})

    @property
    def conversations(self) -> int:
        return len({facet.conversation_id for facet in self.facets})

    def features(self) -> list[float]:
        """Shares of topics and, of less weight, of tasks."""
        topics = Counter(facet.topic for facet in self.facets)
        tasks = Counter(facet.task for facet in self.facets)
        n = len(self.facets)
        return [topics[topic] / n for topic in Topic] + [
            TASK_WEIGHT * tasks[task] / n for task in Task
        ]


@dataclass
class PersonasOutcome:
    """What became of a run, for metadata."""

    window: Window
    people: int = 0
    personas: int = 0
    by_model: int = 0
    peak_mib: int = 0
    asked: Asked = field(default_factory=Asked)

    def metadata(self) -> dict[str, int | str]:
        return {
            "months": f"{self.window.start:%Y-%m} to {self.window.last_day:%Y-%m}",
            "people": told_people(self.people),
            "personas": self.personas,
            "described_by_model": self.by_model,
            "peak_mib_of_work": self.peak_mib,
            **told(self.asked),
        }


def persona_window(database: Database, window: Window, settings: Settings) -> PersonasOutcome:
    """Segments and personas of every month the window touches, as the settings say."""
    model = configured(settings)
    return find_personas(
        lambda: database.connect("analytics_pipeline"),
        window.months(),
        model.provider,
        settings.now(),
        model.limits,
    )


def find_personas(
    connect: Connect,
    months: Window,
    provider: Provider | None,
    now: datetime,
    limits: Limits | None = None,
) -> PersonasOutcome:
    """Replace the months' segments and personas; ``provider`` is closed at the end."""
    outcome = PersonasOutcome(months)
    with connect() as conn:
        with conn.transaction():
            facets = facets_of(conn, months, now)
            scrubber = Scrubbers(conn).of(())
        conn.commit()
        run = GroupRun(
            conn, provider, limits or Limits(), now, months.last_day, scrubber, outcome.asked
        )

        async def replace(run: GroupRun) -> None:
            for month in _months(months):
                mine = [facet for facet in facets if facet.day in month]
                await _replace_month(run, month, mine, outcome)

        run.run(replace)
    return outcome


async def _replace_month(
    run: GroupRun, month: Window, facets: Sequence[Facet], outcome: PersonasOutcome
) -> None:
    people = by_person(facets)
    personas, peak = assigned(people)
    outcome.people = max(outcome.people, len(people))
    outcome.peak_mib = max(outcome.peak_mib, peak)
    rows = []
    for persona in sorted(set(personas)):
        members = [p for p, name in zip(people, personas, strict=True) if name == persona]
        of_all = [facet for member in members for facet in member.facets]
        size = Size.of(Row(facet.person, facet.conversation_id) for facet in of_all)
        if size.stands:
            rows.append((persona, size, features_of(members), _users(members)))
    texts = await _descriptions(run, rows)
    conn = run.conn
    with conn.transaction():
        lock_table(conn, SEGMENTS)
        signed_up = dict(
            conn.execute(_SIGNED_UP, [[person.user_id for person in people]]).fetchall()
        )
        last = min(month.last_day, run.now.date())
        for table in (SEGMENTS, PERSONAS):
            conn.execute(f"delete from {table} where month = %s".encode(), [month.start])  # noqa: S608
        with conn.cursor() as cursor:
            cursor.executemany(
                "insert into insights.segments (user_id, month, segment, persona, conversations, "
                "active_days) values (%s, %s, %s, %s, %s, %s)",
                [
                    (
                        person.user_id,
                        month.start,
                        segment_of(person, signed_up.get(person.user_id), month.start, last),
                        persona,
                        person.conversations,
                        len(person.days),
                    )
                    for person, persona in zip(people, personas, strict=True)
                ],
            )
            cursor.executemany(
                "insert into insights.personas (month, persona, description, n_people, "
                "n_conversations, top_share, features, label_source, score) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        month.start, persona, text, size.people, size.conversations,
                        round(size.top_share, 3), Jsonb(features), source, score,
                    )
                    for (persona, size, features, _), (text, source, score) in zip(
                        rows, texts, strict=True
                    )
                ],
            )  # fmt: skip
    outcome.personas += len(rows)
    outcome.by_model += sum(source == "model" for _, source, _ in texts)


def by_person(facets: Sequence[Facet]) -> list[PersonMonth]:
    """Facets by user, in the order of ids."""
    found: dict[str, list[Facet]] = defaultdict(list)
    for facet in facets:
        found[facet.user_id].append(facet)
    return [PersonMonth(user_id, tuple(found[user_id])) for user_id in sorted(found)]


def assigned(people: Sequence[PersonMonth]) -> tuple[list[str], int]:
    """Everybody's persona, in their order, and the peak memory of the arithmetic in MiB."""
    talked = [p for p in people if p.conversations >= LEAST_CONVERSATIONS]
    labels, peak = _clustered(talked)
    topics: dict[int, Counter[str]] = defaultdict(Counter)
    for person, label in zip(talked, labels, strict=True):
        topics[label].update(facet.topic for facet in person.facets)
    name_of = {label: focus_of(counted) for label, counted in topics.items()}
    names = {p.user_id: name_of[label] for p, label in zip(talked, labels, strict=True)}
    return [names.get(person.user_id, OCCASIONAL) for person in people], peak


def _clustered(talked: Sequence[PersonMonth]) -> tuple[list[int], int]:
    """The cluster of each, one for all where they are few, and the peak memory in MiB."""
    if len(talked) < LEAST_PEOPLE:
        return [0] * len(talked), 0
    import numpy as np

    k = min(MOST_PERSONAS, len(talked) // PEOPLE_PER_CLUSTER)
    vectors = np.array([p.features() for p in talked], dtype=np.float32)
    done = work("cluster", {"kinds": ["people"], "k": {"people": k}}, {"people.vectors": vectors})
    return done.arrays["people.labels"].tolist(), done.peak_mib


def focus_of(topics: Mapping[str, int]) -> str:
    """The topic most of the conversations are about, or ``mixed``."""
    best = min(topics, key=lambda topic: (-topics[topic], topic))
    known = best != Topic.OTHER and topics[best] >= FOCUS * sum(topics.values())
    return best if known else MIXED


def segment_of(person: PersonMonth, signed_up: date | None, start: date, last: date) -> Segment:
    """How active the user was in the month that begins at ``start``, seen from its ``last`` day."""
    days = person.days
    if signed_up is not None and start <= signed_up < next_month(start):
        return Segment.NEW
    if len(days) > 1 and last - days[-1] >= FADING_AFTER:
        return Segment.FADING
    return Segment.REGULAR if len(days) >= REGULAR_DAYS else Segment.OCCASIONAL


def features_of(members: Sequence[PersonMonth]) -> dict[str, Any]:
    """Figures about all of a persona's people together."""
    facets = [facet for member in members for facet in member.facets]
    n = len(facets)

    def most(values: Sequence[str]) -> dict[str, float]:
        counted = Counter(values)
        # A value that few have would be about those few.
        common = [one for one in counted if counted[one] >= max(FLOOR_PEOPLE, n // 20)]
        best = sorted(common, key=lambda one: (-counted[one], one))[:3]
        return {one: round(counted[one] / n, 2) for one in best}

    return {
        "topics": most([facet.topic for facet in facets]),
        "tasks": most([facet.task for facet in facets]),
        "frictions": most([facet.friction for facet in facets if facet.friction != "none"]),
        "achieved": round(sum(f.outcome == Outcome.ACHIEVED for f in facets) / n, 2),
        "conversations_a_person": round(n / len(members), 1),
        "active_days_a_person": round(sum(len(m.days) for m in members) / len(members), 1),
    }


async def _descriptions(
    run: GroupRun, rows: Sequence[tuple[str, Size, dict[str, Any], tuple[str, ...]]]
) -> list[tuple[str, str, int]]:
    """Text, who wrote it and its score, for every persona."""
    leaks = Leaks.of(run.scrubber, ())
    texts = [in_figures(persona, features) for persona, _, features, _ in rows]
    answers = await run.ask(
        [
            Question(DESCRIBE_PERSONA, text, users, (text,))
            for text, (*_, users) in zip(texts, rows, strict=True)
        ]
    )
    written = [
        answer.description.strip() if isinstance(answer, PersonaText) else "" for answer in answers
    ]
    safe = [place for place, text in enumerate(written) if text and leaks.found(text) is None]
    audits = await run.ask(
        [Question(AUDIT_TEXT, written[p], rows[p][3], (written[p],)) for p in safe]
    )
    scores = {
        place: audit.score
        for place, audit in zip(safe, audits, strict=True)
        if isinstance(audit, Audit) and audit.score >= PASSING_SCORE
    }
    return [
        (written[place], "model", scores[place])
        if place in scores
        else (by_rules(persona, features), "rules", 5)
        for place, (persona, _, features, _) in enumerate(rows)
    ]


def in_figures(persona: str, features: Mapping[str, Any]) -> str:
    """What a model is shown of a persona."""
    lines = [f"persona: {in_words(persona)}"]
    for name in ("topics", "tasks", "frictions"):
        listed = ", ".join(f"{in_words(k)} {v:.0%}" for k, v in features[name].items())
        lines.append(f"{name}: {listed or 'none often'}")
    lines.append(f"got it done: {features['achieved']:.0%} of conversations")
    lines.append(f"conversations of a person in the month: {features['conversations_a_person']}")
    return "\n".join(lines)


def by_rules(persona: str, features: Mapping[str, Any]) -> str:
    """A description from the closed lists alone."""
    if persona == OCCASIONAL:
        return "People who came once, for many things."
    tasks = " and ".join([in_words(task) for task in features["tasks"] if task != "other"][:2])
    often = f", most often to {tasks}" if tasks else ""
    if persona == MIXED:
        return f"People who come for many things{often}."
    return f"People who come mostly for {in_words(persona)}{often}."


def _users(members: Sequence[PersonMonth]) -> tuple[str, ...]:
    return tuple(member.user_id for member in members)


def _months(window: Window) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        end = next_month(start)
        yield Window(start, end)
        start = end
