"""How much is read at which scale, and what a sample says of the whole."""

from __future__ import annotations

import random

import pytest

from analytics_assets.insights.conversations.tiers import (
    CALLS_A_DAY,
    NAMES_A_DAY,
    OUTLIERS_A_DAY,
    READ_A_DAY,
    SAMPLE,
    USERS_A_DAY,
    allocated,
    chosen,
    draw,
    tier_of,
    weighted_share,
    wilson,
)
from analytics_assets.insights.groups.prompts import SAMPLES
from analytics_assets.insights.vectors.far import far_limit, outliers


@pytest.mark.parametrize(
    ("users", "before", "tier"),
    [
        (99, None, 1), (100, None, 2), (1_000, None, 3), (10_000, None, 4),
        (105, 1, 1), (110, 1, 2), (95, 2, 2), (90, 2, 2), (89, 2, 1),
        (1_099, 2, 2), (1_100, 2, 3), (901, 3, 3), (899, 3, 2),
        (10_999, 3, 3), (11_000, 3, 4), (9_001, 4, 4), (8_999, 4, 3),
        (50_000, 1, 4), (50, 4, 1),
    ],
)  # fmt: skip
def test_a_tier_is_left_only_ten_percent_beyond_its_border(
    users: int, before: int | None, tier: int
) -> None:
    assert tier_of(users, before) == tier


def test_every_stratum_is_drawn_from_in_proportion_and_small_ones_whole() -> None:
    sizes = {"large": 5_000, "middle": 900, "small": 30, "pair": 2, "one": 1}
    found = allocated(sizes, SAMPLE)
    assert sum(found.values()) == SAMPLE
    assert (found["pair"], found["one"]) == (2, 1)
    assert found["large"] == pytest.approx(SAMPLE * 5_000 / 5_933, abs=3)
    assert allocated(sizes, 10_000) == sizes
    many = dict.fromkeys(range(2_000), 3)
    assert sum(allocated(many, SAMPLE).values()) <= 2_000


def test_who_was_drawn_stays_drawn_when_others_come_and_weights_add_up() -> None:
    units = [(f"c{n}", n % 4) for n in range(4_000)]
    first = draw(units, 1_000, "day")
    assert sum(one.weight for one in first) == pytest.approx(4_000)
    assert draw(reversed(units), 1_000, "day") == first
    more = draw([*units, ("new", 0)], 1_000, "day")
    kept = {one.unit for one in first} & {one.unit for one in more}
    assert len(kept) >= 998
    assert {one.unit for one in draw(units, 1_000, "other day")} != {one.unit for one in first}


@pytest.mark.parametrize("share", [0.03, 0.5])
def test_intervals_of_stratified_samples_hold_the_truth_as_often_as_they_say(share: float) -> None:
    source = random.Random(11)  # noqa: S311
    units = {f"c{n}": n % 7 for n in range(2_500)}
    hit = {unit: source.random() < share * (0.4 + 0.2 * stratum) for unit, stratum in units.items()}
    truth = sum(hit.values()) / len(hit)
    held = width = 0.0
    for number in range(200):
        sample = draw(units.items(), 400, f"draw {number}")
        found = weighted_share(sample, [hit[str(one.unit)] for one in sample])
        held += found.low <= truth <= found.high
        width += found.high - found.low
    assert 0.93 <= held / 200 <= 0.97
    # A sample of a tenth, stratified, is no wider than a plain one of its size.
    assert width / 200 <= 1.1 * 2 * 1.96 * (truth * (1 - truth) / 400) ** 0.5


def test_weights_undo_a_lopsided_sample() -> None:
    units = {f"c{n}": ("rare" if n < 20 else "common") for n in range(2_000)}
    sample = draw(units.items(), 100, "s")
    found = weighted_share(sample, [one.stratum == "rare" for one in sample])
    assert found.estimate == pytest.approx(0.01, abs=1e-4)


def test_wilson_is_exact_for_a_whole_population_and_honest_at_the_ends() -> None:
    assert wilson(5, 10, population=10) == (0.5, 0.5, 0.5)
    none = wilson(0, 20)
    assert (none.estimate, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.161, abs=0.001)
    assert wilson(0, 0) == (0.0, 0.0, 1.0)


def test_the_furthest_are_outliers_and_no_more_than_allowed() -> None:
    before = [0.1] * 990 + [0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.44, 0.43, 0.42, 0.41]
    limit = far_limit(before)
    assert limit == 0.1
    assert outliers(before, limit, 3) == [990, 991, 992]
    assert outliers([0.05, 0.2, 0.1, 0.3], limit, 10) == [3, 1]
    assert outliers([], limit, 10) == []
    assert far_limit([0.3]) == 0.3


def test_who_stands_out_most_is_chosen_and_nobody_twice() -> None:
    assert chosen(["a", "b", "a", "c", "d"], {"b"}, 2) == {"a", "c"}
    assert chosen(["a"], set(), 0) == chosen(["a"], set(), -5) == frozenset()


@pytest.mark.parametrize("tier", [3, 4])
def test_all_questions_of_a_day_together_stay_within_the_tiers_calls(tier: int) -> None:
    read, users, names, calls = (
        found[tier] or 0 for found in (READ_A_DAY, USERS_A_DAY, NAMES_A_DAY, CALLS_A_DAY)
    )
    # A group is asked for its name SAMPLES times and audited once.
    assert read + OUTLIERS_A_DAY[tier] + users + names * (SAMPLES + 1) <= calls
    assert read >= SAMPLE
    assert (users == 0) == (tier == 4)
