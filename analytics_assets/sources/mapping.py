"""Rows of a file become rows of a contract, chunk by chunk or, where need be, all at once.

Belongs here: running a source's mapping. Does not: its SQL (``mapping_sql``), reading
(``formats``), types and checks (Postgres). Invariant: a chunk maps to the same rows whenever it is
mapped, and a row whose mapping fails becomes a bad line without stopping the others.
"""

# ruff: noqa: S608 -- queries for DuckDB, put together from quoted names only
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analytics_assets.sources.config import FilesSource
from analytics_assets.sources.contract import Contract
from analytics_assets.sources.duck import literal, open_duckdb, quoted
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.formats import CHUNK_ROWS, LINE, TEXT, Chunk
from analytics_assets.sources.mapping_sql import (
    BROKEN,
    CHUNK,
    CONTENT,
    PARSED,
    REPEATS,
    UNIDENTIFIED,
    MappingQuery,
    content_query,
    digest_of,
    is_object,
    parsing_query,
)
from analytics_assets.sources.reading import BadLine, escaped
from analytics_assets.sources.select import SOURCE, Select, parse_select

if TYPE_CHECKING:
    import pyarrow as pa

# A select that fails for more rows than this is wrong itself.
MOST_FAILURES: Final = 1_000
_ROWS_TO_FIND_KEYS: Final = 20_000
# Small batches: DuckDB doubles the buffers of a batch as it grows.
_ROWS_PER_BATCH: Final = 4_096
_FAILED: Final = (
    "the source's `select` fails for this row; use try_cast or try_strptime in it, then load the "
    "file again"
)
_NO_OBJECT: Final = "the line is no JSON object; write one object per line, then load it again"


@dataclass
class Mapped:
    """Rows of the contract as text, in the order of the file, and lines that are none.

    Besides the contract's columns ``rows`` has ``line_no``, ``problem`` (``code|message``),
    ``byte_size``, ``awkward`` (Postgres may refuse it), ``id_hash`` (64 bits of its digest).
    """

    rows: pa.Table
    bad: list[BadLine]


class Mapper:
    """Maps one file. ``chunks`` reads the file anew each time it is called."""

    def __init__(
        self,
        source: FilesSource,
        contract: Contract,
        name: str,
        chunks: Callable[[], Iterable[Chunk]],
        *,
        temporary: Path,
    ) -> None:
        self.source = source
        self.contract = contract
        self.name = name
        self._chunks = chunks
        self._duck = open_duckdb(source.folder, temporary)
        self._select: Select | None = None
        self._keys: list[str] = []
        self._json_lines = False
        self._query = ""
        self._derives_ids = False
        self._failures = 0

    def close(self) -> None:
        """Let go of DuckDB's memory and files."""
        self._duck.close()

    @property
    def by_parts(self) -> bool:
        """Whether the file is mapped chunk by chunk, and so can be resumed after a crash."""
        return self._select is None or self._select.plain

    def prepare(self, first: Chunk) -> None:
        """Find the file's columns in its first chunk.

        Raises SourceError where a column is missing or ``select`` is wrong.
        """
        if self.source.select is not None:
            self._select = parse_select(self._duck, self.source.select, self.source.name)
        self._json_lines = TEXT in first.rows.column_names
        self._keys = self._find_keys(first)
        if self.by_parts:
            self._duck.register(PARSED, self._parse(first.rows.slice(0, 0))[0])
            self._build()

    def map(self, chunk: Chunk) -> Mapped:
        """Map one chunk; only where ``by_parts``. Chunks come in their order, each once."""
        from pyarrow import compute

        parsed, broken = self._parse(chunk.rows)
        rows, failed = self._run(parsed)
        may_derive = self.contract.derives_ids and not self._derives_ids
        if may_derive and compute.any(rows.column(UNIDENTIFIED)).as_py():
            self._derive_ids()
            return self.map(chunk)
        hidden = [UNIDENTIFIED, CONTENT] if self._derives_ids else [UNIDENTIFIED]
        return Mapped(rows.drop_columns(hidden), [*chunk.bad, *broken, *failed])

    def map_whole(self) -> Iterator[Mapped]:
        """Map the whole file in one query, and give its rows in chunks."""
        import duckdb
        import pyarrow as pa

        bad = self._load_whole()
        self._derives_ids = self.contract.derives_ids
        self._build()
        hidden = [UNIDENTIFIED, CONTENT] if self._derives_ids else [UNIDENTIFIED]
        try:
            reader = self._duck.execute(self._query).to_arrow_reader(CHUNK_ROWS)
            yield Mapped(reader.schema.empty_table().drop_columns(hidden), bad)
            for batch in reader:
                yield Mapped(pa.Table.from_batches([batch]).drop_columns(hidden), [])
        except duckdb.Error as error:
            raise self._wrong(f"`select` fails ({type(error).__name__}); use try_cast") from None

    def _find_keys(self, first: Chunk) -> list[str]:
        if not self._json_lines:
            return [name for name in first.rows.column_names if name != LINE]
        self._duck.register(CHUNK, first.rows.slice(0, _ROWS_TO_FIND_KEYS))
        found = self._duck.execute(
            f"select key from (select {LINE}, unnest(json_keys({TEXT})) as key from {CHUNK}"
            f" where {is_object(TEXT)}) group by key order by min({LINE}), key"
        ).fetchall()
        keys = _distinct(str(key) for (key,) in found)
        if not keys and first.size:
            raise self._wrong("no line at its beginning is a JSON object; write one per line")
        if self._select is None:
            self._require(keys, keys)
            return _distinct([*self.contract.names, *keys])
        known = {key.lower() for key in keys}
        wanted = set(self._select.columns)
        if self._select.takes_all:
            wanted.update(self.contract.names)
        unseen = sorted(name for name in wanted if name.lower() not in known)
        return [*keys, *self._keys_further_on(unseen)]

    def _keys_further_on(self, wanted: list[str]) -> list[str]:
        """Which keys, not seen at the beginning of the file, occur in the rest of it."""
        from pyarrow import compute

        found: list[str] = []
        for chunk in self._chunks() if wanted else ():
            text = chunk.rows.column(TEXT)
            for name in [name for name in wanted if name not in found]:
                lines = chunk.rows.filter(compute.match_substring(text, f'"{name}"'))
                if lines.num_rows and self._is_key(name, lines):
                    found.append(name)
        return _distinct(found)

    def _is_key(self, name: str, lines: pa.Table) -> bool:
        """Whether a name that stands somewhere in these lines is a key of one of them."""
        self._duck.register(CHUNK, lines)
        row = self._duck.execute(
            f"select count(*) > 0 from {CHUNK} where case when {is_object(TEXT)}"
            f" then list_contains(json_keys({TEXT}), {literal(name)}) end"
        ).fetchone()
        return row is not None and bool(row[0])

    def _build(self) -> None:
        """Make the query, once the types of its columns are known."""
        import duckdb

        query = MappingQuery(
            self.source,
            self.contract,
            self._select,
            self._keys,
            self._json_lines,
            self._derives_ids,
        )
        try:
            inner = query.inner(self._duck)
            described = self._duck.execute(
                f"describe {query.relation()}inner_rows as ({inner}) select * from inner_rows"
            ).fetchall()
        except duckdb.Error as error:
            raise self._wrong(
                f"`select` cannot be run: {_first_line(error)}. The file has "
                f"{', '.join(self._keys) or 'no columns'}"
            ) from None
        types = {str(row[0]): str(row[1]) for row in described}
        columns = [name.lower() for name in types]
        self._require(columns, self._keys)
        self._query = query.complete(inner, types)
        may_derive = self.contract.derives_ids and not self._derives_ids
        if may_derive and self.contract.id_column not in columns:
            self._derive_ids()

    def _require(self, columns: list[str], there: list[str]) -> None:
        missing = [name for name in self.contract.required if name not in columns]
        if missing:
            where = "`select` gives" if self._select else "there is"
            raise self._wrong(
                f"{where} no column {', '.join(map(repr, missing))}, which {self.contract.table} "
                f"needs. The file has {', '.join(there) or 'none'}; rename or map them with "
                "`select`"
            )

    def _parse(self, rows: pa.Table) -> tuple[pa.Table, list[BadLine]]:
        """Rows with the file's own columns, and lines that are no objects."""
        from pyarrow import compute

        if not self._json_lines:
            return rows, []
        self._duck.register(CHUNK, rows)
        query = parsing_query(
            self.contract,
            self._keys,
            native=self._select is None,
            with_content=self._derives_ids,
        )
        parsed = self._duck.execute(query).to_arrow_table(_ROWS_PER_BATCH)
        self._duck.unregister(CHUNK)
        is_broken = compute.is_valid(parsed.column(BROKEN))
        if not compute.any(is_broken).as_py():
            return parsed.drop_columns([BROKEN]), []
        broken = parsed.filter(is_broken)
        bad = [
            BadLine(row[LINE], "malformed_json", _NO_OBJECT, escaped(row[BROKEN].rstrip().encode()))
            for row in broken.select([LINE, BROKEN]).to_pylist()
            if row[BROKEN].strip()
        ]
        return parsed.filter(compute.invert(is_broken)).drop_columns([BROKEN]), bad

    def _run(self, parsed: pa.Table) -> tuple[pa.Table, list[BadLine]]:
        """Run the mapping; rows for which it fails are found by halving."""
        import duckdb
        import pyarrow as pa

        self._duck.register(PARSED, parsed)
        try:
            rows = self._duck.execute(self._query).to_arrow_table(_ROWS_PER_BATCH)
            self._duck.unregister(PARSED)
        except (duckdb.OperationalError, duckdb.InternalError):
            raise
        except duckdb.Error as error:
            if self._select is None:
                raise
            if parsed.num_rows <= 1:
                self._failures += 1
                if self._failures > MOST_FAILURES:
                    raise self._wrong(
                        f"`select` fails for more than {MOST_FAILURES} rows "
                        f"({type(error).__name__}); use try_cast or try_strptime in it"
                    ) from None
                return self._run(parsed.slice(0, 0))[0], [_failed(parsed)]
        else:
            if self._derives_ids:
                # Here, because the next half of a chunk goes on counting where this one ended.
                self._count_occurrences(rows)
            return rows, []
        half = parsed.num_rows // 2
        (first, bad), (second, more) = (
            self._run(parsed.slice(0, half)),
            self._run(parsed.slice(half)),
        )
        return pa.concat_tables([first, second]), [*bad, *more]

    def _derive_ids(self) -> None:
        """From here on give ids to rows without one. Repeats are found by reading the file once."""
        self._derives_ids = True
        if self.by_parts:
            self._duck.execute("create table digests (digest ubigint)")
            query = content_query(self._json_lines, self._keys)
            for chunk in self._chunks():
                self._duck.register(CHUNK, chunk.rows)
                self._duck.execute(f"insert into digests {query}")
            self._duck.execute(
                f"create table {REPEATS} as select digest, 0::bigint as seen from digests"
                " group by digest having count(*) > 1"
            )
            self._duck.execute("drop table digests")
            self._duck.register(PARSED, self._parse(self._empty_rows())[0])
        self._build()

    def _empty_rows(self) -> pa.Table:
        import pyarrow as pa

        names = [TEXT] if self._json_lines else self._keys
        columns: dict[str, pa.DataType] = {LINE: pa.int64(), **dict.fromkeys(names, pa.string())}
        return pa.schema(columns).empty_table()

    def _count_occurrences(self, rows: pa.Table) -> None:
        without_id = rows.filter(rows.column(UNIDENTIFIED))
        self._duck.register("counted", without_id.select([CONTENT]))
        self._duck.execute(
            f"update {REPEATS} set seen = seen + times from (select"
            f" {digest_of(CONTENT)} as digest, count(*) as times from counted group by 1) as more"
            f" where {REPEATS}.digest = more.digest"
        )

    def _load_whole(self) -> list[BadLine]:
        """Put the file into the table ``source``; DuckDB spills what memory cannot hold."""
        bad: list[BadLine] = []
        columns = ", ".join(map(quoted, self._keys))
        made = False
        for chunk in self._chunks():
            parsed, broken = self._parse(chunk.rows)
            bad += [*chunk.bad, *broken]
            self._duck.register(PARSED, parsed)
            self._duck.execute(
                f"insert into {SOURCE} select {columns} from {PARSED}"
                if made
                else f"create table {SOURCE} as select {columns} from {PARSED}"
            )
            made = True
        return bad

    def _wrong(self, what: str) -> SourceError:
        return SourceError(f"source {self.source.name}: {self.name}: {what}")


def _failed(parsed: pa.Table) -> BadLine:
    import json

    row = {k: v for k, v in parsed.to_pylist()[0].items() if not k.startswith("_")}
    text = json.dumps(row, ensure_ascii=False, default=str)
    line = int(parsed.column(LINE)[0].as_py())
    return BadLine(line, "mapping_failed", _FAILED, escaped(text.encode()))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _distinct(names: Iterable[str]) -> list[str]:
    """Names in their order, each once, as SQL sees them: without regard to case."""
    seen: dict[str, str] = {}
    for name in names:
        seen.setdefault(name.lower(), name)
    return list(seen.values())
