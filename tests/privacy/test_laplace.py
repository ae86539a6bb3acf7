"""Noise for differential privacy: that it is what it says, and what it costs.

OpenDP is asked for the same mechanism: how much privacy it loses, and what it draws.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
import pytest
from scipy.stats import chi2_contingency, chisquare

from analytics_assets.privacy.laplace import (
    DELTA,
    discrete_laplace,
    ensure_noise,
    least_total,
    probability,
)
from analytics_assets.privacy.plan import FLOOR, MOST_EPSILON, PLAN_FILE, PlanError, load_plan
from analytics_assets.privacy.plan_store import apply_plan
from analytics_assets.store.database import Database

HALF = Fraction(1, 2)
DRAWS = 20_000
WEEKLY = "  published.ai_usage_trends:\n"


def drawn(epsilon: Fraction, count: int = DRAWS) -> Counter[int]:
    below = random.Random(11).randrange  # noqa: S311
    return Counter(discrete_laplace(epsilon, below) for _ in range(count))


@pytest.mark.parametrize("epsilon", [HALF, Fraction(3, 2), Fraction(2, 7)])
def test_noise_is_drawn_as_often_as_its_probability_says(epsilon: Fraction) -> None:
    seen = drawn(epsilon)
    values = [value for value in range(-40, 41) if DRAWS * probability(epsilon, value) >= 5]
    counts = [seen[value] for value in values]
    rest = DRAWS - sum(counts)
    likely = [DRAWS * probability(epsilon, value) for value in values]
    fit = chisquare([*counts, rest], [*likely, DRAWS - sum(likely)])
    assert fit.pvalue > 1e-3


@pytest.fixture(scope="module")
def oracle() -> Any:
    """OpenDP's discrete Laplace of the same scale."""
    dp = pytest.importorskip("opendp.prelude", reason="OpenDP is not installed")
    dp.enable_features("contrib")
    return dp.m.make_laplace(dp.atom_domain(T=int), dp.absolute_distance(T=int), scale=2.0)


def test_opendp_says_the_same_of_what_a_person_loses(oracle: Any) -> None:
    assert oracle.map(d_in=1) == pytest.approx(float(HALF))


def test_opendp_draws_the_same_noise(oracle: Any) -> None:
    ours = drawn(HALF, 4_000)
    theirs = Counter(oracle(0) for _ in range(4_000))
    values = [value for value in range(-40, 41) if ours[value] + theirs[value] >= 10]
    table = [[counts[value] for value in values] for counts in (ours, theirs)]
    assert chi2_contingency(table).pvalue > 1e-3


def test_who_knows_everybody_else_gains_no_more_than_epsilon_allows() -> None:
    """TPR - FPR of the best rule on one number, n against n + 1 people: tanh(epsilon / 2)."""
    gain = sum(
        max(0.0, probability(HALF, value - 1) - probability(HALF, value))
        for value in range(-200, 201)
    )
    assert gain == pytest.approx(math.tanh(float(HALF) / 2))
    assert gain <= 0.25


def test_ten_people_pass_for_enough_once_in_a_million_times() -> None:
    """The floor is asked of a noisy total; of its true one, the eleventh person would be told."""
    least = least_total(HALF, 1, FLOOR)
    above = sum(probability(HALF, value) for value in range(least - FLOOR, 400))
    one_less = sum(probability(HALF, value) for value in range(least - FLOOR - 1, 400))
    assert above <= DELTA < one_less
    assert least_total(HALF, 21, FLOOR) > least


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    periods: [week]\n", "    periods: [week]\n    epsilon: 0\n", "above 0"),
        ("    periods: [week]\n", f"    periods: [week]\n    epsilon: {MOST_EPSILON + 1}\n", "1.5"),
        ("    periods: [week]\n", "    periods: [month]\n    epsilon: 0.5\n", "weeks alone"),
        ("    means:\n", "    epsilon: 0.5\n    dimensions: {who: {}}\n    means:\n", "one mean"),
    ],
)
def test_an_epsilon_where_it_would_promise_too_much_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    before, at, table = PLAN_FILE.read_text().partition(WEEKLY)
    file = tmp_path / "plan.yaml"
    file.write_text(before + at + table.replace(old, new, 1))
    with pytest.raises(PlanError, match=says):
        load_plan(file)


def test_noise_is_drawn_once_and_only_for_weeks_that_are_open(
    privacy_database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN_FILE.read_text().replace(WEEKLY, f"{WEEKLY}    epsilon: 0.5\n"))
    below = random.Random(1).randrange  # noqa: S311
    with privacy_database.connect_as_admin(privacy_database.name, autocommit=False) as admin:
        admin.execute("set local role analytics_owner")
        assert ensure_noise(admin, below) == 0, "no table of the shipped plan has an epsilon"
        apply_plan(admin, load_plan(file))
        admin.execute("reset role")
        admin.execute(
            "insert into vault.period_keys values ('week', '2026-05-04', %(pad)s, %(pad)s)",
            {"pad": bytes(64)},
        )
        assert ensure_noise(admin, below) == 1
        first = admin.execute("select * from vault.laplace_noise order by bucket").fetchall()
        assert [row[2] for row in first] == list(range(0, 101, 5))
        assert len({row[3] for row in first}) > 3
        assert ensure_noise(admin, below) == 0
        assert admin.execute("select * from vault.laplace_noise order by 3").fetchall() == first
        admin.rollback()


def test_more_than_the_budget_of_a_week_cannot_be_spent(pipeline: psycopg.Connection) -> None:
    spend = (
        "insert into ops.dp_ledger"
        " (release_table, period, unit, epsilon, delta, mechanism, scale, l0, linf)"
        " values (%s, %s, 'person-week', %s, 0, 'discrete Laplace', 2, 1, 1)"
    )
    for table in ("a", "b", "c"):
        pipeline.execute(spend, [table, "2026-05-04", "0.5"])
    pipeline.execute(spend, ["d", "2026-05-11", "0.5"])
    refused = pytest.raises(psycopg.errors.CheckViolation, match=r"budget .* is 1\.5")
    with refused, pipeline.transaction():
        pipeline.execute(spend, ["d", "2026-05-04", "0.1"])
    with pytest.raises(psycopg.errors.UniqueViolation), pipeline.transaction():
        pipeline.execute(spend, ["a", "2026-05-04", "0.1"])
    with pytest.raises(psycopg.errors.InsufficientPrivilege), pipeline.transaction():
        pipeline.execute("delete from ops.dp_ledger")
