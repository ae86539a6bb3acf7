"""Events into files: JSON lines, CSV or Parquet, in one file or in parts.

Belongs here: formats and part files. Does not: what the rows say. Invariant: parts put end to end
are the file that would have been written without parts, and memory holds one batch.
"""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from analytics_assets.sources.sample.defects import Tampered, json_line
from analytics_assets.sources.sample.eventtypes import EVENT_TYPES
from analytics_assets.sources.sample.manifest import EventFormat
from analytics_assets.sources.sample.rows import Batch, Row

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_LINES_PER_WRITE: Final = 500


@dataclass
class WrittenFile:
    """A finished file and the rows in it (without a CSV header)."""

    path: Path
    rows: int = 0


@dataclass
class EventWriter(ABC):
    """Writes batches to ``events.<format>``, or to numbered parts of ``rows_per_file`` rows."""

    destination: Path
    rows_per_file: int | None
    files: list[WrittenFile] = field(default_factory=list)

    def write(self, tampered: Tampered) -> None:
        """Append a batch with its defects."""
        self._append(_spliced(self._encode(tampered.batch), tampered, self._encode_row))

    def close(self) -> None:
        """Finish the last file."""
        if self.files:
            self._close_file()

    def _append(self, rows: list[Any]) -> None:
        while rows:
            limit = self.rows_per_file
            if not self.files or (limit is not None and self.files[-1].rows >= limit):
                self._next_file()
            room = len(rows) if limit is None else limit - self.files[-1].rows
            self._write_rows(rows[:room])
            self.files[-1].rows += len(rows[:room])
            rows = rows[room:]

    def _next_file(self) -> None:
        self.close()
        part = "" if self.rows_per_file is None else f"-{len(self.files) + 1:04d}"
        path = self.destination / f"events{part}.{self._suffix()}"
        self.files.append(WrittenFile(path))
        self._open_file(path)

    @abstractmethod
    def _suffix(self) -> EventFormat: ...

    @abstractmethod
    def _encode(self, batch: Batch) -> list[Any]: ...

    @abstractmethod
    def _encode_row(self, row: Row | str) -> Any: ...

    @abstractmethod
    def _open_file(self, path: Path) -> None: ...

    @abstractmethod
    def _write_rows(self, rows: list[Any]) -> None: ...

    @abstractmethod
    def _close_file(self) -> None: ...


def _spliced(rows: list[Any], tampered: Tampered, encode: Any) -> list[Any]:
    """The encoded rows without the held-back ones and with the extra ones in their places."""
    for index in tampered.skip:
        rows[index] = None
    result: list[Any] = []
    done = 0
    for before, extra in tampered.extras:
        result.extend(rows[done:before])
        result.append(encode(extra))
        done = before
    result.extend(rows[done:])
    return [row for row in result if row is not None] if tampered.skip else result


class JsonlWriter(EventWriter):
    """One JSON object per line; raw lines may be no JSON and no UTF-8."""

    _file: BinaryIO

    def _suffix(self) -> EventFormat:
        return "jsonl"

    def _encode(self, batch: Batch) -> list[Any]:
        """Lines joined from fragments per type and per session: the hot path of the generator."""
        heads = [f'","event_type":"{kind.name}","timestamp":"' for kind in EVENT_TYPES]
        entities = [
            f'"entity_type":"{kind.entity}","entity_id":"'
            if kind.entity
            else '"entity_type":null,"entity_id":null'
            for kind in EVENT_TYPES
        ]
        bodies = ['","event_data":' if kind.entity else ',"event_data":' for kind in EVENT_TYPES]
        shared = batch.sessions
        middles = [
            f'","user_id":"{user}","session_id":"{session}",'
            if user
            else f'","user_id":null,"session_id":"{session}",'
            for user, session in zip(shared.user_id, shared.session_id, strict=True)
        ]
        tails = [
            f',"metadata":{metadata},"source":"{source}","geo_location":{geo},"device_info":{device}}}'
            for metadata, source, geo, device in zip(
                shared.metadata,
                shared.source,
                shared.geo_location,
                shared.device_info,
                strict=True,
            )
        ]
        return [
            f'{{"event_id":"{event}{heads[kind]}{time}{middles[session]}{entities[kind]}'
            f"{entity or ''}{bodies[kind]}{data}{tails[session]}"
            for event, kind, time, session, entity, data in zip(
                batch.event_id,
                batch.type,
                batch.timestamp,
                batch.session,
                batch.entity_id,
                batch.event_data,
                strict=True,
            )
        ]

    def _encode_row(self, row: Row | str) -> str:
        return row if isinstance(row, str) else json_line(row)

    def _open_file(self, path: Path) -> None:
        self._file = path.open("wb")

    def _write_rows(self, rows: list[Any]) -> None:
        # Small pieces: joining a whole batch spends its time on fresh memory pages.
        for low in range(0, len(rows), _LINES_PER_WRITE):
            text = "\n".join(rows[low : low + _LINES_PER_WRITE])
            self._file.write(text.encode("utf-8", "surrogateescape"))
            self._file.write(b"\n")

    def _close_file(self) -> None:
        self._file.close()


class _ColumnWriter(EventWriter):
    """What CSV and Parquet share: rows of text columns, no raw lines."""

    def _encode(self, batch: Batch) -> list[Any]:
        return [batch.row(index) for index in range(len(batch))]

    def _encode_row(self, row: Row | str) -> Row | str:
        return row


class CsvWriter(_ColumnWriter):
    """RFC 4180 with a header; JSON columns as text, nothing as an empty cell."""

    _file: BinaryIO

    def _suffix(self) -> EventFormat:
        return "csv"

    def _open_file(self, path: Path) -> None:
        self._file = path.open("wb")
        self._write_rows([Row._fields])

    def _write_rows(self, rows: list[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.write(text.getvalue().encode("utf-8"))

    def _close_file(self) -> None:
        self._file.close()


class ParquetWriter(_ColumnWriter):
    """Text columns, zstd; JSON columns and the timestamp stay text, since they may be broken."""

    _parquet: pq.ParquetWriter

    def _suffix(self) -> EventFormat:
        return "parquet"

    def _open_file(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, pa.string()) for name in Row._fields])
        self._parquet = pq.ParquetWriter(path, schema, compression="zstd")

    def _write_rows(self, rows: list[Any]) -> None:
        import pyarrow as pa

        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        self._parquet.write_table(pa.table(columns, names=list(Row._fields)))

    def _close_file(self) -> None:
        self._parquet.close()


def event_writer(
    destination: Path, event_format: EventFormat, rows_per_file: int | None
) -> EventWriter:
    """The writer of a format; without ``rows_per_file`` everything goes into one file."""
    kinds: dict[EventFormat, type[EventWriter]] = {
        "jsonl": JsonlWriter,
        "csv": CsvWriter,
        "parquet": ParquetWriter,
    }
    return kinds[event_format](destination, rows_per_file)
