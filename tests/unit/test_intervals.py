"""Intervals hold what they promise, people being what is sampled."""

from __future__ import annotations

from random import Random

import pytest

from analytics_assets.insights.answers.success_questions import Question, about_group, counted
from analytics_assets.insights.intervals import (
    Interval,
    Sums,
    confidence,
    difference,
    ratio,
    wilson,
)


def sums_of(people: list[tuple[int, int]]) -> Sums:
    total = Sums()
    for hits, of in people:
        total += Sums(1, int(hits > 0), of, of * of, hits, hits * hits, hits * of, hits)
    return total


def test_an_interval_over_people_holds_the_truth_in_95_of_100_samples() -> None:
    draw = Random(5)  # noqa: S311
    kept = 0
    for _ in range(400):
        people = []
        for _ in range(60):
            # Whoever succeeds once succeeds often, and some talk ten times as much as others.
            luck, talks = draw.betavariate(2, 2), draw.choice([1, 2, 3, 10])
            people.append((sum(draw.random() < luck for _ in range(talks)), talks))
        found = ratio(sums_of(people))
        kept += found.low <= 0.5 <= found.high
        assert found.low <= found.value <= found.high
    assert 0.91 <= kept / 400 <= 0.98
    # As if conversations were independent, far fewer would.
    naive = wilson(sum(h for h, _ in people), sum(n for _, n in people))
    assert naive.half < ratio(sums_of(people)).half


def test_where_nobody_differs_the_interval_is_not_a_point() -> None:
    found = ratio(sums_of([(2, 2)] * 20))
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(wilson(20, 20).low)


def test_a_difference_is_told_with_both_uncertainties() -> None:
    found = difference(Interval(0.6, 0.5, 0.7), Interval(0.4, 0.35, 0.45))
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - (0.1**2 + 0.05**2) ** 0.5)


def test_confidence_needs_people_and_a_short_interval() -> None:
    assert confidence(100, 0.05) == "high"
    assert confidence(99, 0.05) == confidence(100, 0.06) == "medium"
    assert confidence(29, 0.0) == confidence(500, 0.2) == "low"
    assert confidence(500, 0.01, guessed=True) == "medium"


@pytest.mark.parametrize(("hits", "of", "told"), [(11, 22, True), (10, 30, False), (25, 30, False),
                                                  (30, 30, True), (0, 30, False)])  # fmt: skip
def test_a_share_of_people_is_told_where_both_sides_are_eleven(
    hits: int, of: int, *, told: bool
) -> None:
    people = sums_of([(1, 1)] * hits + [(0, 1)] * (of - hits))
    found = about_group(Question.PAYING, "m", people, of_people=True)
    assert (found.value is not None) == told


def test_a_part_needs_eleven_people_twenty_conversations_and_no_one_with_a_fifth() -> None:
    def part(people: list[tuple[int, int]]) -> float | None:
        return about_group(Question.TRYING, "task", sums_of(people), label="fix").value

    assert part([(2, 4)] * 11) is not None
    assert part([(2, 4)] * 10 + [(0, 4)] * 50) is None
    assert part([(1, 4)] * 15) is None
    assert part([(2, 4)] * 11 + [(9, 9)]) is None


def test_a_small_part_takes_another_with_it() -> None:
    def told(**parts: int) -> dict[str, float | None]:
        found = counted(Question.RETURNING, "m", parts, confidence(500, 0.0))
        return {figure.label: figure.value for figure in found}

    assert told(likely=300, unsure=40, unlikely=25) == {"likely": 300, "unsure": 40, "unlikely": 25}
    assert told(likely=300, unsure=40, unlikely=5) == {
        "likely": 300, "unsure": None, "unlikely": None}  # fmt: skip
    assert told(likely=300, unsure=6, unlikely=5) == {
        "likely": 300, "unsure": None, "unlikely": None}  # fmt: skip
    assert told(likely=302, unsure=0, unlikely=0)["likely"] == 300
