"""What was loaded from files, chunk by chunk: the memory that makes a load resumable.

Belongs here: reading and writing ``ops.load_log``. Does not: loading. Invariant: a chunk's entry is
written in the transaction that loads the chunk, and a file counts as finished only by an entry
written after all of its chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg

WHOLE_FILE: Final = -1
# Summed up from the chunks: those of an interrupted load count as well.
_FINISHED: Final = """
insert into ops.load_log (
    source, fingerprint, chunk, lane, location, rows_read, rows_loaded, rows_rejected,
    rows_duplicate, rows_expired, rows_suppressed, finished
)
select
    %(source)s, %(fingerprint)s, %(chunk)s, 0, %(location)s, coalesce(sum(rows_read), 0),
    coalesce(sum(rows_loaded), 0), coalesce(sum(rows_rejected), 0),
    coalesce(sum(rows_duplicate), 0), coalesce(sum(rows_expired), 0),
    coalesce(sum(rows_suppressed), 0), true
from ops.load_log
where source = %(source)s and fingerprint = %(fingerprint)s and chunk <> %(chunk)s
on conflict (source, fingerprint, chunk, lane) do update set
    location = excluded.location,
    loaded_at = now()
"""
_ENTRY: Final = """
insert into ops.load_log (
    source, fingerprint, chunk, lane, location, rows_read, rows_loaded, rows_rejected,
    rows_duplicate, rows_expired, rows_suppressed, finished, loaded_at
)
values (
    %(source)s, %(fingerprint)s, %(chunk)s, %(lane)s, %(location)s, %(read)s, %(loaded)s,
    %(rejected)s, %(duplicate)s, %(expired)s, %(suppressed)s, false, %(at)s
)
on conflict (source, fingerprint, chunk, lane) do update set
    location = excluded.location,
    rows_read = excluded.rows_read,
    rows_loaded = excluded.rows_loaded,
    rows_rejected = excluded.rows_rejected,
    rows_duplicate = excluded.rows_duplicate,
    rows_expired = excluded.rows_expired,
    rows_suppressed = excluded.rows_suppressed,
    loaded_at = excluded.loaded_at
"""


@dataclass
class RowCounts:
    """What became of rows; ``rejected`` by error code. ``read`` is the sum of all others."""

    read: int = 0
    loaded: int = 0
    duplicate: int = 0
    expired: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    suppressed: int = 0

    @property
    def rejected_rows(self) -> int:
        return sum(self.rejected.values())

    def add(self, other: RowCounts) -> None:
        """Add another load's counts to these."""
        self.read += other.read
        self.loaded += other.loaded
        self.duplicate += other.duplicate
        self.expired += other.expired
        self.suppressed += other.suppressed
        self.reject(other.rejected)

    def sum_up(self) -> None:
        """Set ``read`` to what became of all rows."""
        kept = self.loaded + self.duplicate + self.expired
        self.read = kept + self.rejected_rows + self.suppressed

    def reject(self, codes: Mapping[str, int]) -> None:
        """Add rejected rows by error code."""
        for code, rows in codes.items():
            self.rejected[code] = self.rejected.get(code, 0) + rows


@dataclass(frozen=True)
class FileVersion:
    """One content of one file under one mapping.

    ``name`` is what people see, ``stamp`` tells from the outside whether the file has changed.
    """

    source: str
    name: str
    stamp: str
    mapping: str
    content: str

    @property
    def fingerprint(self) -> str:
        return f"{self.mapping}:{self.content}"


def finished_unchanged(
    connection: psycopg.Connection[Any], source: str, stamp: str, mapping: str
) -> bool:
    """Whether a file that looks like this was loaded to its end: spares reading it to hash it."""
    row = connection.execute(
        "select 1 from ops.load_log where source = %s and location = %s and chunk = %s"
        " and finished and starts_with(fingerprint, %s) limit 1",
        [source, stamp, WHOLE_FILE, f"{mapping}:"],
    ).fetchone()
    return row is not None


def is_finished(connection: psycopg.Connection[Any], version: FileVersion) -> bool:
    """Whether this content was loaded to its end; if so, its present stamp is remembered."""
    return (
        connection.execute(
            "update ops.load_log set location = %s where source = %s and fingerprint = %s"
            " and chunk = %s and finished",
            [version.stamp, version.source, version.fingerprint, WHOLE_FILE],
        ).rowcount
        > 0
    )


def loaded_chunks(
    connection: psycopg.Connection[Any], version: FileVersion
) -> set[tuple[int, int, str]]:
    """(chunk, lane, location) of the chunks an earlier, interrupted load has committed."""
    found = connection.execute(
        "select chunk, lane, location from ops.load_log"
        " where source = %s and fingerprint = %s and chunk <> %s",
        [version.source, version.fingerprint, WHOLE_FILE],
    ).fetchall()
    return {(int(chunk), int(lane), str(location)) for chunk, lane, location in found}


def record_chunk(
    connection: psycopg.Connection[Any],
    version: FileVersion,
    chunk: int,
    lane: int,
    location: str,
    counts: RowCounts,
    at: datetime,
) -> None:
    """Note a chunk as loaded, in the transaction that loads it; ``at`` by the platform's clock."""
    connection.execute(
        _ENTRY,
        {
            "source": version.source,
            "fingerprint": version.fingerprint,
            "chunk": chunk,
            "lane": lane,
            "location": location,
            "read": counts.read,
            "loaded": counts.loaded,
            "rejected": counts.rejected_rows,
            "duplicate": counts.duplicate,
            "expired": counts.expired,
            "suppressed": counts.suppressed,
            "at": at,
        },
    )


def record_finished(connection: psycopg.Connection[Any], version: FileVersion) -> None:
    """Note a file as loaded to its end, with the counts of all its chunks."""
    connection.execute(
        _FINISHED,
        {
            "source": version.source,
            "fingerprint": version.fingerprint,
            "chunk": WHOLE_FILE,
            "location": version.stamp,
        },
    )
