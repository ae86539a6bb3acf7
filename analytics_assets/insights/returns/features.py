"""From who did what in which week to rows a model can learn from: pure arithmetic on arrays.

Belongs here: features, outcomes, the baseline's share of both. Does not: SQL
(predictions.py) or models (model.py). Invariant: the features of a user's week are
made of the four weeks before it and of nothing later, so no outcome leaks into what predicts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # Four bytes a number at rest, eight where it is reckoned with.
    Floats = NDArray[Any]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

LOOKBACK_WEEKS: Final = 4
DAYS: Final = 7
# What is known of one user in one week: sums, but for `last_day` (0 is Monday).
FACTS: Final = (
    "active_days",
    "last_day",
    "conversations",
    "turns",
    "jobs",
    "results",
    "credit_limits",
    "read",
    "stuck",
    "failed",
    "judged",
    "mood",
    "wishes",
)
BASELINE: Final = ("days_away", "days_last_week", "active_share")
FEATURES: Final = (
    *BASELINE,
    "conversations",
    "depth",
    "jobs",
    "results",
    "credit_limits_last_week",
    "credit_limits",
    "stuck_share",
    "stuck_last_week",
    "failed_share",
    "mood",
    "wishes",
    "read",
)


@dataclass(frozen=True)
class UserWeeks:
    """What users did in consecutive weeks: ``facts[name]`` is an array (users, weeks)."""

    facts: dict[str, Floats]

    @classmethod
    def of_pages(
        cls, pages: Iterable[Sequence[Sequence[Any]]], weeks: int
    ) -> tuple[list[str], UserWeeks]:
        """User ids, and facts from rows (user id, week number, *FACTS) in order of user.

        Weeks without a row were idle. Rows are taken page by page, so that they are never all held.
        """
        import numpy as np

        users: dict[str, int] = {}
        tables = [np.empty((0, 2 + len(FACTS)), dtype=np.float32)]
        for page in pages:
            numbered = [(users.setdefault(row[0], len(users)), *row[1:]) for row in page]
            tables.append(np.array(numbered, dtype=np.float32))
        table = np.concatenate(tables)
        user, week = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
        facts: dict[str, Floats] = {}
        for place, name in enumerate(FACTS, start=2):
            idle = -1.0 if name == "last_day" else 0.0
            facts[name] = np.full((len(users), weeks), idle, dtype=np.float32)
            facts[name][user, week] = table[:, place]
        return list(users), cls(facts)

    @property
    def shape(self) -> tuple[int, int]:
        """Users, weeks."""
        users, weeks = self.facts["active_days"].shape
        return users, weeks


@dataclass(frozen=True)
class Examples:
    """One row for each user and week in which the user could return.

    ``returned`` is 1 or 0; it is known for every week that was over when the facts were read, and
    whoever learns must take care of that with ``week``. Columns of ``features`` are FEATURES.
    """

    features: Floats
    returned: Floats
    user: Ints
    week: Ints


def examples(weeks: UserWeeks) -> Examples:
    """Rows for users active in the four weeks before, of weeks that follow one with data."""
    import numpy as np

    _, count = weeks.shape
    alive = np.flatnonzero(weeks.facts["active_days"].any(axis=0))
    first = int(alive[0]) if len(alive) else count
    parts: list[tuple[Floats, Floats, Ints, Ints]] = []
    for week in range(first + 1, count):
        if week - 1 not in alive:
            # The data stopped: that nobody came says nothing about anybody.
            continue
        past = slice(max(first, week - LOOKBACK_WEEKS), week)
        present = weeks.facts["active_days"][:, past].any(axis=1)
        chosen = np.flatnonzero(present)
        parts.append(
            (
                _features(weeks, past)[chosen],
                (weeks.facts["active_days"][chosen, week] > 0).astype(np.float64),
                chosen,
                np.full(len(chosen), week),
            )
        )
    if not parts:
        none = np.empty(0, dtype=np.int64)
        return Examples(np.empty((0, len(FEATURES))), np.empty(0), none, none)
    features, returned, user, week_of = (np.concatenate(column) for column in zip(*parts))  # noqa: B905
    return Examples(features, returned, user, week_of)


def weeks_with_data(weeks: UserWeeks) -> Bools:
    """Which weeks anybody was active in."""
    import numpy as np

    return np.asarray(weeks.facts["active_days"].any(axis=0), dtype=np.bool_)


def _features(weeks: UserWeeks, past: slice) -> Floats:
    import numpy as np

    length = past.stop - past.start
    last = {name: grid[:, past.stop - 1] for name, grid in weeks.facts.items()}
    total = {name: grid[:, past].sum(axis=1) for name, grid in weeks.facts.items()}
    # Days from the last active one to the first that is predicted.
    ends = DAYS * np.arange(length, 0, -1)
    last_days = weeks.facts["last_day"][:, past]
    away = np.where(last_days >= 0, ends - last_days, np.inf).min(axis=1)
    columns = {
        "days_away": np.log(np.minimum(away, DAYS * LOOKBACK_WEEKS)),
        "days_last_week": last["active_days"] / DAYS,
        "active_share": total["active_days"] / (DAYS * length),
        "conversations": np.log1p(total["conversations"] / length),
        "depth": np.log1p(_share(total["turns"], total["conversations"])),
        "jobs": np.log1p(total["jobs"] / length),
        "results": np.log1p(total["results"] / length),
        "credit_limits_last_week": (last["credit_limits"] > 0).astype(np.float64),
        "credit_limits": np.log1p(total["credit_limits"] / length),
        "stuck_share": _share(total["stuck"], total["read"]),
        "stuck_last_week": np.log1p(last["stuck"]),
        "failed_share": _share(total["failed"], total["judged"]),
        "mood": _share(total["mood"], total["read"]),
        "wishes": _share(total["wishes"], total["read"]),
        "read": (total["read"] > 0).astype(np.float64),
    }
    return np.column_stack([columns[name] for name in FEATURES]).astype(np.float32)


def _share(part: Floats, whole: Floats) -> Floats:
    import numpy as np

    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
