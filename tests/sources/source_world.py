"""A deployment to load into: writes source files, loads them, and tells what became of each row.

Invariant: every load made here accounts for each record it read.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from analytics_assets.events.catalogue import Catalogue, load_catalogue
from analytics_assets.settings import Settings
from analytics_assets.sources.config import FilesSource, InboxSource, PostgresSource, Sources
from analytics_assets.sources.load import LoadReport, load_raw
from analytics_assets.sources.staging import LoadRules, PartitionMaker
from analytics_assets.store.database import Database
from analytics_assets.store.load_log import RowCounts
from analytics_assets.windows import Window

WINDOW = Window(date(2026, 5, 25), date(2026, 6, 8))
NOON = "2026-06-01T12:00:00Z"
Record = dict[str, Any]
Source = FilesSource | PostgresSource | InboxSource

# Everything in raw but when it was loaded, and what follows from it.
CONTENT = (
    "select to_jsonb(r) - 'ingested_at' from raw.platform_events as r",
    "select to_jsonb(r) - 'ingested_at' from raw.conversations as r",
    "select to_jsonb(r) - 'ingested_at' from raw.messages as r",
    "select to_jsonb(r) - 'ingested_at' from raw.service_jobs as r",
    "select to_jsonb(r) - 'ingested_at' from raw.users as r",
    "select to_jsonb(r) - 'ingested_at' from raw.servers as r",
    "select to_jsonb(r) - 'rejected_at' from raw.rejected_events as r",
    "select to_jsonb(k) from vault.known_identifiers as k",
    "select to_jsonb(kind) from inbox.entries",
)


@lru_cache(maxsize=1)
def shipped_catalogue() -> Catalogue:
    return load_catalogue()


def event_id(name: object) -> str:
    """The same UUID for the same name."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"test {name}"))


def event(name: object, timestamp: str = NOON, **changes: Any) -> Record:
    """A valid event of category interaction; a change to ``...`` leaves the key out."""
    record = {
        "event_id": event_id(name),
        "event_type": "project.viewed",
        "timestamp": timestamp,
        "user_id": "u1",
        "event_data": {"project_id": "p1"},
        **changes,
    }
    return {key: value for key, value in record.items() if value is not ...}


def conversation(name: str, started_at: str = NOON, **changes: Any) -> Record:
    return {"conversation_id": name, "user_id": "u1", "started_at": started_at, **changes}


def message(name: str, created_at: str = NOON, **changes: Any) -> Record:
    return {
        "message_id": name,
        "conversation_id": "c1",
        "user_id": "u1",
        "role": "user",
        "content": "hello",
        "created_at": created_at,
        **changes,
    }


def lines(records: Iterable[Record | str]) -> bytes:
    """JSON lines; texts stand as they are."""
    written = (r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records)
    return "".join(f"{line}\n" for line in written).encode()


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


@dataclass
class World:
    """One deployment."""

    database: Database
    settings: Settings
    folder: Path
    catalogue: Catalogue = field(default_factory=shipped_catalogue)
    window: Window = WINDOW

    def write(self, name: str, content: bytes | Iterable[Record | str]) -> Path:
        """A source file, of bytes or of JSON lines; compressed as its name says."""
        if not isinstance(content, bytes):
            content = lines(content)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz":
            content = gzip.compress(content)
        elif path.suffix == ".zst":
            import pyarrow as pa

            content = pa.Codec("zstd").compress(content, asbytes=True)
        path.write_bytes(content)
        return path

    def files(
        self, path: str = "*.jsonl", table: Any = "platform_events", **options: Any
    ) -> Source:
        options.setdefault("name", f"files_{table}")
        return FilesSource(type="files", table=table, path=path, folder=self.folder, **options)

    def load(
        self,
        *sources: Source,
        window: Window | None = None,
        as_of: datetime | None = None,
        start_day: date | None = None,
    ) -> LoadReport:
        """Load all that waits in these sources and the inbox."""
        changes = {"as_of": as_of, "start_day": start_day}
        settings = self.settings.model_copy(
            update={name: value for name, value in changes.items() if value is not None}
        )
        report = load_raw(
            self.database,
            settings,
            window or self.window,
            Sources(sources=list(sources)),
            self.catalogue,
        )
        for counts in report.tables.values():
            assert accounted(counts) == counts.read
        return report

    def load_events(self, records: bytes | Iterable[Record | str], **options: Any) -> RowCounts:
        """Write one file of events, load it, and tell what became of its rows."""
        self.write("events.jsonl", records)
        return self.load(self.files("events.jsonl", **options)).tables["platform_events"]

    def send(self, kind: str, *payloads: Any, source: str = "collector") -> None:
        """Put records into the inbox, as the collector does."""
        with self.database.connect("analytics_api") as connection:
            connection.cursor().executemany(
                "insert into inbox.entries (kind, source, payload) values (%s, %s, %s::jsonb)",
                [(kind, source, json.dumps(payload)) for payload in payloads],
            )

    def rows(self, statement: str, *parameters: Any) -> list[Any]:
        """Rows of a query; values alone where it has one column."""
        with self.database.connect("analytics_pipeline") as connection:
            found = connection.execute(statement.encode(), parameters or None).fetchall()
        return [row[0] if len(row) == 1 else row for row in found]

    def execute(self, statement: str, *parameters: Any) -> None:
        with self.database.connect_as_admin(self.database.name) as connection:
            connection.execute(statement.encode(), parameters or None)

    def events(self, columns: str = "event_id::text") -> list[Any]:
        return self.rows(f"select {columns} from raw.platform_events order by 1")

    def rejected(self) -> dict[str, tuple[str, str]]:
        """Code and message of each row in quarantine, by location."""
        found = self.rows("select location, error_code, error_message from raw.rejected_events")
        assert len({location for location, *_ in found}) == len(found)
        return {location: (code, text) for location, code, text in found}

    def codes(self) -> dict[str, str]:
        return {location: code for location, (code, _) in self.rejected().items()}

    def dirty(self) -> list[tuple[date, str]]:
        return self.rows("select distinct day, reason from ops.dirty_days order by 1, 2")

    def content(self) -> list[list[str]]:
        """Everything loaded, in an order of its own, so that two deployments can be compared."""
        return [
            sorted(json.dumps(row, sort_keys=True) for row in self.rows(query)) for query in CONTENT
        ]

    def rules(self) -> LoadRules:
        return LoadRules(
            self.catalogue,
            self.settings.now(),
            timedelta(minutes=5),
            self.settings.start_day,
            self.window,
        )

    def partitions(self) -> PartitionMaker:
        return PartitionMaker(self.database)


def accounted(counts: RowCounts) -> int:
    """Records whose fate is known."""
    kept = counts.loaded + counts.duplicate + counts.expired
    return kept + counts.rejected_rows + counts.suppressed
