"""JSON lines, CSV and Parquet as a stream of chunks of rows, each row with its line number.

Belongs here: the formats. Does not: what columns mean (``mapping``). Invariant: the same file gives
the same chunks, whatever was loaded of it before; a damaged file yields what can be read of it
before it raises.
"""

from __future__ import annotations

import csv
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analytics_assets.sources.config import CsvOptions, FilesSource
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.reading import (
    MAX_LINE_BYTES,
    BadLine,
    Readable,
    Transcoded,
    escaped,
    line_blocks,
    open_bytes,
)

if TYPE_CHECKING:
    import pyarrow as pa

# A chunk is one transaction: large enough to make its fixed cost small, small enough for memory.
CHUNK_ROWS: Final = 50_000
CHUNK_BYTES: Final = 10 * 1024 * 1024
_ROWS_PER_CONVERSION: Final = 4_000
LINE: Final = "_line"
TEXT: Final = "_text"


@dataclass
class Chunk:
    """Consecutive rows of a file.

    ``rows`` has ``_line`` (number from 1; for Parquet that of the row) and either ``_text``, a line
    of JSON, or the file's own columns. ``bad`` are lines that are no rows.
    """

    number: int
    rows: pa.Table
    bad: list[BadLine]

    @property
    def size(self) -> int:
        """Rows and bad lines."""
        return int(self.rows.num_rows) + len(self.bad)

    @property
    def span(self) -> str:
        """First and last line, which name the chunk in the load log."""
        found = [line.line for line in self.bad]
        if self.rows.num_rows:
            lines = self.rows.column(LINE)
            found += [lines[0].as_py(), lines[-1].as_py()]
        return f"{min(found, default=0)}-{max(found, default=0)}"


def read_chunks(source: FilesSource, path: Path, name: str) -> Iterator[Chunk]:
    """The file's chunks, the first one also for an empty file that has columns.

    Raises SourceError naming ``name`` where the file cannot be read to its end.
    """
    file_format = source.format_of(path)
    try:
        if file_format == "parquet":
            yield from _parquet_chunks(path, name)
            return
        with open_bytes(path) as stream:
            if file_format == "csv":
                yield from _csv_chunks(stream, source.csv, path, name)
            else:
                yield from _json_chunks(stream)
    except (OSError, EOFError, zlib.error) as error:
        what = getattr(error, "strerror", None) or "it is damaged or cut off"
        raise SourceError(
            f"source {source.name}: {name} cannot be read to its end: {what}. What came before "
            "is loaded; replace the file and run again, nothing is loaded twice"
        ) from None


class _Collector:
    """Gathers row tables and bad lines into chunks of a bounded size."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._bad: list[BadLine] = []
        self._rows = 0
        self._bytes = 0
        self._number = 0

    def add(self, table: pa.Table, bad: Iterable[BadLine]) -> Iterator[Chunk]:
        self._bad.extend(bad)
        while self._rows + table.num_rows >= CHUNK_ROWS:
            room = CHUNK_ROWS - self._rows
            self._tables.append(table.slice(0, room))
            table = table.slice(room)
            yield self.finish()
        self._tables.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._bytes >= CHUNK_BYTES or len(self._bad) >= CHUNK_ROWS:
            yield self.finish()

    @property
    def pending(self) -> bool:
        return self._rows > 0 or bool(self._bad) or (self._number == 0 and bool(self._tables))

    def finish(self) -> Chunk:
        import pyarrow as pa

        chunk = Chunk(self._number, pa.concat_tables(self._tables), self._bad)
        self._tables, self._bad, self._rows, self._bytes = [], [], 0, 0
        self._number += 1
        return chunk


def _json_chunks(stream: Readable) -> Iterator[Chunk]:
    import pyarrow as pa

    collector = _Collector()
    for block in line_blocks(stream):
        table = pa.table({LINE: pa.array(block.numbers), TEXT: block.lines})
        yield from collector.add(table, block.bad)
    if collector.pending:
        yield collector.finish()


def _parquet_chunks(path: Path, name: str) -> Iterator[Chunk]:
    import pyarrow as pa
    from pyarrow import parquet

    collector = _Collector()
    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            row = 1
            columns = _distinct(file.schema_arrow.names)
            yield from collector.add(
                _numbered(file.schema_arrow.empty_table().rename_columns(columns), []), []
            )
            for batch in file.iter_batches(_ROWS_PER_CONVERSION):
                table = pa.Table.from_batches([batch]).rename_columns(columns)
                numbers = range(row, row + table.num_rows)
                yield from collector.add(_numbered(table, numbers), [])
                row += table.num_rows
    except pa.ArrowInvalid:
        raise SourceError(f"{name} is no readable Parquet file; write it again") from None
    if collector.pending:
        yield collector.finish()


def _csv_chunks(stream: Any, options: CsvOptions, path: Path, name: str) -> Iterator[Chunk]:
    encoding = options.encoding
    source = stream if encoding in {"utf-8", "utf-8-sig"} else Transcoded(stream, encoding)
    tabs = path.with_suffix("").suffix == ".tsv" or path.suffix == ".tsv"
    records = _CsvRecords(source, options, options.delimiter or ("\t" if tabs else ","))
    header = options.columns or next(records, (0, None))[1]
    if header is None:
        return
    if len(header) == 1 and not header[0].strip():
        raise SourceError(f"{name}: the first line names no columns; see the `csv` options")
    columns = _distinct(header)
    records.width = len(columns)
    if options.columns and options.header:
        next(records, None)
    collector = _Collector()
    yield from collector.add(_csv_table(columns, [], options), [])
    rows: list[tuple[int, list[str]]] = []
    for record in records:
        rows.append(record)
        if len(rows) == _ROWS_PER_CONVERSION:
            yield from collector.add(_csv_table(columns, rows, options), records.take_bad())
            rows = []
    yield from collector.add(_csv_table(columns, rows, options), records.take_bad())
    if collector.pending:
        yield collector.finish()


class _CsvRecords:
    """Records with the number of their first line.

    A broken record costs its first line only: reading starts again with the line after it, so that
    a quote that never ends does not swallow the rest of the file.
    """

    def __init__(self, stream: Readable, options: CsvOptions, delimiter: str) -> None:
        self.width: int | None = None
        self._bad: list[BadLine] = []
        self._again: deque[tuple[int, str]] = deque()
        self._taken: list[tuple[int, str]] = []
        self._length = 0
        self._fresh = self._lines(stream)
        self._options: dict[str, Any] = {
            "delimiter": delimiter,
            "quotechar": options.quote,
            "escapechar": options.escape,
            "doublequote": options.escape is None,
            "skipinitialspace": options.skip_initial_space,
            "strict": True,
        }
        self._reader = csv.reader(self._feed(), **self._options)
        csv.field_size_limit(2 * MAX_LINE_BYTES)

    def __iter__(self) -> _CsvRecords:
        return self

    def __next__(self) -> tuple[int, list[str]]:
        while True:
            self._taken.clear()
            self._length = 0
            try:
                record = next(self._reader)
            except csv.Error:
                self._give_up("a quote is out of place or never closed; quote the whole value")
                continue
            if not record:
                continue
            if self.width is None or len(record) == self.width:
                return self._taken[0][0], record
            self._give_up(f"has {len(record)} values where the header has {self.width}")

    def take_bad(self) -> list[BadLine]:
        """Bad lines since the last call."""
        bad, self._bad = self._bad, []
        return bad

    def _give_up(self, what: str) -> None:
        (number, line), *rest = self._taken
        self._bad.append(
            BadLine(
                number,
                "malformed_csv",
                f"the record {what}; correct the line and load the file again",
                escaped(line.rstrip("\r\n").encode()),
            )
        )
        self._again.extendleft(reversed(rest))
        self._reader = csv.reader(self._feed(), **self._options)

    def _feed(self) -> Iterator[str]:
        while True:
            if self._again:
                number, line = self._again.popleft()
            else:
                try:
                    number, line = next(self._fresh)
                except StopIteration:
                    return
            self._taken.append((number, line))
            self._length += len(line)
            if self._length > MAX_LINE_BYTES and len(self._taken) > 1:
                raise csv.Error
            yield line

    def _lines(self, stream: Readable) -> Iterator[tuple[int, str]]:
        for block in line_blocks(stream):
            self._bad.extend(block.bad)
            yield from zip(block.numbers.tolist(), block.lines.to_pylist(), strict=True)


def _csv_table(
    columns: list[str], rows: list[tuple[int, list[str]]], options: CsvOptions
) -> pa.Table:
    import pyarrow as pa
    from pyarrow import compute

    values = list(zip(*(record for _, record in rows), strict=True)) or [() for _ in columns]
    nothing = pa.array(["", *options.null_values], pa.string())
    arrays = []
    for column in values:
        array = pa.array(column, pa.string())
        arrays.append(compute.if_else(compute.is_in(array, nothing), None, array))
    return _numbered(pa.table(arrays, names=columns), [number for number, _ in rows])


def _numbered(table: pa.Table, numbers: Iterable[int]) -> pa.Table:
    import pyarrow as pa

    return table.add_column(0, LINE, pa.array(list(numbers), pa.int64()))


def _distinct(names: Iterable[str]) -> list[str]:
    """Names as they are, made distinct as SQL sees them: without regard to case."""
    seen: dict[str, int] = {LINE: 0, TEXT: 0}
    result = []
    for position, given in enumerate(names):
        name = given or f"column_{position + 1}"
        count = seen.get(name.lower())
        seen[name.lower()] = 0 if count is None else count + 1
        unique = name if count is None else f"{name}_{count + 1}"
        seen.setdefault(unique.lower(), 0)
        result.append(unique)
    return result
