"""What a stage did: counts without personal data, and what is missing in words.

Belongs here: the outcome and how it is told. Invariant: nothing told to Dagster or a log names a
person or counts fewer than 11 of them apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from analytics_assets.insights.providers.protocol import NO_USAGE, Usage
from analytics_assets.windows import Window


@dataclass
class StageOutcome:
    """What happened, in rows of the stage's table. Small counts: see ``metadata``.

    ``batched`` of those analysed came in batches; ``by_rules`` counts rows of the window that rules
    stand in for, ``rules_since`` is since when; ``missing`` says in words what a person should do;
    ``errors`` counts failures by class.
    """

    window: Window
    skipped: str | None = None
    selected: int = 0
    unchanged: int = 0
    copied: int = 0
    analysed: int = 0
    batched: int = 0
    by_rules: int = 0
    poisoned: int = 0
    failed: int = 0
    not_attempted: int = 0
    not_drawn: int = 0
    withdrawn: int = 0
    stale: int = 0
    deleted: int = 0
    calls: int = 0
    rules_since: date | None = None
    usage: Usage = NO_USAGE
    cost_micros: int | None = 0
    errors: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every selected row has the answer to its present text, or never will."""
        return self.skipped is None and self.failed == 0 and self.not_attempted == 0

    def tell(self, advice: str | None) -> None:
        """Add what a person should know, once."""
        if advice is not None and advice not in self.missing:
            self.missing.append(advice)

    def metadata(self, floor: int = 11) -> dict[str, int | str]:
        """The outcome for metadata and logs: counts below ``floor`` people are not told apart."""
        told: dict[str, int | str] = {
            name: value if (value := int(getattr(self, name))) >= floor else f"fewer than {floor}"
            for name in _COUNTS
        }
        if self.calls >= floor:
            told["input_tokens"] = self.usage.input
            told["output_tokens"] = self.usage.output
            if self.cost_micros is not None:
                told["cost_micros"] = self.cost_micros
        if self.errors:
            told["error_classes"] = ", ".join(sorted(self.errors))
        if self.skipped:
            told["skipped"] = self.skipped
        if self.rules_since:
            told["rules_since"] = self.rules_since.isoformat()
        if self.missing:
            told["missing"] = "; ".join(self.missing)
        return told


_COUNTS = (
    "selected",
    "unchanged",
    "copied",
    "analysed",
    "batched",
    "by_rules",
    "poisoned",
    "failed",
    "not_attempted",
    "not_drawn",
    "withdrawn",
    "stale",
    "deleted",
    "calls",
)
