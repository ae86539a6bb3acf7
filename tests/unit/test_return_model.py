"""Learning who returns: nothing leaks back from the future, and a model must earn its place."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.insights.evaluation.return_prediction import measures
from analytics_assets.insights.returns.features import (
    FACTS,
    FEATURES,
    Examples,
    UserWeeks,
    examples,
    weeks_with_data,
)
from analytics_assets.insights.returns.model import (
    BASE,
    HISTORY_WEEKS,
    LOGISTIC,
    TREES,
    Verdict,
    auc,
    calibration_error,
    logistic,
    verdicts,
)
from analytics_assets.insights.returns.reasons import GROUPS, ReturnReason, group_columns, reasons
from analytics_assets.insights.returns.trees import TreesFailed, grown

# Two weights and the intercept, by ridge.
SCIKIT_LEARNS = {1.0: (1.103793, 0.183117, 1.002812), 10.0: (0.886309, 0.138343, 0.944554)}


def company(
    users: int = 160, weeks: int = 9, *, seed: int = 1, troubled: bool = False
) -> UserWeeks:
    """Users of different habits; where ``troubled``, who met obstacles last week stays away."""
    draw = np.random.default_rng(seed)
    habit = draw.uniform(0.02, 0.6, users)
    facts = {name: np.zeros((users, weeks)) for name in FACTS}
    facts["last_day"] = np.full((users, weeks), -1.0)
    for week in range(weeks):
        here = draw.random((users, 7)) < habit[:, None]
        if troubled and week:
            here &= ~((facts["stuck"][:, week - 1] > 0) & (draw.random(users) < 0.9))[:, None]
        days = here.sum(axis=1)
        facts["active_days"][:, week] = days
        facts["last_day"][:, week] = np.where(days > 0, 6 - here[:, ::-1].argmax(axis=1), -1)
        facts["conversations"][:, week] = facts["read"][:, week] = days
        facts["turns"][:, week] = 3 * days
        facts["stuck"][:, week] = (draw.random(users) < 0.3) & (days > 0)
    return UserWeeks(facts)


def judged(weeks: UserWeeks, asked: list[int], **options: object) -> list[Verdict]:
    return verdicts(examples(weeks), asked, weeks_with_data(weeks), **options)  # type: ignore[arg-type]


def as_text(verdict: Verdict) -> str:
    return repr((verdict.model, verdict.probability, verdict.scores, verdict.moved))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), week=st.integers(3, 8))
def test_nothing_that_happens_from_a_week_on_changes_what_was_said_of_it(
    seed: int, week: int
) -> None:
    weeks = company()
    (before,) = judged(weeks, [week])
    draw = np.random.default_rng(seed)
    changed = {name: grid.copy() for name, grid in weeks.facts.items()}
    for name, grid in changed.items():
        shape = grid[:, week:].shape
        grid[:, week:] = draw.integers(-1 if name == "last_day" else 0, 7, shape)
    # The week's own rows are those of who was there before it.
    (after,) = judged(UserWeeks(changed), [week])
    assert as_text(before) == as_text(after)


def test_a_week_is_judged_the_same_alone_and_among_others() -> None:
    weeks = company(60, HISTORY_WEEKS + 6, seed=3)
    count = weeks.shape[1]
    together = judged(weeks, list(range(count - 3, count)))
    for place, verdict in zip(range(count - 3, count), together, strict=True):
        start = place - HISTORY_WEEKS
        part = UserWeeks({name: grid[:, start : place + 1] for name, grid in weeks.facts.items()})
        (alone,) = judged(part, [HISTORY_WEEKS])
        assert alone.probability == pytest.approx(verdict.probability)
        assert alone.model == verdict.model


def test_a_model_is_used_only_where_it_beats_recency_and_frequency() -> None:
    (plain,) = judged(company(300, seed=5), [8])
    assert plain.model == BASE
    (troubled,) = judged(company(300, seed=5, troubled=True), [8])
    assert troubled.model == LOGISTIC
    assert troubled.scores is not None
    assert troubled.baseline is not None
    assert troubled.scores.auc > troubled.baseline.auc
    assert troubled.calibrated
    why = reasons(troubled.moved)  # type: ignore[arg-type]
    found = {reason for row in why for reason in row}
    assert ReturnReason.MET_OBSTACLES in found
    stuck = examples(company(300, seed=5, troubled=True)).features[
        list(troubled.rows), FEATURES.index("stuck_last_week")
    ]
    said = ["met_obstacles" in row for row in why]
    assert np.mean(stuck[said]) > np.mean(stuck[[not one for one in said]])


def test_too_little_history_is_said_and_nothing_predicted() -> None:
    (few,) = judged(company(20, 4), [3])
    assert "not enough history" in few.why_none
    assert not few.rows
    (first,) = judged(company(400, 2), [1])
    assert "not enough history" in first.why_none


def test_a_week_without_any_data_is_neither_learned_from_nor_foretold_after() -> None:
    weeks = company(300)
    silent = {name: grid.copy() for name, grid in weeks.facts.items()}
    for name, grid in silent.items():
        grid[:, 6] = -1.0 if name == "last_day" else 0.0
    of_silence, after_it, later = judged(UserWeeks(silent), [6, 7, 8])
    (usual,) = judged(weeks, [6])
    assert of_silence.probability == usual.probability
    assert after_it.why_none == "nobody was active in the week before"
    # That nobody came is no sign that anybody will stay away.
    assert np.mean(later.probability) == pytest.approx(np.mean(usual.probability), abs=0.1)


def test_trees_are_grown_in_a_process_of_their_own_where_there_is_enough_to_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Only who is there often and stuck, or neither, returns: no weighted sum tells that.
    draw = np.random.default_rng(2)
    count, weeks = 1_500, 5
    features = draw.random((count * weeks, len(FEATURES)))
    often, stuck = (features[:, FEATURES.index(n)] > 0.5 for n in ("active_share", "stuck_share"))
    returned = (draw.random(len(features)) < np.where(often == stuck, 0.9, 0.2)).astype(float)
    week = np.repeat(np.arange(1, weeks + 1), count)
    rows = Examples(features, returned, np.tile(np.arange(count), weeks), week)
    with_data = np.ones(weeks + 1, dtype=np.bool_)
    (verdict,) = verdicts(rows, [weeks], with_data, grown)
    assert verdict.model == TREES
    assert verdict.scores is not None
    assert verdict.scores.auc > 0.8
    assert any("met_obstacles" in row for row in reasons(verdict.moved))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TreesFailed, match="ended with 1"):
        grown(rows, [weeks], [weeks])


@pytest.mark.parametrize("ridge", [1.0, 10.0])
def test_the_logistic_regression_ends_where_its_loss_is_least(ridge: float) -> None:
    draw = np.random.default_rng(4)
    features = draw.normal(size=(300, 5))
    outcome = (draw.random(300) < 1 / (1 + np.exp(-features[:, 0] - 1))).astype(float)
    weights, intercept = logistic(features, outcome, ridge)
    gap = 1 / (1 + np.exp(-features @ weights - intercept)) - outcome
    # The loss has one minimum: where it falls in no direction.
    assert features.T @ gap + ridge * weights == pytest.approx(np.zeros(5), abs=1e-4)
    assert gap.sum() == pytest.approx(0, abs=1e-4)
    # What scikit-learn 1.9 gives for these rows with C=1/ridge.
    assert (*weights[:2], intercept) == pytest.approx(SCIKIT_LEARNS[ridge], abs=1e-4)


def test_discrimination_and_calibration_are_what_their_definitions_say() -> None:
    said = np.array([0.1, 0.4, 0.35, 0.8, 0.4])
    came = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    pairs = [(p, q) for p, y in zip(said, came) if y for q, z in zip(said, came) if not z]  # noqa: B905
    assert auc(said, came) == pytest.approx(np.mean([(p > q) + (p == q) / 2 for p, q in pairs]))
    perfect = np.repeat([0.25, 0.75], 4)
    assert calibration_error(perfect, np.array([1, 0, 0, 0, 1, 1, 1, 0.0])) == 0
    assert calibration_error(np.full(4, 0.9), np.zeros(4)) == pytest.approx(0.9)


def test_every_feature_stands_behind_a_reason() -> None:
    columns = sorted(column for group in group_columns() for column in group)
    assert columns == list(range(len(FEATURES)))
    named = {reason for more, less, _ in GROUPS for reason in (more, less)}
    assert named == set(ReturnReason)


def test_returns_of_made_up_companies_are_foretold_within_the_limits() -> None:
    found = {measure.name: measure for measure in measures(seeds=(7,))}
    for measure in found.values():
        assert measure.verdict in ("ok", "reported"), measure
    assert (found["return AUC"].figure or 0) > 0.6
