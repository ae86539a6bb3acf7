"""Two connections that load chunks at the same time: one alone leaves half of Postgres idle.

Belongs here: threads, connections, and a chunk's transaction. Does not: where chunks come from or
what SQL runs. Invariant: rows with the same id always take the same lane, in the order of the file;
a chunk and its entry in the load log commit together.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg

from analytics_assets.sources.config import TableName
from analytics_assets.sources.memory import release_memory
from analytics_assets.sources.problems import REFUSALS, REFUSED
from analytics_assets.sources.reading import BadLine, escaped
from analytics_assets.sources.seen_ids import SeenIds
from analytics_assets.sources.stages import stage_for
from analytics_assets.sources.staging import (
    LoadRules,
    Origin,
    Outcome,
    PartitionMaker,
    Stage,
    in_transaction,
)
from analytics_assets.store.copying import copy_storable
from analytics_assets.store.database import Database
from analytics_assets.store.load_log import FileVersion, record_chunk

if TYPE_CHECKING:
    import pyarrow as pa

LANES: Final = 2  # a power of two: low bits of an id's digest choose the lane


@dataclass
class Work:
    """One lane's part of a chunk."""

    version: FileVersion
    chunk: int
    location: str
    rows: pa.Table
    bad: Sequence[BadLine]


class Lanes:
    """Lanes for one table. Use as a context manager; leaving waits for all that was submitted."""

    def __init__(
        self, database: Database, table: TableName, rules: LoadRules, partitions: PartitionMaker
    ) -> None:
        self._lanes = [_Lane(number, database, table, rules, partitions) for number in range(LANES)]

    def __enter__(self) -> Self:
        for lane in self._lanes:
            lane.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for lane in self._lanes:
            lane.stop(at_once=error is not None)
        for lane in self._lanes:
            lane.join()
            lane.connection.close()
        if error is None:
            self._raise_first()

    def submit(self, number: int, work: Work) -> None:
        """Give a lane its next part; waits while it is busy. Raises what a lane has raised."""
        self._lanes[number].put(work)
        self._raise_first()

    def drain(self) -> Outcome:
        """Wait until all that was submitted is committed; its sum since the last call."""
        total = Outcome()
        for lane in self._lanes:
            lane.wait()
        self._raise_first()
        for lane in self._lanes:
            total.add(lane.take_outcome())
        return total

    def _raise_first(self) -> None:
        for lane in self._lanes:
            if lane.error is not None:
                raise lane.error


class _Lane(threading.Thread):
    def __init__(
        self,
        number: int,
        database: Database,
        table: TableName,
        rules: LoadRules,
        partitions: PartitionMaker,
    ) -> None:
        super().__init__(name=f"lane-{number}-{table}", daemon=True)
        self.number = number
        self.error: BaseException | None = None
        self.connection = database.connect("analytics_pipeline", autocommit=True)
        self._partitions = partitions
        self._stage = stage_for(table, rules, partitions)
        self._now = rules.now
        self._queue: queue.Queue[Work | None] = queue.Queue(maxsize=1)
        self._outcome = Outcome()
        self._seen = SeenIds() if table == "platform_events" else None
        self._stage.open(self.connection)

    def put(self, work: Work) -> None:
        self._queue.put(work)

    def wait(self) -> None:
        self._queue.join()

    def stop(self, *, at_once: bool) -> None:
        if at_once and self.error is None:
            self.error = InterruptedError("another part of the load has failed")
        self._queue.put(None)

    def take_outcome(self) -> Outcome:
        outcome, self._outcome = self._outcome, Outcome()
        return outcome

    def run(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                if self.error is None:
                    self._outcome.add(self._load(work))
            except BaseException as error:  # noqa: BLE001 (raised again by the submitting thread)
                self.error = error
            finally:
                del work
                self._queue.task_done()
        self._queue.task_done()

    def _load(self, work: Work) -> Outcome:
        work.rows = self._marked(work.rows)
        outcome: Outcome = in_transaction(
            self.connection, self._partitions, lambda: self._in_one_transaction(work)
        )
        release_memory()
        return outcome

    def _marked(self, rows: pa.Table) -> pa.Table:
        """Mark the rows whose id may have come before."""
        import pyarrow as pa

        hashes = rows.column("id_hash").to_numpy()
        rows = rows.drop_columns(["id_hash"])
        if self._seen is None:
            return rows
        return rows.append_column("suspect", pa.array(self._seen.add(hashes)))

    def _in_one_transaction(self, work: Work) -> Outcome:
        origin = Origin(work.version.source, work.version.fingerprint, f"{work.version.name}:")
        stage_rows(self.connection, self._stage, work.rows)
        stage_bad_lines(self.connection, self._stage, work.bad)
        outcome = self._stage.promote(self.connection, origin)
        record_chunk(
            self.connection,
            work.version,
            work.chunk,
            self.number,
            work.location,
            outcome.counts,
            self._now,
        )
        return outcome


def stage_rows(connection: psycopg.Connection[Any], stage: Stage, rows: pa.Table) -> None:
    """Stage mapped rows; those Postgres refuses are staged as text with the reason."""
    from pyarrow import compute

    awkward = rows.column("awkward")
    rows = rows.drop_columns(["awkward"])
    refused: list[tuple[dict[str, Any], str]] = []
    # Most tables have no awkward row; where there are, a refusal among them spares the others.
    parts = [rows]
    if compute.any(awkward).as_py():
        parts = [rows.filter(compute.invert(awkward)), rows.filter(awkward)]
    for part in parts:
        refused += [
            (part.slice(found.position, 1).to_pylist()[0], found.sqlstate)
            for found in copy_storable(connection, stage.staged, part)
        ]
    stage_bad_lines(
        connection,
        stage,
        [
            BadLine(row["line_no"], *REFUSALS.get(sqlstate, REFUSED), _as_json(row))
            for row, sqlstate in refused
        ],
    )


def stage_bad_lines(
    connection: psycopg.Connection[Any], stage: Stage, bad: Sequence[BadLine]
) -> None:
    """Stage lines that are no rows, as text with their problem."""
    import pyarrow as pa

    if not bad:
        return
    table = pa.table(
        {
            "line_no": pa.array([line.line for line in bad], pa.int64()),
            "problem": pa.array([f"{line.code}|{line.message}" for line in bad], pa.string()),
            "raw_text": pa.array([line.text for line in bad], pa.string()),
        }
    )
    copy_storable(connection, stage.staged, table)


def _as_json(row: dict[str, Any]) -> str:
    record = {
        name: value
        for name, value in row.items()
        if value is not None and name not in {"line_no", "byte_size", "problem", "suspect"}
    }
    return escaped(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))
