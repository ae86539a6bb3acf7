"""Log files of the platform, and what was added to them since somebody last looked.

Belongs here: which files, and reading on from a byte. Does not: what is searched for (traces.py).
Invariant: a file that was begun anew is read from its beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

_BEGINNING: Final = 256
_LONGEST_LINE: Final = 1 << 20


@dataclass(frozen=True)
class LogFile:
    """A file, and its name below the folder it belongs to."""

    path: Path
    name: str

    @property
    def place(self) -> str:
        return f"log {self.name}"


@dataclass(frozen=True)
class Unread:
    """What a file has from ``start`` on."""

    path: Path
    start: int
    end: int
    version: str
    begins_anew: bool

    def batches(self, size: int) -> Iterator[list[tuple[int, str]]]:
        """Lines with the byte they begin at."""
        batch: list[tuple[int, str]] = []
        with self.path.open("rb") as file:
            file.seek(self.start)
            while (position := file.tell()) < self.end:
                line = file.readline(_LONGEST_LINE)
                if not line:
                    break
                batch.append((position, line.decode("utf-8", "replace").replace("\0", " ")))
                if len(batch) == size:
                    yield batch
                    batch = []
        if batch:
            yield batch


def platform_logs(home: Path, dagster_home: Path) -> list[LogFile]:
    """Logs of commands and services, what steps printed, and dbt's own logs."""
    found = []
    for folder, name, pattern in (
        (home / "logs", "logs", "**/*"),
        (dagster_home / "storage", "dagster/storage", "**/compute_logs/*"),
        (dagster_home / "logs", "dagster/logs", "**/*"),
        (home / "dbt", "dbt", "**/*.log"),
    ):
        found += [
            LogFile(path, f"{name}/{path.relative_to(folder)}")
            for path in sorted(folder.glob(pattern))
            if path.is_file()
        ]
    return found


def unread_lines(file: LogFile, position: int, version: str) -> Unread | None:
    """What was added after ``position``; None where nothing was or the file has gone."""
    try:
        size, inode = file.path.stat().st_size, file.path.stat().st_ino
        with file.path.open("rb") as opened:
            same = version == _version(opened, inode, position) and size >= position
            start = position if same else 0
            if start == size and same:
                return None
            return Unread(file.path, start, size, _version(opened, inode, size), not same)
    except FileNotFoundError:
        return None


def _version(file: BinaryIO, inode: int, length: int) -> str:
    file.seek(0)
    beginning = file.read(min(_BEGINNING, length))
    return f"{inode} {hashlib.sha256(beginning).hexdigest()[:16]}"
