"""Why the owner's own sessions succeed: the owner's shares beside everybody else's.

Belongs here: the one comparison in which an individual stands, because the owner asked for it by
ANALYTICS_OWNER_USER_ID. Does not: queries. Invariant: rows with the owner's numbers are marked
``individual``, which the database hides from analysts; the others are a group like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from analytics_assets.insights.answers.success_questions import (
    FEWER,
    UNSAID,
    Figure,
    Question,
    about_group,
    missing,
    told,
)
from analytics_assets.insights.answers.success_sums import Talked
from analytics_assets.insights.floor import FLOOR_PEOPLE
from analytics_assets.insights.intervals import (
    Confidence,
    Interval,
    Sums,
    confidence,
    difference,
    ratio,
    wilson,
)

SHARES: Final = (
    ("achieved", "got it done"),
    ("stuck", "met an obstacle"),
    ("wishes", "asked for a feature"),
)
MOST_TASKS: Final = 3
OWNER_UNREAD: Final = (
    "nothing of the owner was read: the owner must consent, like anybody, and not be internal"
)
_MANY: Final = (0.0, 1_000_000.0)
_USUAL_MESSAGES: Final = 4.0
SumsBy = Mapping[tuple[str, str], Sums]


def owner_figures(talked: Talked, *, guessed: bool) -> Iterator[Figure]:
    """The owner against all others: outcomes, the owner's most frequent tasks, length."""
    owner, others = talked.owner, talked.others
    if ("all", "") not in owner:
        yield missing(Question.OWNER, OWNER_UNREAD)
        return
    if others.get(("all", ""), Sums()).people < FLOOR_PEOPLE:
        yield missing(Question.OWNER, f"fewer than {FLOOR_PEOPLE} others to compare with")
        return
    for metric, name in SHARES:
        yield from _share(name, owner.get((metric, "")), others.get((metric, "")), guessed=guessed)
    tasks = [label for kind, label in owner if kind == "task" and label not in UNSAID]
    for task in sorted(tasks, key=lambda label: (-owner["task", label].a, label))[:MOST_TASKS]:
        own = owner["task", task].among(owner["all", ""])
        theirs = others.get(("task", task), Sums()).among(others["all", ""])
        yield from _share(f"task {task}", own, theirs, guessed=guessed, is_part=True)
    yield from _length(owner["messages", ""], others["messages", ""])


def compared(question: Question, metric: str, one: Figure, other: Figure) -> Figure:
    """The difference of two shares."""
    found = difference(_interval(one), _interval(other))
    clear = found.low > 0 or found.high < 0
    figure = Figure(
        question,
        metric,
        "difference",
        one.unit,
        people=max(one.people, other.people),
        conversations=one.conversations + other.conversations,
        confidence=Confidence.MEDIUM if clear else Confidence.LOW,
        note="more than chance" if clear else "may be chance",
    )
    return told(figure, found)


def _share(
    name: str, own: Sums | None, theirs: Sums | None, *, guessed: bool, is_part: bool = False
) -> Iterator[Figure]:
    if own is None or theirs is None or not own.n:
        return
    ours = told(
        Figure(
            Question.OWNER,
            name,
            "the owner",
            conversations=int(own.n),
            confidence=Confidence.LOW,
            individual=True,
        ),
        wilson(own.a, own.n),
    )
    yield ours
    group = about_group(Question.OWNER, name, theirs, conversations=int(theirs.n), guessed=guessed)
    if is_part and theirs.having < FLOOR_PEOPLE:
        group = replace(
            group, value=None, low=None, high=None, confidence=Confidence.NONE, note=FEWER
        )
    group = replace(group, label="others")
    yield group
    if group.value is not None:
        yield replace(compared(Question.OWNER, name, ours, group), individual=True)


def _length(own: Sums, theirs: Sums) -> Iterator[Figure]:
    name = "messages a conversation"
    yield Figure(
        Question.OWNER,
        name,
        "the owner",
        "mean",
        round(own.a / own.n, 1),
        conversations=int(own.n),
        confidence=Confidence.LOW,
        individual=True,
    )
    group = about_group(
        Question.OWNER, name, theirs, unit="mean", span=_MANY, conversations=int(theirs.n)
    )
    sure = confidence(theirs.people, ratio(theirs, *_MANY).half, span=_USUAL_MESSAGES)
    yield replace(group, label="others", confidence=sure)


def _interval(figure: Figure) -> Interval:
    return Interval(figure.value or 0.0, figure.low or 0.0, figure.high or 0.0)
