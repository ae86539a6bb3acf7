"""Learning who returns: candidates, calibration, and which of them has earned its place.

Belongs here: fitting, trying on unseen weeks, choosing. Does not: SQL or features. Invariant: what
is said of a week was learned from weeks before it alone, the calibration and the choice of the
model included; a model that does not beat recency and frequency on unseen weeks is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analytics_assets.insights.returns.features import (
    BASELINE,
    FEATURES,
    LOOKBACK_WEEKS,
    Examples,
)
from analytics_assets.insights.returns.reasons import group_columns

if TYPE_CHECKING:
    from analytics_assets.insights.returns.features import Bools, Floats, Ints

VERSION: Final = "return-1"
BASE, LOGISTIC, TREES = "baseline", "logistic", "trees"
TRAINING_WEEKS: Final = 12
TRAINING_ROWS: Final = 10_000
# Below these no model is better than saying nothing.
LEAST_ROWS: Final = 200
LEAST_OF_EACH: Final = 20
LEAST_WEEKS: Final = 2
# Trees overfit what is small, and starting the process that grows them takes seconds.
LEAST_ROWS_FOR_TREES: Final = 5_000
TESTED_WEEKS: Final = 4
# Nothing older than this decides what is said of a week, so that it is the same in every window.
HISTORY_WEEKS: Final = TESTED_WEEKS + 2 * TRAINING_WEEKS + LOOKBACK_WEEKS
ECE_LIMIT: Final = 0.05
BINS: Final = 10
# The more there is to weigh, the more it is held back.
RIDGE: Final = {BASE: 1.0, LOGISTIC: 10.0}
# Of the baseline's squared error: less than this is luck.
LEAST_GAIN: Final = 0.01
_SEED: Final = 7


@dataclass(frozen=True)
class Raw:
    """What a candidate says of every row, each learned from the weeks before the row's own.

    ``moved`` is (rows, GROUPS): how far each group of features moves the log odds from where the
    usual user's would put them. NaN where the weeks before did not suffice, or nobody asked.
    """

    probability: Floats
    moved: Floats


@dataclass(frozen=True)
class Scores:
    """How a candidate did on unseen weeks: discrimination, calibration, squared error."""

    auc: float
    ece: float
    brier: float


@dataclass(frozen=True)
class Verdict:
    """The predictions for one week, or why there are none.

    ``rows`` are places in the examples; the rest is aligned with them.
    """

    week: int
    trained_rows: int
    why_none: str = ""
    model: str = ""
    tested_rows: int = 0
    scores: Scores | None = None
    baseline: Scores | None = None
    rows: Sequence[int] = ()
    probability: Sequence[float] = ()
    moved: Floats | None = None

    @property
    def version(self) -> str:
        return f"{VERSION}:{self.model}" if self.model else ""

    @property
    def calibrated(self) -> bool:
        return self.scores is not None and self.scores.ece <= ECE_LIMIT


Fit = Callable[["Floats", "Floats"], Callable[["Floats"], "Floats"]]
Trees = Callable[[Examples, Sequence[int], Sequence[int]], Raw]


def verdicts(
    rows: Examples,
    asked: Sequence[int],
    with_data: Bools,
    trees: Trees | None = None,
    *,
    only: Sequence[str] = (BASE, LOGISTIC, TREES),
) -> list[Verdict]:
    """Predictions for each week of ``asked``; ``with_data`` says which weeks anybody was active.

    ``trees`` grows the third candidate where there are rows enough (see trees.py); ``only``
    narrows the candidates, BASE being always one.
    """
    known = _known(rows, with_data)
    last = max(asked, default=0)
    if not any(_why_none(rows, known, week)[0] == "" for week in asked):
        return [_nothing(rows, known, week) for week in asked]
    first = min(asked) - TESTED_WEEKS - TRAINING_WEEKS
    weeks = [week for week in range(max(0, first), last + 1) if (rows.week == week).any()]
    raw = {BASE: _logistic(rows, known, weeks, BASELINE, RIDGE[BASE])}
    if LOGISTIC in only:
        raw[LOGISTIC] = _logistic(rows, known, weeks, FEATURES, RIDGE[LOGISTIC])
    most = max(len(training_rows(rows.week, known, week)) for week in asked)
    if trees is not None and TREES in only and most >= LEAST_ROWS_FOR_TREES:
        raw[TREES] = trees(_only(rows, known), weeks, asked)
    return [_verdict(rows, known, raw, week) for week in asked]


def training_rows(week: Ints, known: Bools, before: int) -> Ints:
    """Rows to learn from for a week: those of the twelve weeks before, a sample of very many."""
    import numpy as np

    found = np.flatnonzero(known & (week < before) & (week >= before - TRAINING_WEEKS))
    if len(found) > TRAINING_ROWS:
        found = np.sort(np.random.default_rng(_SEED).choice(found, TRAINING_ROWS, replace=False))
    return found


def logistic(features: Floats, outcome: Floats, ridge: float = 1.0) -> tuple[Floats, float]:
    """Weights and intercept of a ridge logistic regression, by Newton's method.

    The penalty is half of ``ridge`` times the weights' squares, the intercept being free: what
    scikit-learn's LogisticRegression(C=1/ridge) minimises, without the seconds it takes to load.
    """
    import numpy as np

    design = np.column_stack([features, np.ones(len(features))])
    penalty = np.append(np.full(features.shape[1], ridge), 1e-9)
    weights = np.zeros(design.shape[1])

    def loss(at: Floats) -> float:
        score = design @ at
        return float(np.logaddexp(0, score).sum() - outcome @ score + penalty @ at**2 / 2)

    current = loss(weights)
    for _ in range(100):
        chance = sigmoid(design @ weights)
        gradient = design.T @ (chance - outcome) + penalty * weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        # Half the step where a whole one leads past the minimum.
        while (after := loss(weights - size * step)) > current and size > 1e-8:  # noqa: PLR2004
            size /= 2
        weights = weights - size * step
        if current - after <= 1e-9 * max(abs(current), 1.0):
            break
        current = after
    return weights[:-1], float(weights[-1])


def auc(probability: Floats, outcome: Floats) -> float:
    """The chance that a row with the outcome has the higher probability; ties count half."""
    import numpy as np

    values, place, count = np.unique(probability, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    positive = outcome > 0
    hits, misses = int(positive.sum()), int((~positive).sum())
    if not hits or not misses or not len(values):
        return 0.5
    return float((rank[place][positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def calibration_error(probability: Floats, outcome: Floats) -> float:
    """Expected calibration error: distance of probability and share in ten bins, by rows."""
    import numpy as np

    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    gap = np.bincount(place, weights=probability - outcome, minlength=BINS)
    return float(np.abs(gap).sum() / max(len(probability), 1))


def score(probability: Floats, outcome: Floats) -> Scores:
    return Scores(
        auc(probability, outcome),
        calibration_error(probability, outcome),
        float(((probability - outcome) ** 2).mean()),
    )


def sigmoid(score: Floats) -> Floats:
    import numpy as np

    return np.asarray(1 / (1 + np.exp(-np.clip(score, -35, 35))))


def logit(probability: Floats) -> Floats:
    import numpy as np

    inside = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(inside / (1 - inside)))


def _known(rows: Examples, with_data: Bools) -> Bools:
    """Rows to learn from: that nobody came in a week without any data says nothing."""
    import numpy as np

    return np.asarray(with_data[rows.week], dtype=np.bool_)


def _only(rows: Examples, known: Bools) -> Examples:
    """The same rows, with outcomes that are not known as NaN."""
    import numpy as np

    return Examples(rows.features, np.where(known, rows.returned, np.nan), rows.user, rows.week)


def _enough(outcome: Floats) -> bool:
    came = int(outcome.sum())
    return len(outcome) >= LEAST_ROWS and min(came, len(outcome) - came) >= LEAST_OF_EACH


def _logistic(
    rows: Examples, known: Bools, weeks: Sequence[int], names: Sequence[str], ridge: float
) -> Raw:
    import numpy as np

    columns = np.array([FEATURES.index(name) for name in names])
    groups = group_columns()
    probability = np.full(len(rows.week), np.nan)
    moved = np.zeros((len(rows.week), len(groups)))
    for week in weeks:
        learned = training_rows(rows.week, known, week)
        outcome = rows.returned[learned]
        if len(outcome) < LEAST_ROWS // 4 or not 0 < outcome.sum() < len(outcome):
            continue
        past = rows.features[np.ix_(learned, columns)].astype(np.float64)
        centre, scale = past.mean(axis=0), past.std(axis=0)
        scale[scale == 0] = 1.0
        weights, intercept = logistic((past - centre) / scale, outcome, ridge)
        here = np.flatnonzero(rows.week == week)
        parts = (rows.features[np.ix_(here, columns)] - centre) / scale * weights
        probability[here] = sigmoid(parts.sum(axis=1) + intercept)
        for number, group in enumerate(groups):
            inside = [place for place, column in enumerate(columns.tolist()) if column in group]
            moved[here, number] = parts[:, inside].sum(axis=1)
    return Raw(probability, moved)


def _calibrated(raw: Raw, rows: Examples, known: Bools, week: int) -> Floats:
    """The candidate's probabilities of a week, corrected by how it did on the weeks before."""
    import numpy as np

    said = raw.probability[rows.week == week]
    seen = training_rows(rows.week, known & ~np.isnan(raw.probability), week)
    outcome = rows.returned[seen]
    if not _enough(outcome):
        return np.asarray(said)
    # Platt's; a negative slope would turn the order round.
    weights, shift = logistic(logit(raw.probability[seen])[:, None], outcome, ridge=0.0)
    return sigmoid(logit(said) * max(float(weights[0]), 0.05) + shift)


def _why_none(rows: Examples, known: Bools, week: int) -> tuple[str, int]:
    """Why a week cannot be predicted (empty where it can), and the rows there are to learn from."""
    import numpy as np

    if not (rows.week == week).any():
        return "nobody was active in the week before", 0
    learned = training_rows(rows.week, known, week)
    outcome = rows.returned[learned]
    weeks = len(np.unique(rows.week[learned]))
    if weeks < LEAST_WEEKS or not _enough(outcome):
        return (
            f"not enough history: {LEAST_ROWS} user-weeks of {LEAST_WEEKS} weeks are needed, with "
            f"{LEAST_OF_EACH} returns and as many absences"
        ), len(learned)
    return "", len(learned)


def _nothing(rows: Examples, known: Bools, week: int) -> Verdict:
    why, learned = _why_none(rows, known, week)
    return Verdict(week, learned, why_none=why)


def _verdict(rows: Examples, known: Bools, raw: Mapping[str, Raw], week: int) -> Verdict:
    import numpy as np

    why, learned = _why_none(rows, known, week)
    if why:
        return Verdict(week, learned, why_none=why)
    if learned < LEAST_ROWS_FOR_TREES:
        raw = {name: found for name, found in raw.items() if name != TREES}
    said, outcome = _trial(rows, known, raw, week)
    scores = {name: score(found, outcome) for name, found in said.items()}
    chosen = _chosen(scores)
    here = np.flatnonzero(rows.week == week)
    return Verdict(
        week,
        learned,
        model=chosen,
        tested_rows=len(outcome),
        scores=scores.get(chosen),
        baseline=scores.get(BASE),
        rows=here.tolist(),
        probability=_calibrated(raw[chosen], rows, known, week).tolist(),
        moved=raw[chosen].moved[here],
    )


def _trial(
    rows: Examples, known: Bools, raw: Mapping[str, Raw], week: int
) -> tuple[dict[str, Floats], Floats]:
    """What each candidate said of the last weeks that are over, which it had not seen."""
    import numpy as np

    over = [
        one
        for one in range(max(0, week - TESTED_WEEKS), week)
        if known[rows.week == one].any()
        and not any(np.isnan(r.probability[rows.week == one]).any() for r in raw.values())
    ]
    if not over:
        return {}, np.empty(0)
    said = {
        name: np.concatenate([_calibrated(found, rows, known, one) for one in over])
        for name, found in raw.items()
    }
    outcome = np.concatenate([rows.returned[rows.week == one] for one in over])
    return said, outcome


def _chosen(scores: Mapping[str, Scores]) -> str:
    """The candidate with the least squared error of those that beat BASE in all respects."""
    if not scores:
        return BASE
    base = scores[BASE]
    able = [
        name
        for name, found in scores.items()
        if found.auc >= base.auc and found.brier <= base.brier * (1 - LEAST_GAIN)
    ]
    return min(able, key=lambda name: scores[name].brier, default=BASE)
