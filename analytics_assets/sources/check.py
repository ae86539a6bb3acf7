"""A dry run of the sources: what is missing in them, or of the wrong type, before they are loaded.

Belongs here: trying a source's beginning. Does not: how it is read, mapped and judged; that is what
a load does. Invariant: nothing is written, and a finding names columns and lines, never a value.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.events.catalogue import load_catalogue
from analytics_assets.events.sql_text import problem_code, problem_message
from analytics_assets.settings import Settings, load_settings
from analytics_assets.sources.application import ApplicationReader, reading
from analytics_assets.sources.config import FilesSource, PostgresSource, TableName, read_sources
from analytics_assets.sources.contract import CONTRACTS
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.formats import Chunk, read_chunks
from analytics_assets.sources.lanes import stage_bad_lines, stage_rows
from analytics_assets.sources.mapping import Mapped, Mapper
from analytics_assets.sources.reading import find_files, name_of
from analytics_assets.sources.stages import stage_for
from analytics_assets.sources.staging import LoadRules, PartitionMaker, Stage
from analytics_assets.store.migrate import open_migrated
from analytics_assets.windows import Window

SAMPLE_ROWS: Final = 5_000
_JUDGED: Final = """
select {code}, {message}, count(*), min(line_no)
from {checked}
where problem is not null
group by 1, 2
order by 4, 1, 2
"""


@dataclass(frozen=True)
class SourceFinding:
    """One thing that is wrong with a source.

    ``rows`` are how many of the first rows it concerns, and ``place`` is the first of them; without
    rows nothing can be loaded from the file or query at all.
    """

    source: str
    table: str
    place: str | None
    problem: str
    rows: int | None = None


def check_sources(path: Path, settings: Settings | None = None) -> list[SourceFinding]:
    """What keeps the sources of a file, or the first rows of each, from being loaded.

    Raises SourcesFileError where the file itself is wrong, DatabaseUnavailable where the platform's
    database, whose checks decide, is not there.
    """
    settings = settings or load_settings()
    sources = read_sources(path)
    database = open_migrated(settings)
    now = settings.now()
    rules = LoadRules(
        load_catalogue(settings.catalogue_folders),
        now,
        settings.clock_skew,
        settings.start_day,
        Window(settings.start_day, max(now.date(), settings.start_day) + timedelta(days=1)),
    )
    found: list[SourceFinding] = []
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        check = _Check(connection, rules, _NoPartitions(database))
        for source in sources.sources:
            if isinstance(source, FilesSource):
                found += check.files(source)
            elif isinstance(source, PostgresSource):
                found += check.application(source)
    return found


class _NoPartitions(PartitionMaker):
    """Makes none: nothing is loaded."""

    def events(self, wanted: Collection[tuple[str, date]]) -> None:
        """Do nothing."""

    def days(self, table: str, wanted: Collection[date]) -> None:
        """Do nothing."""


class _Check:
    def __init__(
        self, connection: psycopg.Connection[Any], rules: LoadRules, partitions: PartitionMaker
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._partitions = partitions
        self._stages: dict[TableName, Stage] = {}

    def files(self, source: FilesSource) -> Iterator[SourceFinding]:
        try:
            paths = find_files(source)
        except SourceError as error:
            yield SourceFinding(source.name, source.table, source.path, _told(error, source.name))
            return
        for path in paths:
            name = name_of(path, source)
            try:
                put = partial(self._put, mapped=_first_rows(source, path, name))
                yield from self._judged(source.name, source.table, f"{name}:", put)
            except SourceError as error:
                yield SourceFinding(
                    source.name,
                    source.table,
                    name,
                    _told(error, source.name).removeprefix(f"{name}: "),
                )

    def application(self, source: PostgresSource) -> Iterator[SourceFinding]:
        try:
            with reading(source) as remote:
                for table, described in source.tables.items():
                    reader = ApplicationReader(source, described, CONTRACTS[table], remote)
                    yield from self._table(reader, table)
        except SourceError as error:
            yield SourceFinding(
                source.name, ", ".join(source.tables), None, _told(error, source.name)
            )

    def _table(self, reader: ApplicationReader, table: TableName) -> Iterator[SourceFinding]:
        try:
            reader.prepare()
            yield from self._judged(
                reader.source.name,
                table,
                "row ",
                lambda stage: reader.stage_rows(self._connection, stage, None, SAMPLE_ROWS),
            )
        except SourceError as error:
            yield SourceFinding(reader.source.name, table, None, _told(error, reader.source.name))

    def _put(self, stage: Stage, *, mapped: Iterable[Mapped]) -> None:
        for part in mapped:
            stage_rows(self._connection, stage, part.rows.drop_columns(["id_hash"]))
            stage_bad_lines(self._connection, stage, part.bad)

    def _judged(
        self, source: str, table: TableName, label: str, put: Callable[[Stage], None]
    ) -> list[SourceFinding]:
        """Stage rows as a load does, ask what is wrong with them, and forget them."""
        if table not in self._stages:
            self._stages[table] = stage_for(table, self._rules, self._partitions)
            self._stages[table].open(self._connection)
        stage = self._stages[table]
        with self._connection.transaction(force_rollback=True):
            put(stage)
            stage.check(self._connection)
            problem = sql.Identifier("problem")
            found = self._connection.execute(
                sql.SQL(_JUDGED).format(
                    checked=stage.checked,
                    code=problem_code(problem),
                    message=problem_message(problem),
                )
            ).fetchall()
        return [
            SourceFinding(source, table, f"{label}{line}", f"{code}: {message}", rows)
            for code, message, rows, line in found
        ]


def _first_rows(source: FilesSource, path: Path, name: str) -> list[Mapped]:
    """The first rows of a file, mapped. Raises SourceError where they cannot be."""
    first = next(iter(read_chunks(source, path, name)), None)
    if first is None:
        return []
    sample = Chunk(0, first.rows.slice(0, SAMPLE_ROWS), first.bad[:SAMPLE_ROWS])
    try:
        return _mapped(source, name, sample, lambda: [sample])
    except SourceError:
        # A column may occur further down only, and looking for it takes longer.
        return _mapped(source, name, sample, lambda: read_chunks(source, path, name))


def _mapped(
    source: FilesSource, name: str, sample: Chunk, chunks: Callable[[], Iterable[Chunk]]
) -> list[Mapped]:
    with (
        tempfile.TemporaryDirectory(prefix="analytics-check-") as temporary,
        closing(
            Mapper(source, CONTRACTS[source.table], name, chunks, temporary=Path(temporary))
        ) as mapper,
    ):
        mapper.prepare(sample)
        if mapper.by_parts:
            return [mapper.map(sample)]
        return list(islice(mapper.map_whole(), 2))


def _told(error: SourceError, source: str) -> str:
    return str(error).removeprefix(f"source {source}: ")
