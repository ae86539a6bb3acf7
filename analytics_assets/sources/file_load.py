"""Files into ``raw``: each file once, in chunks, resumable after a crash at any point.

Belongs here: the life of one file's load. Does not: reading, mapping or the SQL it goes through.
Invariant: a file is finished when its entry says so; loading it again, whole or from the middle,
leaves the same rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from analytics_assets.sources.config import FilesSource
from analytics_assets.sources.contract import CONTRACTS
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.formats import read_chunks
from analytics_assets.sources.lanes import LANES, Lanes, Work
from analytics_assets.sources.mapping import Mapped, Mapper
from analytics_assets.sources.reading import content_hash, file_stamp, find_files, name_of
from analytics_assets.sources.staging import Outcome
from analytics_assets.store.load_log import (
    FileVersion,
    finished_unchanged,
    is_finished,
    loaded_chunks,
    record_finished,
)

Progress = Callable[[str, str, int], None]
"""Called with source, file and rows done so far."""


@dataclass
class FilesOutcome:
    """What became of the files of one source."""

    outcome: Outcome
    files: int = 0
    skipped: int = 0


def load_files(
    connection: psycopg.Connection[Any],
    lanes: Lanes,
    source: FilesSource,
    *,
    progress: Progress | None = None,
) -> FilesOutcome:
    """Load those of the source's files that are not loaded yet.

    ``connection`` (autocommit) keeps the ledger, ``lanes`` load. Raises SourceError for the first
    file that cannot be read or mapped, after the others have been loaded.
    """
    result = FilesOutcome(Outcome())
    failures: list[SourceError] = []
    for path in find_files(source):
        try:
            outcome = _load_file(connection, lanes, source, path, progress)
        except SourceError as error:
            result.outcome.add(lanes.drain())
            failures.append(error)
            continue
        result.files += 1
        if outcome is None:
            result.skipped += 1
        else:
            result.outcome.add(outcome)
    if failures:
        raise PartlyLoaded(result, failures)
    return result


class PartlyLoaded(SourceError):
    """Some files of a source failed; ``result`` is what became of the others."""

    def __init__(self, result: FilesOutcome, failures: list[SourceError]) -> None:
        super().__init__("\n".join(str(failure) for failure in failures))
        self.result = result


def _load_file(
    connection: psycopg.Connection[Any],
    lanes: Lanes,
    source: FilesSource,
    path: Path,
    progress: Progress | None,
) -> Outcome | None:
    name = name_of(path, source)
    try:
        stamp = file_stamp(path, name)
        if finished_unchanged(connection, source.name, stamp, source.mapping_hash):
            return None
        version = FileVersion(source.name, name, stamp, source.mapping_hash, content_hash(path))
    except OSError as error:
        raise SourceError(
            f"source {source.name}: {name} cannot be read: {error.strerror}; see its permissions"
        ) from None
    if is_finished(connection, version):
        return None
    done = loaded_chunks(connection, version)
    if not done:
        _discard_rejected(connection, version)
    with (
        tempfile.TemporaryDirectory(prefix="analytics-load-") as temporary,
        closing(
            Mapper(
                source,
                CONTRACTS[source.table],
                name,
                lambda: read_chunks(source, path, name),
                temporary=Path(temporary),
            )
        ) as mapper,
    ):
        rows = 0
        for number, location, mapped in _mapped(mapper, source, path, name):
            rows += mapped.rows.num_rows + len(mapped.bad)
            # A file that is mapped as a whole may come out in another order next time.
            _submit(lanes, version, number, location, mapped, done if mapper.by_parts else set())
            del mapped  # the lanes have their parts; the next chunk needs the memory
            if progress:
                progress(source.name, name, rows)
    outcome = lanes.drain()
    record_finished(connection, version)
    return outcome


def _mapped(
    mapper: Mapper, source: FilesSource, path: Path, name: str
) -> Iterator[tuple[int, str, Mapped]]:
    """Numbered parts of the file, mapped."""
    for chunk in read_chunks(source, path, name):
        if chunk.number == 0:
            mapper.prepare(chunk)
            if not mapper.by_parts:
                break
        number, location, mapped = chunk.number, f"{name}:{chunk.span}", mapper.map(chunk)
        del chunk
        yield number, location, mapped
        del mapped
    else:
        return
    for number, mapped in enumerate(mapper.map_whole()):
        yield number, f"{name}:part {number}", mapped


def _submit(
    lanes: Lanes,
    version: FileVersion,
    number: int,
    location: str,
    mapped: Mapped,
    done: set[tuple[int, int, str]],
) -> None:
    import pyarrow as pa
    from pyarrow import compute

    low_bits = pa.scalar(LANES - 1, pa.uint64())
    lane_of = compute.bit_wise_and(mapped.rows.column("id_hash"), low_bits)
    for lane in range(LANES):
        bad = mapped.bad if lane == 0 else []
        part = mapped.rows.filter(compute.equal(lane_of, pa.scalar(lane, pa.uint64())))
        if (part.num_rows or bad) and (number, lane, location) not in done:
            lanes.submit(lane, Work(version, number, location, part, bad))


def _discard_rejected(connection: psycopg.Connection[Any], version: FileVersion) -> None:
    """Rejections of an older content or mapping of the file wait for nothing any more."""
    connection.execute(
        """
        update raw.rejected_events
        set processing_status = 'discarded', updated_at = now()
        where
            processing_status = 'rejected'
            and source = %(source)s
            and starts_with(location, %(name)s || ':')
        """,
        {"source": version.source, "name": version.name},
    )
