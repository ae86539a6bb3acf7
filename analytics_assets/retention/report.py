"""What a pruning did, in numbers that name nobody.

Belongs here: the report and the errors that end a pruning. Does not: pruning. Invariant: the
metadata count rows of whole tables and partitions, never of one person or one day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any


class RetentionBlockedError(Exception):
    """Another session holds what must be dropped; what was dropped before stays dropped."""


class RetentionIncompleteError(Exception):
    """Rows past their time are still there; ``report`` has the numbers."""

    def __init__(self, report: PruneReport) -> None:
        super().__init__("; ".join(report.problems()))
        self.report = report


@dataclass
class PruneReport:
    """Of one pruning: by retention class, except where it says otherwise.

    In a dry run ``partitions_dropped``, ``raw_rows`` and ``derived_rows`` count what would go, and
    ``survivors`` what would still be left then.
    """

    dry_run: bool
    cutoffs: Mapping[str, date]
    partitions_dropped: Counter[str] = field(default_factory=Counter)
    raw_rows: Counter[str] = field(default_factory=Counter)
    derived_rows: Counter[str] = field(default_factory=Counter)  # by table
    survivors: Counter[str] = field(default_factory=Counter)  # by table
    unclassified: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing past its time is left, and everything has a class."""
        return not self.problems()

    def problems(self) -> list[str]:
        """What is wrong and what to do about it; empty where all is well."""
        found = [
            f"{table} still holds {rows} rows past their retention: see whether a partition of it "
            "spans more than a day or is a default partition, move those rows or drop it by hand, "
            "then run the pruning again"
            for table, rows in sorted(self.survivors.items())
            if rows
        ]
        if self.unclassified:
            found.append(
                f"raw.platform_events holds events of {', '.join(self.unclassified)}, which no "
                "catalogue file names, so nothing says how long they may be kept: put the file "
                "back into the catalogue folder (ANALYTICS_CATALOGUE_DIRS)"
            )
        return found

    def metadata(self) -> dict[str, Any]:
        """Small facts for Dagster."""
        return {
            "dry_run": self.dry_run,
            "partitions_dropped": self.partitions_dropped.total(),
            "partitions_dropped_by_class": dict(sorted(self.partitions_dropped.items())),
            "raw_rows_dropped": self.raw_rows.total(),
            "derived_rows_deleted": self.derived_rows.total(),
            "survivors": self.survivors.total(),
            "categories_without_retention": list(self.unclassified),
            "first_day_kept_by_class": {
                name: day.isoformat() for name, day in sorted(self.cutoffs.items())
            },
        }
