"""Loads in a process of their own that is killed at a point of one's choice.

Importing this reads the catalogue, so that a fork server does it once for all of its children.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import threading
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg
from source_world import (
    Record,
    World,
    conversation,
    csv_text,
    event,
    message,
    shipped_catalogue,
)

from analytics_assets.settings import Settings
from analytics_assets.sources import formats, inbox
from analytics_assets.sources.config import FilesSource
from analytics_assets.store.database import Database

CHUNK_ROWS = 100
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["__main__", __name__, "duckdb", "pandas", "pyarrow.csv", "pyarrow.compute", "pyarrow.parquet"]
)
shipped_catalogue()


@dataclass(frozen=True)
class Place:
    """Where a load happens; can be sent to another process."""

    database: Database
    settings: Settings
    folder: Path

    @property
    def world(self) -> World:
        return World(self.database, self.settings, self.folder)


def small_steps() -> None:
    """Make many transactions of few rows."""
    formats.CHUNK_ROWS = CHUNK_ROWS  # type: ignore[misc]
    inbox.ENTRIES_PER_TRANSACTION = CHUNK_ROWS  # type: ignore[misc]


def records(seed: int) -> tuple[list[Record | str], dict[str, list[Record]]]:
    """Events with all that can happen to them, and records of the other kinds."""
    rng = random.Random(seed)  # noqa: S311 (test data)
    times = ["2026-06-01T12:00:00Z", "2026-06-01T23:59:59Z", "2026-06-02T00:00:01Z"]
    events: list[Record | str] = []
    for n in range(540):
        kind = rng.random()
        user, at = f"u{rng.randrange(9)}", rng.choice(times)
        if kind < 0.05:
            events.append('{"event_id": ')
        elif kind < 0.1:
            events.append(event(n, at, event_data={}))
        elif kind < 0.3:
            events.append(event("-", at, event_id=..., user_id=f"u{rng.randrange(2)}"))
        elif kind < 0.6:  # again, perhaps under the day before or after, by somebody else
            events.append(event(rng.randrange(n + 1), at, user_id=user))
        else:
            events.append(event(n, at, user_id=user))
    others: dict[str, list[Record]] = {
        "user": [
            {"user_id": f"u{n % 9}", "role": f"role {n}", "email": f"{n}@b.example",
             "valid_from": f"2026-05-{1 + n // 4:02}T00:00:00Z",
             "signup_at": "2026-04-30T12:00:00Z"}
            for n in range(90)
        ],
        "conversation": [
            conversation(f"c{n % 70}", times[n % 3], title=f"title {n}") for n in range(150)
        ],
        "message": [message(f"m{n % 100}", times[n % 2], content=f"text {n}") for n in range(150)],
    }  # fmt: skip
    others["message"] += [message("bad", role="robot")] * 3
    return events, others


def write_files(world: World) -> None:
    """Files of all these: native, mapped by parts, and mapped as a whole."""
    events, others = records(11)
    world.write("events/a.jsonl.gz", events[:300])
    world.write("events/b.jsonl", events[300:])
    rows = [[f"2026-06-0{1 + n % 3}", f"u{n % 4}"] for n in range(150)]
    rows[100] = ["soon", "u1"]
    world.write("mapped.csv", csv_text(["day", "who"], rows))
    for kind, records_of_kind in others.items():
        world.write(f"{kind}s.jsonl", records_of_kind)


def sources(world: World) -> list[FilesSource]:
    """The sources of ``write_files``."""
    select = (
        "select {all} 'project.viewed' as event_type, strptime(day, '%Y-%m-%d') as timestamp,"
        " who as user_id, {{'project_id': 'p'}} as event_data from source"
    )
    whole = " where day <> 'soon' qualify row_number() over (partition by who, day) < 5"
    return [
        world.files("events/*", format="jsonl"),
        world.files("mapped.csv", name="by_parts", select=select.format(all="")),
        world.files("mapped.csv", name="whole", select=select.format(all="") + whole),
        world.files("users.jsonl", "users"),
        world.files("conversations.jsonl", "conversations"),
        world.files("messages.jsonl", "messages"),
    ]


def fill_inbox(world: World) -> None:
    """The inbox as a collector fills it: the same records, as far as JSON can say them."""
    events, others = records(12)
    world.send("event", *(record for record in events if isinstance(record, dict)
                          and "event_id" in record))  # fmt: skip
    for kind, records_of_kind in others.items():
        world.send(kind, *records_of_kind)


def load_all(world: World) -> None:
    """One load in small steps, of the files where there are any, and of the inbox."""
    small_steps()
    world.load(*(sources(world) if (world.folder / "mapped.csv").exists() else []))


@dataclass(frozen=True)
class Kill:
    """Before statement number ``statement`` is sent, or so many seconds later."""

    statement: int
    seconds_later: float = 0


def _child(place: Place, kill: Kill | None, answers: Connection) -> None:
    """Load and be killed, or tell how many statements were sent."""
    numbers = itertools.count(1)
    last = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(original: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal last
        last = next(numbers)
        if kill and last == kill.statement:
            if not kill.seconds_later:
                die()
            threading.Timer(kill.seconds_later, die).start()
        return original(*arguments, **options)

    # Everything that is sent: statements, COPY, and (as commands) begin, commit and savepoints.
    sent = [(psycopg.Cursor, "execute"), (psycopg.Cursor, "copy")]
    for owner, name in [*sent, (psycopg.Connection, "_exec_command")]:
        original = getattr(owner, name)

        def wrapped(self: Any, *a: Any, _original: Any = original, **k: Any) -> Any:
            return counted(partial(_original, self), *a, **k)

        setattr(owner, name, wrapped)
    load_all(place.world)
    answers.send(last)


def load_in_a_process(place: Place, kill: Kill | None = None) -> int | None:
    """Load; how many statements it took, or None where it was killed."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(target=_child, args=(place, kill, sender))
    child.start()
    sender.close()
    child.join(100)
    if child.exitcode == -signal.SIGKILL:
        return None
    assert child.exitcode == 0
    return int(receiver.recv())
