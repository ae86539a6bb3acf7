"""What goes wrong on the way: rows that come late, come twice, or are broken.

Belongs here: choosing and making such rows. Does not: writing them. Invariant: late rows and
duplicates are rows of the valid set; malformed rows are extra, carry ids of their own, and every
one of them is counted under its kind.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import numpy as np

from analytics_assets.sources.sample.draws import DEFECTS, stream
from analytics_assets.sources.sample.manifest import SampleParameters
from analytics_assets.sources.sample.rows import Batch, Row, event_ids

LATE_SHARE: Final = 0.005
DUPLICATE_SHARE: Final = 0.003
MALFORMED_SHARE: Final = 0.001
LONGEST_DELAY_DAYS: Final = 5
OVERSIZED_BYTES: Final = 64 * 1024
# Bytes that are no UTF-8, smuggled through text as surrogates (written with surrogateescape).
INVALID_UTF8: Final = b"\xff\xfe".decode("utf-8", "surrogateescape")

KINDS: Final[tuple[str, ...]] = (
    "broken_json", "unknown_event_type", "wrong_type", "missing_field", "future_timestamp",
    "ancient_timestamp", "nul_escape", "oversized", "invalid_utf8",
)  # fmt: skip
LINE_ONLY_KINDS: Final = frozenset({"invalid_utf8"})

Extra = tuple[int, Row | str]  # before which row of the batch, and the row or a raw line


@dataclass
class Tampered:
    """A batch with its defects: rows to leave out, and rows or raw lines to put in."""

    batch: Batch
    skip: list[int] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)


@dataclass
class Defects:
    """The defects of a whole sample, spread evenly over its rows."""

    parameters: SampleParameters
    late: int = 0
    duplicates: int = 0
    malformed: dict[str, int] = field(default_factory=dict)
    late_by_day: dict[int, int] = field(default_factory=dict)
    _rows: int = 0
    _held: dict[int, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        """Every kind the format can express is counted, also when it does not occur."""
        lines = self.parameters.format == "jsonl"
        self.malformed = {kind: 0 for kind in KINDS if lines or kind not in LINE_ONLY_KINDS}

    def tamper(self, batch: Batch, day: int, number: int) -> Tampered:
        """Apply the defects due in this batch and release the rows held back for its day."""
        rng = stream(self.parameters.seed, DEFECTS, day, number)
        rows = len(batch)
        before, self._rows = self._rows, self._rows + rows
        result = Tampered(batch)
        final = day == self.parameters.days - 1
        late = 0 if final else self._due(LATE_SHARE, 1, before)
        copies = self._due(DUPLICATE_SHARE, 1, before)
        chosen = rng.permutation(rows)[: late + copies].tolist()
        for index in chosen[:late]:
            result.skip.append(index)
            self._hold(batch.row(index), day + 1 + int(rng.integers(0, LONGEST_DELAY_DAYS)))
            self.late_by_day[day] = self.late_by_day.get(day, 0) + 1
            self.late += 1
        for index in chosen[late:]:
            delay = int(rng.integers(0, 3))
            self.duplicates += 1
            if delay and not final:
                self._hold(batch.row(index), day + delay)
            else:
                result.extras.append((int(rng.integers(index + 1, rows + 1)), batch.row(index)))
        for row in self._held.pop(day, ()):
            result.extras.append((int(rng.integers(0, rows + 1)), row))
        for _ in range(self._due(MALFORMED_SHARE, len(self.malformed), before)):
            result.extras.append((int(rng.integers(0, rows + 1)), self._malformed(batch, rng)))
        result.extras.sort(key=lambda extra: extra[0])
        return result

    def _due(self, share: float, least: int, before: int) -> int:
        """How many of ``share`` of all rows fall between ``before`` and the rows seen so far."""
        total = max(round(share * self.parameters.events), least)
        events = self.parameters.events
        return total * self._rows // events - total * before // events

    def _hold(self, row: Row, until: int) -> None:
        self._held[min(until, self.parameters.days - 1)].append(row)

    def _malformed(self, batch: Batch, rng: np.random.Generator) -> Row | str:
        """A broken row made from the circumstances of a good one."""
        kinds = list(self.malformed)
        made = sum(self.malformed.values())
        kind = kinds[made % len(kinds)]
        self.malformed[kind] += 1
        row = batch.row(int(rng.integers(0, len(batch))))._replace(event_id=event_ids(rng, 1)[0])
        return self._break(row, kind, made // len(kinds))

    def _break(  # noqa: PLR0911 (one per kind)
        self, row: Row, kind: str, variant: int
    ) -> Row | str:
        lines = self.parameters.format == "jsonl"
        text = row.timestamp or ""
        match kind:
            case "broken_json" if lines:
                whole = json_line(row)
                return whole[: len(whole) * 3 // 5]
            case "broken_json":
                return row._replace(event_data='{"query":"unclosed')
            case "unknown_event_type":
                return row._replace(event_type="project.teleported", event_data="{}")
            case "wrong_type":
                return _wrong_type(row, variant)
            case "missing_field":
                return _missing_field(row, variant)
            case "future_timestamp":
                future = self.parameters.end_day + timedelta(days=400)
                return row._replace(timestamp=future.isoformat() + text[10:])
            case "ancient_timestamp":
                return row._replace(timestamp="1999-12-31" + text[10:])
            case "nul_escape":
                return row._replace(
                    event_type="search_performed",
                    event_data='{"query":"post\\u0000gres","results":3}',
                )
            case "oversized":
                return row._replace(metadata=f'{{"note":"{"x" * OVERSIZED_BYTES}"}}')
            case _:
                return json_line(row._replace(metadata=f'{{"note":"{INVALID_UTF8}"}}'))


def _wrong_type(row: Row, variant: int) -> Row:
    match variant % 3:
        case 0:
            data = '{"amount":"twelve","currency":"EUR","method":"card"}'
            return row._replace(event_type="payment.completed", event_data=data)
        case 1:
            return row._replace(timestamp="yesterday at noon")
        case _:
            return row._replace(event_type="download", event_data='{"media_id":["a","b"]}')


def _missing_field(row: Row, variant: int) -> Row:
    match variant % 3:
        case 0:
            return row._replace(event_type="server_installed", event_data='{"version":"1.0.0"}')
        case 1:
            return row._replace(timestamp=None)
        case _:
            data = '{"bid_amount":120.0}'
            return row._replace(event_type="proposal.submitted", event_data=data)


def json_line(row: Row) -> str:
    """The native JSON line of any row."""

    def text(value: str | None) -> str:
        return json.dumps(value, ensure_ascii=False)

    return (
        f'{{"event_id":"{row.event_id}","event_type":"{row.event_type}",'
        f'"timestamp":{text(row.timestamp)},"user_id":{text(row.user_id)},'
        f'"session_id":"{row.session_id}","entity_type":{text(row.entity_type)},'
        f'"entity_id":{text(row.entity_id)},"event_data":{row.event_data},'
        f'"metadata":{row.metadata},"source":"{row.source}",'
        f'"geo_location":{row.geo_location},"device_info":{row.device_info}}}'
    )
