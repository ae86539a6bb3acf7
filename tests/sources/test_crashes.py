"""Whatever is killed in the middle of a load, loading again leaves what one quiet load leaves."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from killed_loads import (
    Kill,
    Place,
    fill_inbox,
    load_all,
    load_in_a_process,
    small_steps,
    write_files,
)
from source_world import World

from analytics_assets.sources.errors import LoadInterrupted
from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database, DatabaseUnavailable
from analytics_assets.store.embedded import EmbeddedPostgres
from analytics_assets.store.migrate import migrate

SERIES = 2
KILLS_IN_A_SERIES = 6
# What a load sends when there is nothing to load.
FEWEST_STATEMENTS = 60


def left_behind(world: World) -> Any:
    """All content, the days to rebuild, and what the ledger says of files loaded by parts."""
    return (
        world.content(),
        world.dirty(),
        world.rows(
            "select source, fingerprint, rows_read, rows_loaded, rows_rejected, rows_duplicate"
            " from ops.load_log where finished and source <> 'whole' order by 1, 2"
        ),
    )


@pytest.mark.parametrize("fill", [write_files, fill_inbox], ids=["files", "inbox"])
def test_a_killed_load_that_is_run_again_leaves_what_a_quiet_one_leaves(
    world: World, postgres_server: Database, fill: Callable[[World], None]
) -> None:
    fill(world)
    quiet = load_in_a_process(Place(world.database, world.settings, world.folder))
    expected = left_behind(world)
    assert quiet is not None
    assert quiet > 200
    assert all(len(rows) > 50 for rows in expected[0][:3:2]), "there is something to lose"

    for series in range(SERIES):
        rng = random.Random(f"{fill.__name__} {series}")  # noqa: S311 (repeatable)
        with cloned_database(postgres_server, f"killed_{fill.__name__}_{series}") as database:
            place = Place(database, world.settings, world.folder)
            if fill is fill_inbox:
                fill(place.world)
            left = quiet
            for number in range(KILLS_IN_A_SERIES):
                # Between two statements, or somewhere in the middle of what follows.
                kill = Kill(rng.randrange(1, left), (number % 2) * rng.uniform(0.0001, 0.004))
                assert load_in_a_process(place, kill) is None, "it was to be killed in the middle"
                left = max(FEWEST_STATEMENTS, (left - kill.statement) // 2)
            load_in_a_process(place)
            assert left_behind(place.world) == expected


def kill_with_children(pid: int) -> None:
    """As when the machine takes a process group away: the server and its backends, at once."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for victim in (pid, *map(int, children)):
        os.kill(victim, signal.SIGKILL)


def test_a_load_whose_postgres_is_killed_is_told_plainly_and_goes_on_later(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_assets.sources.formats.CHUNK_ROWS", 0)
    monkeypatch.setattr("analytics_assets.sources.inbox.ENTRIES_PER_TRANSACTION", 0)
    small_steps()
    write_files(world)
    fill_inbox(world)
    load_all(world)
    expected = left_behind(world)

    home = tmp_path / "crashing"
    server = EmbeddedPostgres(home)
    try:
        address = server.ensure_running()
        database = Database.embedded(home)
        migrate(database)
        there = World(database, world.settings, world.folder)
        fill_inbox(there)
        for table, rows in (("raw.conversations", 1), ("raw.platform_events", 300)):
            with pytest.raises((LoadInterrupted, DatabaseUnavailable)) as found:
                load_and_kill(there, server, table, rows)
            assert "postgresql://" not in str(found.value)
            assert "run" in str(found.value)
            assert server.ensure_running() == address
            done = there.rows("select count(*) from raw.platform_events")[0]
            assert done < len(expected[0][0]), "it was to be killed in the middle"
        load_all(there)
        assert left_behind(there) == expected
    finally:
        server.destroy()


def load_and_kill(world: World, server: EmbeddedPostgres, table: str, rows: int) -> None:
    """Load, and kill the server once a table has got more than so many rows."""
    pid = server.status().pid
    assert pid is not None

    def kill() -> None:
        with (
            suppress(psycopg.OperationalError),
            world.database.connect("analytics_pipeline", autocommit=True) as connection,
        ):
            query = f"select count(*) > {rows} from {table}".encode()
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and connection.execute(query).fetchone() == (False,):
                time.sleep(0.002)
            kill_with_children(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        load_all(world)
    finally:
        killer.join()
