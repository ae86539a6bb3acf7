"""What every benchmark needs: a platform of its own, timing, peak memory and a verdict.

Belongs here: starting and measuring. Does not: what is compared. Invariant: a benchmark works in a
scratch folder with a server of its own, and never touches the deployment's data.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any

from analytics_assets.process_memory import peak_mib
from analytics_assets.settings import PREFIX, Settings, child_environment, load_settings
from analytics_assets.sources.sample import SampleManifest, generate_sample
from analytics_assets.store.database import Database
from analytics_assets.store.embedded import EmbeddedPostgres
from analytics_assets.store.migrate import migrate
from analytics_assets.windows import next_month

START_DAY = date(2025, 4, 7)  # so that a year of days lies in the past
HOLD_BACK_OF_A_MONTH = timedelta(days=7)


class BenchmarkError(Exception):
    """Something that was to be measured did not run; the message holds what it said."""


@dataclass(frozen=True)
class Figure:
    """One number, and the limit it must keep to where it has one."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def verdict(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        kept = (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )
        return "kept" if kept else "MISSED"

    @property
    def limit(self) -> str:
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"


@dataclass(frozen=True)
class Bench:
    """A platform with a sample, in a folder that goes when the benchmark ends."""

    settings: Settings
    sample: SampleManifest
    database: Database


@contextmanager
def scratch_platform(
    *, events: int, days: int, users: int, folder: Path | None = None
) -> Iterator[Bench]:
    """A migrated platform of its own whose sample is written and not loaded yet."""
    home = Path(tempfile.mkdtemp(prefix="analytics-bench-", dir=folder))
    server = EmbeddedPostgres(home)
    try:
        first = START_DAY
        sample = generate_sample(
            home / "company", users=users, days=days, events=events, seed=7, start_day=first
        )
        closed = next_month(first + timedelta(days=days - 1))
        settings = load_settings(
            home=home,
            database_url=None,
            start_day=first,
            as_of=datetime.combine(closed, clock_time.min, UTC) + HOLD_BACK_OF_A_MONTH,
            sources_file=sample.sources_file,
            catalogue_dirs="",
            gemini_api_key=None,
            slack_webhook_url=None,
        )
        database = Database.open(settings)
        migrate(database)
        yield Bench(settings, sample, database)
    finally:
        server.destroy()
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class RunFigures:
    """A whole ``run``: wall seconds, its process's peak memory in MiB, and what it printed."""

    seconds: float
    peak_mib: float | None
    printed: dict[str, Any]


def run_everything(bench: Bench) -> RunFigures:
    """``analytics-assets run`` for all days, as a process of its own.

    Raises BenchmarkError with what it said when it fails.
    """
    settings = bench.settings
    environment = child_environment(
        {
            f"{PREFIX}HOME": str(settings.home),
            f"{PREFIX}DATABASE_URL": "",
            f"{PREFIX}START_DAY": settings.start_day.isoformat(),
            f"{PREFIX}AS_OF": settings.now().isoformat(),
            f"{PREFIX}SOURCES_FILE": str(settings.sources_file),
            f"{PREFIX}CATALOGUE_DIRS": "",
            f"{PREFIX}GEMINI_API_KEY": "",
        }
    )
    program = Path(sys.executable).with_name("analytics-assets")
    output = settings.home / "run.json"
    began = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [program, "run", "--json"], env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        peak = _watch_memory(process)
    seconds = time.monotonic() - began
    text = output.read_text(encoding="utf-8", errors="replace")
    if process.returncode:
        raise BenchmarkError(f"the run failed:\n{text[-2000:]}")
    return RunFigures(seconds, peak, json.loads(text[text.index("{\n") :]))


def timed(action: Callable[[], object]) -> float:
    """Seconds of wall time."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def active_seconds(database: Database) -> float:
    """Seconds the server has spent on this database's statements so far, over all sessions."""
    with database.connect_as_admin("postgres") as connection:
        connection.execute("select pg_stat_force_next_flush()")
        row = connection.execute(
            "select active_time / 1000 from pg_stat_database where datname = %s", [database.name]
        ).fetchone()
    return float(row[0]) if row else 0.0


def _watch_memory(process: subprocess.Popen[bytes]) -> float | None:
    """Peak resident MiB of the process itself, children apart; None where /proc is missing."""
    peak: float | None = None
    while process.poll() is None:
        # A process that has just ended still has a folder, without the line.
        peak = peak_mib(process.pid) or peak
        time.sleep(0.25)
    return peak
