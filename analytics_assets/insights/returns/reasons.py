"""Why somebody is thought to return or not: the closed list of reasons, and how one is chosen.

Belongs here: codes and the features behind each. Does not: models. Invariant: a reason is a code of
this list and never text, so that nothing about a person is put into words.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from analytics_assets.insights.returns.features import FEATURES

if TYPE_CHECKING:
    from analytics_assets.insights.returns.features import Floats

MOST: Final = 3
# A reason moves the odds by at least a fifth.
LEAST_LOGIT: Final = 0.18


class ReturnReason(StrEnum):
    """What makes a return more likely (first of a pair) or less."""

    ACTIVE_RECENTLY = "active_recently"
    AWAY_FOR_LONG = "away_for_long"
    ACTIVE_OFTEN = "active_often"
    ACTIVE_RARELY = "active_rarely"
    BUSY_LAST_WEEK = "busy_last_week"
    QUIET_LAST_WEEK = "quiet_last_week"
    TALKS_MUCH = "talks_much"
    TALKS_LITTLE = "talks_little"
    RUNS_JOBS = "runs_jobs"
    RUNS_FEW_JOBS = "runs_few_jobs"
    TAKES_RESULTS = "takes_results"
    TAKES_FEW_RESULTS = "takes_few_results"
    SPENDS_CREDITS = "spends_credits"
    RAN_OUT_OF_CREDITS = "ran_out_of_credits"
    FEW_OBSTACLES = "few_obstacles"
    MET_OBSTACLES = "met_obstacles"
    GETS_IT_DONE = "gets_it_done"
    DID_NOT_GET_IT_DONE = "did_not_get_it_done"
    CONTENT = "content"
    DISCONTENT = "discontent"
    ASKS_FOR_MORE = "asks_for_more"
    MISSES_SOMETHING = "misses_something"


GROUPS: Final[tuple[tuple[ReturnReason, ReturnReason, tuple[str, ...]], ...]] = (
    (ReturnReason.ACTIVE_RECENTLY, ReturnReason.AWAY_FOR_LONG, ("days_away",)),
    (ReturnReason.ACTIVE_OFTEN, ReturnReason.ACTIVE_RARELY, ("active_share",)),
    (ReturnReason.BUSY_LAST_WEEK, ReturnReason.QUIET_LAST_WEEK, ("days_last_week",)),
    (ReturnReason.TALKS_MUCH, ReturnReason.TALKS_LITTLE, ("conversations", "depth", "read")),
    (ReturnReason.RUNS_JOBS, ReturnReason.RUNS_FEW_JOBS, ("jobs",)),
    (ReturnReason.TAKES_RESULTS, ReturnReason.TAKES_FEW_RESULTS, ("results",)),
    (
        ReturnReason.SPENDS_CREDITS,
        ReturnReason.RAN_OUT_OF_CREDITS,
        ("credit_limits", "credit_limits_last_week"),
    ),
    (ReturnReason.FEW_OBSTACLES, ReturnReason.MET_OBSTACLES, ("stuck_share", "stuck_last_week")),
    (ReturnReason.GETS_IT_DONE, ReturnReason.DID_NOT_GET_IT_DONE, ("failed_share",)),
    (ReturnReason.CONTENT, ReturnReason.DISCONTENT, ("mood",)),
    (ReturnReason.ASKS_FOR_MORE, ReturnReason.MISSES_SOMETHING, ("wishes",)),
)


def group_columns() -> list[list[int]]:
    """The columns of FEATURES behind each pair of GROUPS."""
    return [[FEATURES.index(name) for name in names] for _, _, names in GROUPS]


def reasons(moved: Floats) -> list[list[str]]:
    """Codes of each row, the strongest first; ``moved`` is (rows, GROUPS), in log odds."""
    return [_strongest(row) for row in moved.tolist()]


def _strongest(moved: Sequence[float]) -> list[str]:
    ranked = sorted(range(len(moved)), key=lambda place: -abs(moved[place]))
    found = []
    for place in ranked[:MOST]:
        if abs(moved[place]) >= LEAST_LOGIT:
            more, less, _ = GROUPS[place]
            found.append(str(more if moved[place] > 0 else less))
    return found
