"""Names of groups: the last run's, a model's, words of many, or the closed lists', in this order.

Belongs here: which lines a model sees, which of its answers is taken, who vouches for it. Does not:
asking (asking.py) or judging (gate.py). Invariant: every label comes with a passing verdict;
one that a model wrote has passed the leak check and the model's own audit, and where either fails
the group is named from the closed lists, which always pass.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analytics_assets.insights.asking.cache_key import text_digest
from analytics_assets.insights.groups.asking import GroupRun, Question
from analytics_assets.insights.groups.gate import PASSING_SCORE, Leaks, audit_by_rules
from analytics_assets.insights.groups.grouping import Group
from analytics_assets.insights.groups.prompts import (
    AUDIT_TEXT,
    NAME_GROUP,
    SAMPLES,
    Audit,
    GroupName,
    naming_text,
    sampled,
)
from analytics_assets.insights.groups.rows import Facet, Kind, in_words
from analytics_assets.insights.groups.term_labels import term_labels
from analytics_assets.insights.vectors.clustering import matched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

INSIDE_LINES = OUTSIDE_LINES = 20
LINES_PER_PERSON = 2
NEIGHBOURS = 4
# A centroid that moved less keeps its name (cosine distance).
NAME_HOLDS_WITHIN = 0.15
MODEL, TERMS, TAXONOMY = "model", "terms", "taxonomy"
_LEAST_SHARE = 0.4
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Name:
    """A label that passed; ``description`` may be empty."""

    label: str
    description: str
    source: str
    score: int


@dataclass(frozen=True)
class OldName:
    """A name of the run before, with where its group was."""

    name: Name
    prompt_version: str | None


@dataclass
class ToName:
    """A group and what can be said of it; ``lines``: the most typical, see ``described``."""

    group: Group
    centroid: Vectors
    facets: list[Facet]
    vectors: Vectors
    lines: list[tuple[Facet, str]] = field(default_factory=list)

    def closed_label(self, kind: Kind) -> str:
        """A label of words of the closed lists alone."""
        topic = _commonest([f.topic for f in self.facets])
        task = _commonest([f.task for f in self.facets])
        match kind:
            case Kind.FEATURE_REQUEST:
                area = _commonest([f.feature_request for f in self.facets])
                return f"asks for {in_words(area)}" if area else "asks for various things"
            case Kind.FRICTION_POINT:
                met = _commonest([f.friction for f in self.facets])
                if not met:
                    return "various frictions"
                return f"{in_words(met)} in {in_words(topic)}" if topic else in_words(met)
            case Kind.USE_CASE:
                parts = [in_words(task) if task else "", in_words(topic) if topic else ""]
                return " in ".join(part for part in parts if part) or "various tasks"


def described(groups: Sequence[ToName], kind: Kind) -> None:
    """Choose each group's lines: the most typical, at most LINES_PER_PERSON of a person."""
    import numpy as np

    for one in groups:
        order = np.argsort(-(one.vectors @ one.centroid), kind="stable")
        seen: Counter[str] = Counter()
        said: set[str] = set()
        for place in order.tolist():
            facet = one.facets[place]
            line = facet.line(kind)
            if seen[facet.person] >= LINES_PER_PERSON or line in said:
                continue
            seen[facet.person] += 1
            said.add(line)
            one.lines.append((facet, line))
            if len(one.lines) == INSIDE_LINES:
                break


async def names_of(
    run: GroupRun,
    kind: Kind,
    groups: Sequence[ToName],
    old: Sequence[OldName],
    old_centroids: Vectors,
    user_keys: dict[str, bytes],
) -> list[Name]:
    """A name for every group, in their order."""
    import numpy as np

    leaks = [Leaks.of(run.scrubber, (line for _, line in one.lines)) for one in groups]
    names: list[Name | None] = [None] * len(groups)
    if groups and len(old):
        centroids = np.stack([one.centroid for one in groups])
        for now, then in matched(centroids, old_centroids, 1 - NAME_HOLDS_WITHIN):
            held = old[then]
            if (
                held.name.source == MODEL
                and held.prompt_version == NAME_GROUP.version
                and leaks[now].found(f"{held.name.label}. {held.name.description}") is None
            ):
                names[now] = held.name
    if run.provider is not None:
        await _ask(run, groups, names, leaks, user_keys)
    terms = term_labels([[(f.person, f.line(kind)) for f in one.facets] for one in groups])
    return [
        name or _fallback(one, kind, words)
        for one, name, words in zip(groups, names, terms, strict=True)
    ]


async def _ask(
    run: GroupRun,
    groups: Sequence[ToName],
    names: list[Name | None],
    leaks: Sequence[Leaks],
    user_keys: dict[str, bytes],
) -> None:
    # At scale the largest first, and the others by the closed lists until another day.
    wanted = [place for place, name in enumerate(names) if name is None]
    if run.names_left is not None:
        wanted.sort(key=lambda place: -groups[place].group.size.people)
        wanted = wanted[: run.names_left]
        run.names_left -= len(wanted)
    questions = [
        _question(groups, place, number, user_keys) for place in wanted for number in range(SAMPLES)
    ]
    answers = await run.ask(questions)
    chosen: list[tuple[int, GroupName]] = []
    for position, place in enumerate(wanted):
        samples = answers[position * SAMPLES : (position + 1) * SAMPLES]
        safe = [
            one
            for one in samples
            if isinstance(one, GroupName)
            and one.label.strip()
            and leaks[place].found(f"{one.label}. {one.description}") is None
        ]
        if safe:
            chosen.append((place, agreed(safe)))
    audits = await run.ask(
        [
            Question(
                AUDIT_TEXT,
                f"{name.label}\n{name.description}",
                _users(groups[place]),
                # No line is in it: the text itself tells answers apart.
                (name.label, name.description),
            )
            for place, name in chosen
        ]
    )
    for (place, name), audit in zip(chosen, audits, strict=True):
        if isinstance(audit, Audit) and audit.score >= PASSING_SCORE:
            names[place] = Name(name.label.strip(), name.description.strip(), MODEL, audit.score)


def agreed(samples: Sequence[GroupName]) -> GroupName:
    """Of several answers the one that has most in common with the others, the first of equals."""
    sets = [set(_WORDS.findall(one.label.lower())) for one in samples]
    closeness = [
        sum(len(mine & other) / max(len(mine | other), 1) for other in sets) for mine in sets
    ]
    return samples[closeness.index(max(closeness))]


def _question(
    groups: Sequence[ToName], place: int, number: int, user_keys: dict[str, bytes]
) -> Question:
    one = groups[place]
    outside = _contrast(groups, place)
    both = [*one.lines, *outside]
    return Question(
        sampled(NAME_GROUP, number),
        naming_text([line for _, line in one.lines], [line for _, line in outside]),
        tuple(sorted({facet.user_id for facet, _ in both})),
        tuple(text_digest(line, user_keys[facet.user_id]) for facet, line in both),
    )


def _contrast(groups: Sequence[ToName], place: int) -> list[tuple[Facet, str]]:
    """The most typical lines of the nearest other groups, still few of a person."""
    import numpy as np

    others = [other for other in range(len(groups)) if other != place]
    if not others:
        return []
    cosines = np.stack([groups[other].centroid for other in others]) @ groups[place].centroid
    near = [others[int(at)] for at in np.argsort(-cosines, kind="stable")[:NEIGHBOURS]]
    seen = Counter(facet.person for facet, _ in groups[place].lines)
    found: list[tuple[Facet, str]] = []
    for rank in range(INSIDE_LINES):
        for other in near:
            if rank < len(groups[other].lines) and len(found) < OUTSIDE_LINES:
                facet, line = groups[other].lines[rank]
                if seen[facet.person] < LINES_PER_PERSON:
                    seen[facet.person] += 1
                    found.append((facet, line))
    return found


def _users(one: ToName) -> tuple[str, ...]:
    return tuple(sorted({facet.user_id for facet, _ in one.lines}))


def _fallback(one: ToName, kind: Kind, words: str) -> Name:
    """Words of many where a model has read the conversations; else the closed lists."""
    if words and all(facet.by_model for facet in one.facets):
        verdict = audit_by_rules(words, common=set(_WORDS.findall(words)))
        if verdict.passes:
            return Name(words, "", TERMS, verdict.score)
    return Name(one.closed_label(kind), "", TAXONOMY, 5)


def _commonest(values: Sequence[str]) -> str:
    """The commonest value but ``other``, where it has enough of them; else empty."""
    counted = Counter(value for value in values if value != "other")
    if not counted:
        return ""
    value = min(counted, key=lambda one: (-counted[one], one))
    return value if counted[value] >= _LEAST_SHARE * len(values) else ""


def centroid_of(vectors: Vectors) -> Vectors:
    """The mean direction of rows of length 1."""
    from analytics_assets.insights.vectors.embedding import unit

    mean: Vectors = unit(vectors.mean(axis=0, keepdims=True))[0]
    return mean
