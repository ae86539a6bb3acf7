"""The questions about product-market fit, and one figure of an answer.

Belongs here: names, order, and the floor a figure must pass to be told. Does not: queries
(success_metrics.py) or layout. Invariant: a figure about a group is made by ``about_group``, which
tells it only of 11 people or more and rounds what it stands on, so that one person hides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal

from analytics_assets.insights.floor import FLOOR_PEOPLE, STEP
from analytics_assets.insights.intervals import (
    Confidence,
    Interval,
    Sums,
    confidence,
    ratio,
)

Unit = Literal["share", "mean", "count", "text"]
LEAST_CONVERSATIONS: Final = 20
LARGEST_PART: Final = 0.2
DIGITS: Final = {"share": 2, "mean": 1, "count": 0, "text": 0}
# What a share of a group is a share of, as its note begins.
SHARE_OF: Final = {
    "people": "of people read",
    "conversations": "of conversations, estimated",
}
# Answers that say nothing in particular.
UNSAID: Final = frozenset({"none", "other", "unclear"})
FEWER: Final = f"fewer than {FLOOR_PEOPLE} people"
ALL_BUT_FEW: Final = f"all but fewer than {FLOOR_PEOPLE} people"
THIN: Final = "too few conversations, or one person has most of them"


class Question(StrEnum):
    """In the order they are told."""

    VALUE = "value"
    TRYING = "trying"
    STUCK = "stuck"
    PAYING = "paying"
    RETURNING = "returning"
    OWNER = "owner"
    BUILDING = "building"
    PERSONAS = "personas"


TITLES: Final = {
    Question.VALUE: "Are users getting value?",
    Question.TRYING: "What do they try to do?",
    Question.STUCK: "Where do they get stuck?",
    Question.PAYING: "Will they pay?",
    Question.RETURNING: "Who will return?",
    Question.OWNER: "Why do the owner's own sessions succeed?",
    Question.BUILDING: "What are the top 3 features to build?",
    Question.PERSONAS: "Who are they?",
}


@dataclass(frozen=True)
class Figure:
    """One row of an answer; ``people`` and ``conversations`` are rounded down."""

    question: Question
    metric: str
    label: str = ""
    unit: Unit = "share"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    people: int = 0
    conversations: int = 0
    confidence: Confidence = Confidence.NONE
    individual: bool = False
    note: str = ""


def rounded_people(people: int) -> int:
    """As told: the floor where that is all that may be said, else to the STEP below; else 0."""
    return 0 if people < FLOOR_PEOPLE else max(FLOOR_PEOPLE, people - people % STEP)


def missing(question: Question, why: str, metric: str = "missing") -> Figure:
    """There is no answer, and why."""
    return Figure(question, metric, unit="text", note=why)


def about_group(
    question: Question,
    metric: str,
    sums: Sums,
    *,
    label: str = "",
    unit: Unit = "share",
    span: tuple[float, float] = (0.0, 1.0),
    conversations: int = 0,
    guessed: bool = False,
    of_people: bool = False,
    note: str = "",
) -> Figure:
    """A ratio over a group, where the group is large enough to be told of.

    With a ``label`` the figure singles part of the people out, so that those are the group: 11 or
    more, in 20 conversations or more, nobody with more than a fifth of them. ``of_people``: every
    person counts once, and those without a hit are a group as well.
    """
    group = sums.having if label or of_people else sums.people
    others = sums.people - sums.having
    small = (
        group < FLOOR_PEOPLE
        or sums.people < FLOOR_PEOPLE
        or (of_people and 0 < others < FLOOR_PEOPLE)
    )
    thin = bool(label) and not of_people and sums.a < LEAST_CONVERSATIONS
    ruled = bool(label) and not of_people and sums.largest > LARGEST_PART * sums.a
    figure = Figure(
        question,
        metric,
        label,
        unit,
        people=rounded_people(sums.having if label else sums.people),
        conversations=conversations - conversations % STEP,
    )
    if small or thin or ruled or not sums.n:
        why = FEWER if small else THIN
        if small and of_people and group >= FLOOR_PEOPLE:
            why = ALL_BUT_FEW
        return replace(figure, note=why)
    found = ratio(sums, *span)
    sure = confidence(sums.people, found.half, span=span[1] - span[0], guessed=guessed)
    return told(replace(figure, confidence=sure, note=note), found)


def told(figure: Figure, found: Interval) -> Figure:
    """The figure with its numbers, to whole percent, tenths or people."""
    digits = DIGITS[figure.unit]
    return replace(
        figure,
        value=round(found.value, digits),
        low=round(found.low, digits),
        high=round(found.high, digits),
    )


def counted(
    question: Question, metric: str, parts: Mapping[str, int], sure: Confidence
) -> list[Figure]:
    """Numbers of people in the parts of a group.

    Parts of fewer than 11 people are not told, nor the smallest other one where those that are
    hidden would together be fewer: the rest would give them away.
    """
    hidden = {label for label, count in parts.items() if count < FLOOR_PEOPLE}
    for label in sorted(parts, key=lambda one: parts[one]):
        if 0 < sum(parts[one] for one in hidden) < FLOOR_PEOPLE:
            hidden.add(label)
    of = rounded_people(sum(parts.values()))
    return [
        Figure(question, metric, label, "count", people=of, note=FEWER)
        if label in hidden
        else Figure(
            question,
            metric,
            label,
            "count",
            rounded_people(count),
            people=of,
            confidence=sure,
            note="" if rounded_people(count) == count else "or a few more",
        )
        for label, count in parts.items()
    ]
