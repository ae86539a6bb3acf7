"""The daily summary as text: from numbers to markdown, and from markdown to Slack's blocks.

Belongs here: wording, order, and the floor under every count of people. Does not: queries
(daily_summary.py) or posting. Invariant: pure and deterministic, so that equal numbers give equal
bytes and a text is posted once; no count of 10 people or fewer, nor one that a difference reveals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from analytics_assets.insights.floor import FLOOR_PEOPLE, STEP

if TYPE_CHECKING:
    from analytics_assets.insights.answers.metric_anomalies import Anomaly

PEOPLE_METRIC = "active_users"
# Averages over people: of ten or fewer they tell as much as the people's own numbers.
PER_PERSON_METRICS = frozenset({"user_engagement"})
MAX_EVENT_TYPES = 10
# Slack takes 50 blocks, 3000 characters in a section and 150 in a header.
MAX_BLOCK_CHARS = 2900
MAX_BLOCKS = 50
MAX_HEADER_CHARS = 150
CUT = "…"
_TEN = 10
TOO_LONG = "The rest stands in `insights.daily_summary`."
NOT_ENOUGH = f"Not enough people: shown for groups of {FLOOR_PEOPLE} or more."


@dataclass(frozen=True)
class EventType:
    event_type: str
    events: int
    people: int


@dataclass(frozen=True)
class InsightCounts:
    """Consenting people with an insight that day, and how many of them per field and value."""

    people: int
    by_field: Mapping[str, Mapping[str, int]]
    sentiment: Decimal | None
    satisfaction: Decimal | None


@dataclass(frozen=True)
class Published:
    """The newest published trend at that day: ``(week, share, analyses)`` and archetypes."""

    trend: tuple[date, Decimal, int] | None
    archetypes: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Missing:
    """A thing the summary lacks, why, and since which day where that is known."""

    what: str
    why: str
    since: date | None = None

    def as_json(self) -> dict[str, str | None]:
        since = None if self.since is None else self.since.isoformat()
        return {"what": self.what, "why": self.why, "since": since}


@dataclass(frozen=True)
class DayFacts:
    day: date
    metrics: Mapping[str, Decimal]
    previous: Mapping[str, Decimal]
    event_types: Sequence[EventType]
    published: Published
    insights: InsightCounts
    missing: Sequence[Missing]
    anomalies: Sequence[Anomaly] = ()
    answers: Sequence[str] = ()
    answers_end: date | None = None


def about(people: int) -> str:
    """A count of 11 people or more, rounded down: one person more or less mostly hides."""
    return f"{max(FLOOR_PEOPLE, people - people % STEP)}+"


def gated(counts: Mapping[str, int], people: int) -> list[tuple[str, int]]:
    """Values that may be named, the largest first: 11 people have them, and 11 or none have
    not.
    """
    named = [
        (value, count)
        for value, count in counts.items()
        if count >= FLOOR_PEOPLE and (count == people or people - count >= FLOOR_PEOPLE)
    ]
    return sorted(named, key=lambda pair: (-pair[1], pair[0]))


def markdown_of(facts: DayFacts) -> str:
    """The summary of a day."""
    sections = [
        ("Metrics", _metrics(facts)),
        ("Out of the ordinary", [_anomaly(one) for one in facts.anomalies]),
        ("Activity", _activity(facts.event_types)),
        ("Published trends", _published(facts.published)),
        ("What users said", _insights(facts.insights)),
        (f"Answers, 28 days to {facts.answers_end}", list(facts.answers)),
        ("Missing", [_missing(item) for item in facts.missing] or ["Nothing."]),
    ]
    lines = [f"# Daily summary {facts.day.isoformat()}"]
    for heading, items in sections:
        if items:
            lines += ["", f"## {heading}", *(f"- {item}" for item in items)]
    return "\n".join(lines) + "\n"


def slack_payload(markdown: str, note: str = "") -> dict[str, Any]:
    """Block Kit of a summary; ``text`` is what notifications show. ``note`` follows the title."""
    title, *rest = markdown.strip().splitlines()
    title = title.removeprefix("# ") + note
    sections: list[list[str]] = []
    for line in rest:
        if line.startswith("## "):
            sections.append([f"*{_escaped(line.removeprefix('## '))}*"])
        elif line.startswith("- ") and sections:
            sections[-1].append(f"• {_escaped(line.removeprefix('- '))}")
    texts = [text for section in sections for text in _pages(section)]
    if len(texts) >= MAX_BLOCKS:
        texts = [*texts[: MAX_BLOCKS - 2], TOO_LONG]
    header = {"type": "plain_text", "text": title[:MAX_HEADER_CHARS]}
    blocks = [{"type": "header", "text": header}, *map(_block, texts)]
    return {"text": title, "blocks": blocks}


def _pages(lines: Sequence[str]) -> Iterator[str]:
    """The lines of a section, in as many blocks as they need."""
    page = ""
    for line in map(_short, lines):
        if page and len(page) + 1 + len(line) > MAX_BLOCK_CHARS:
            yield page
            page = line
        else:
            page = f"{page}\n{line}" if page else line
    yield page


def _short(line: str) -> str:
    """A line no longer than a block, never cut within an escape such as ``&amp;``."""
    if len(line) <= MAX_BLOCK_CHARS:
        return line
    kept = line[: MAX_BLOCK_CHARS - len(CUT)]
    start = kept.rfind("&")
    return (kept[:start] if start >= 0 and ";" not in kept[start:] else kept) + CUT


def _block(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _metrics(facts: DayFacts) -> list[str]:
    lines = []
    for name in sorted(facts.metrics):
        line = f"{_words(name)}: {_metric(name, facts.metrics)}"
        if name in facts.previous:
            line += f" (day before: {_metric(name, facts.previous)})"
        lines.append(line)
    return lines


def _metric(name: str, metrics: Mapping[str, Decimal]) -> str:
    people = metrics.get(PEOPLE_METRIC, Decimal(0))
    if name == PEOPLE_METRIC or name in PER_PERSON_METRICS:
        if people < FLOOR_PEOPLE:
            return f"fewer than {FLOOR_PEOPLE} people"
        if name == PEOPLE_METRIC:
            return about(int(people))
    return _number(metrics[name])


def _anomaly(anomaly: Anomaly) -> str:
    name = anomaly.metric_name
    weekday = f"{anomaly.day:%A}"
    if name == PEOPLE_METRIC:
        value, usual = (
            about(int(number)) if number >= FLOOR_PEOPLE else f"fewer than {FLOOR_PEOPLE} people"
            for number in (anomaly.value, anomaly.expected)
        )
    elif name in PER_PERSON_METRICS:
        # Of how few people it would be told without saying so: only the direction is.
        return (
            f"{_words(name)}: {'more' if anomaly.score > 0 else 'less'} than usual on a {weekday}"
        )
    else:
        value, usual = (_roughly(number) for number in (anomaly.value, anomaly.expected))
    return f"{_words(name)}: {value}, usually about {usual} on a {weekday}"


def _roughly(number: float) -> str:
    """To whole units where there are ten of them."""
    digits = 0 if abs(number) >= _TEN else 2
    return _number(Decimal(str(round(number, digits))))


def _number(value: Decimal) -> str:
    rounded = value.quantize(Decimal("0.01")).normalize()
    return f"{rounded:,f}"


def _activity(found: Sequence[EventType]) -> list[str]:
    named = [kind for kind in found if kind.people >= FLOOR_PEOPLE]
    named.sort(key=lambda kind: (-kind.events, kind.event_type))
    lines = [
        f"{kind.event_type}: {kind.events:,} events by {about(kind.people)} people"
        for kind in named[:MAX_EVENT_TYPES]
    ]
    if len(found) > len(lines):
        lines.append("Other event types are rarer or come from too few people to show.")
    return lines


def _published(published: Published) -> list[str]:
    lines = []
    if published.trend is not None:
        week, share, analyses = published.trend
        lines.append(
            f"AI share in the week of {week.isoformat()}: {_number(share)} % "
            f"of {analyses:,} analyses"
        )
    if published.archetypes:
        listed = ", ".join(f"{name} {count:,}" for name, count in published.archetypes)
        lines.append(f"Archetypes: {listed}")
    return lines


def _insights(counts: InsightCounts) -> list[str]:
    if counts.people < FLOOR_PEOPLE:
        return [NOT_ENOUGH]
    lines = [f"From conversations of {about(counts.people)} consenting people."]
    for field, values in counts.by_field.items():
        named = gated(values, counts.people)
        if named:
            listed = ", ".join(f"{_words(value)} {about(count)}" for value, count in named)
            lines.append(f"{_words(field)}: {listed}")
    if counts.sentiment is not None:
        lines.append(f"mood, 1 to 5: {counts.sentiment:.1f}")
    if counts.satisfaction is not None:
        lines.append(f"satisfaction, 1 to 5: {counts.satisfaction:.1f}")
    return lines


def _missing(item: Missing) -> str:
    since = "" if item.since is None else f", since {item.since.isoformat()}"
    return f"{item.what}: {item.why}{since}"


def _words(name: str) -> str:
    return name.replace("_", " ")
