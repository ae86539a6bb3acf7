"""Files into ``raw`` against a bare COPY of the same rows into the same partitioned table.

Invariant: the load starts on an empty database, makes its partitions, parses, validates,
deduplicates and enriches; the COPY finds partitions and typed rows ready.
"""

from __future__ import annotations

from pathlib import Path

from psycopg import sql

from analytics_assets.benchmarks.measure import Bench, Figure, timed
from analytics_assets.events.catalogue import load_catalogue
from analytics_assets.sources.config import read_sources
from analytics_assets.sources.load import load_raw
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

SHARE_OF_COPY = 0.40
EVENTS = "raw.platform_events"
_BLOCK = 1 << 20


def loading(bench: Bench) -> list[Figure]:
    """Load the sample's events, then COPY what was loaded once more."""
    settings = bench.settings
    sources = read_sources(bench.sample.sources_file)
    events = sources.model_copy(update={"sources": list(sources.files("platform_events"))})
    window = Window(bench.sample.parameters.start_day, bench.sample.parameters.end_day)
    loaded = timed(lambda: load_raw(bench.database, settings, window, events, load_catalogue([])))
    rows = count(bench.database, EVENTS)
    copied = copy_again(bench.database, EVENTS, settings.home / "events.copy")
    return [
        Figure("events loaded", rows),
        Figure("files to raw", rows / loaded, "rows/s"),
        Figure("bare COPY", rows / copied, "rows/s"),
        Figure("files to raw, share of COPY", copied / loaded, "", at_least=SHARE_OF_COPY),
    ]


def copy_again(database: Database, table: str, file: Path) -> float:
    """Write a table's rows to a file, empty it, and COPY them back: seconds of the last."""
    name = sql.Identifier(*table.split("."))
    with database.connect("analytics_owner") as connection:
        with (
            file.open("wb") as out,
            connection.cursor().copy(
                sql.SQL("copy (select * from {}) to stdout").format(name)
            ) as copy,
        ):
            for block in copy:
                out.write(block)
        connection.execute(sql.SQL("truncate {}").format(name))
    return timed(lambda: copy_in(database, table, file))


def copy_in(database: Database, table: str, file: Path) -> None:
    name = sql.Identifier(*table.split("."))
    with (
        database.connect("analytics_owner") as connection,
        file.open("rb") as source,
        connection.cursor().copy(sql.SQL("copy {} from stdin").format(name)) as copy,
    ):
        while block := source.read(_BLOCK):
            copy.write(block)


def count(database: Database, table: str) -> int:
    with database.connect("analytics_pipeline") as connection:
        row = connection.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(*table.split(".")))
        ).fetchone()
    return int(row[0]) if row else 0
