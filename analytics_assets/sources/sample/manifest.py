"""What a generated sample consists of: its parameters, its files and its row counts.

Belongs here: reading back what a generator run left behind. Does not: generating. Invariant:
``truth.json`` is written last, so a folder without it holds no finished sample.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal

EventFormat = Literal["jsonl", "csv", "parquet"]

GENERATOR_VERSION: Final = 1
TRUTH_FILE: Final = "truth.json"
CONVERSATION_TRUTH_FILE: Final = "truth_conversations.jsonl"
USER_TRUTH_FILE: Final = "truth_users.jsonl"
SOURCES_FILE: Final = "sources.yaml"


class SampleError(Exception):
    """The sample cannot be generated as asked; the message says which parameter to change."""


@dataclass(frozen=True)
class SampleParameters:
    """Everything the bytes of a sample depend on."""

    users: int
    days: int
    events: int
    seed: int
    start_day: date
    format: EventFormat = "jsonl"
    rows_per_file: int = 2_000_000
    events_only: bool = False

    def __post_init__(self) -> None:
        """Refuse what no company could look like. Raises ``SampleError``."""
        limits = {
            "users": (self.users, 1, 5_000_000),
            "days": (self.days, 1, 3_660),
            "events": (self.events, self.days, 2_000_000_000),
            "seed": (self.seed, 0, 2**63 - 1),
            "rows_per_file": (self.rows_per_file, 1_000, 2_000_000_000),
        }
        for name, (value, low, high) in limits.items():
            if not low <= value <= high:
                raise SampleError(f"{name} must be between {low:,} and {high:,}, not {value:,}")
        if self.format not in ("jsonl", "csv", "parquet"):
            raise SampleError(f"format must be jsonl, csv or parquet, not {self.format!r}")

    @property
    def end_day(self) -> date:
        """The first day after the sample."""
        return self.start_day + timedelta(days=self.days)

    def as_json(self) -> dict[str, Any]:
        """The parameters as they stand in the truth file."""
        return asdict(self) | {
            "start_day": self.start_day.isoformat(),
            "generator_version": GENERATOR_VERSION,
        }


@dataclass(frozen=True)
class SampleManifest:
    """A finished sample. Counts are rows; ``events`` are valid and distinct, ``event_lines`` all.

    ``late`` rows are among ``events``; ``malformed`` and ``duplicates`` come on top of them.
    """

    destination: Path
    parameters: SampleParameters
    event_files: tuple[Path, ...]
    events: int
    event_lines: int
    late: int
    duplicates: int
    malformed: int
    user_rows: int
    server_rows: int
    conversations: int
    messages: int
    service_jobs: int

    @property
    def sources_file(self) -> Path:
        """The sources file that describes the sample to the loader."""
        return self.destination / SOURCES_FILE

    @property
    def truth_file(self) -> Path:
        """What the data files hold, counted while they were written."""
        return self.destination / TRUTH_FILE

    def truth(self) -> dict[str, Any]:
        """The whole truth file, parsed."""
        content: dict[str, Any] = json.loads(self.truth_file.read_text(encoding="utf-8"))
        return content


def load_manifest(destination: Path) -> SampleManifest | None:
    """The finished sample in ``destination``, or None when there is none of this version.

    Files are looked for and their sizes compared; their content is not read.
    """
    try:
        truth = json.loads((destination / TRUTH_FILE).read_text(encoding="utf-8"))
        stored = dict(truth["parameters"])
        version = stored.pop("generator_version")
        parameters = SampleParameters(
            **stored | {"start_day": date.fromisoformat(stored["start_day"])}
        )
        files: dict[str, dict[str, Any]] = truth["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if version != GENERATOR_VERSION:
        return None
    for name, facts in files.items():
        path = destination / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            return None
    return manifest_of(destination, parameters, truth)


def manifest_of(
    destination: Path, parameters: SampleParameters, truth: dict[str, Any]
) -> SampleManifest:
    """The manifest that a truth document describes."""
    events = truth["events"]
    rows = truth["rows"]
    return SampleManifest(
        destination=destination,
        parameters=parameters,
        event_files=tuple(
            destination / name for name, facts in truth["files"].items() if facts["kind"] == "event"
        ),
        events=events["valid_distinct"],
        event_lines=events["lines"],
        late=events["late"],
        duplicates=events["duplicates"],
        malformed=sum(events["malformed"].values()),
        user_rows=rows["user"],
        server_rows=rows["server"],
        conversations=rows["conversation"],
        messages=rows["message"],
        service_jobs=rows["service_job"],
    )
