"""One figure of the evaluation and the limit it is held to.

Belongs here: the row all groups of measures share. Invariant: a figure that could not be taken says
why and never counts as kept; one without a limit is reported and never judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """``figure`` None: not taken, ``note`` says why. ``limit`` None: reported, not judged."""

    name: str
    figure: float | None
    limit: float | None
    better: Literal["higher", "lower"] = "higher"
    note: str = ""

    @property
    def verdict(self) -> Literal["ok", "missed", "reported", "not taken"]:
        if self.figure is None:
            return "not taken"
        if self.limit is None:
            return "reported"
        held = self.figure >= self.limit if self.better == "higher" else self.figure <= self.limit
        return "ok" if held else "missed"
