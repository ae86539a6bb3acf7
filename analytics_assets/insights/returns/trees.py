"""The candidate that needs scikit-learn: boosted trees, grown in a process of their own.

Belongs here: the child and what goes in and out of it. Does not: choosing (model.py).
Invariant: the caller never loads scikit-learn (some 160 MiB and seconds); arrays go over pipes, and
nothing that names anybody is among them.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from analytics_assets.insights.returns.features import Examples
from analytics_assets.insights.returns.model import LEAST_ROWS, Raw, logit, training_rows
from analytics_assets.insights.returns.reasons import group_columns
from analytics_assets.settings import child_environment

if TYPE_CHECKING:
    from analytics_assets.insights.returns.features import Floats, Ints

_SECONDS: Final = 600


class TreesFailed(Exception):
    """The child process ended without an answer; the message says how."""


def grown(rows: Examples, weeks: Sequence[int], explained: Sequence[int]) -> Raw:
    """What trees say of ``weeks``, each from the weeks before it, and why, for those ``explained``.

    Outcomes that are not known are NaN in ``rows``. Raises TreesFailed.
    """
    import numpy as np

    given = io.BytesIO()
    np.savez(
        given,
        x=rows.features,
        y=rows.returned,
        week=rows.week,
        asked=np.array(weeks),
        explained=np.array(explained),
    )
    try:
        done = subprocess.run(
            [sys.executable, "-m", "analytics_assets.insights.returns.trees"],
            input=given.getbuffer(),
            # Its threads wait by spinning, which costs the whole machine more than they gain.
            env=child_environment({"OMP_NUM_THREADS": "1"}),
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise TreesFailed(f"growing trees took more than {_SECONDS} seconds") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise TreesFailed(f"growing trees ended with {done.returncode}: {''.join(last)}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as found:
        return Raw(found["probability"], found["moved"])


def main() -> None:
    """Read arrays from stdin, write arrays to stdout."""
    import numpy as np

    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as given:
        probability, moved = _grow(
            given["x"],
            given["y"],
            given["week"],
            given["asked"].tolist(),
            set(given["explained"].tolist()),
        )
    answer = io.BytesIO()
    np.savez(answer, probability=probability, moved=moved)
    sys.stdout.buffer.write(answer.getvalue())


def _grow(
    x: Floats, y: Floats, week: Ints, asked: Sequence[int], explained: Collection[int]
) -> tuple[Floats, Floats]:
    import numpy as np

    groups = group_columns()
    probability = np.full(len(week), np.nan)
    moved = np.zeros((len(week), len(groups)))
    known = ~np.isnan(y)
    for one in asked:
        learned = training_rows(week, known, one)
        outcome = y[learned]
        if len(outcome) < LEAST_ROWS // 4 or not 0 < outcome.sum() < len(outcome):
            continue
        trees = _trees().fit(x[learned], outcome)
        here = np.flatnonzero(week == one)
        probability[here] = trees.predict_proba(x[here])[:, 1]
        if one not in explained:
            continue
        usual = np.median(x[learned], axis=0)
        for number, columns in enumerate(groups):
            without = x[here].copy()
            without[:, columns] = usual[columns]
            moved[here, number] = logit(probability[here]) - logit(
                trees.predict_proba(without)[:, 1]
            )
    return probability, moved


def _trees() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=80,
        learning_rate=0.08,
        max_leaf_nodes=8,
        min_samples_leaf=40,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=7,
    )


if __name__ == "__main__":
    main()
