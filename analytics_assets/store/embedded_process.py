"""The embedded server as processes: started detached, recognised, ended by signals.

Belongs here: the pid file, proof that a server is the one of a data folder, spawning, signals.
Does not: deciding when to do so (see embedded.py) or initdb. Invariant: a pid or a port alone
proves nothing; no process is signalled that is not shown to serve the data folder.
"""

from __future__ import annotations

import enum
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from analytics_assets.store.embedded_binaries import Account, run_as
from analytics_assets.store.embedded_config import HOST

SUPERUSER = "postgres"
PID_FILE = "postmaster.pid"
READY = "ready"
_IDENTITY = """
select current_setting('data_directory'),
       (select system_identifier from pg_control_system())
"""
# Arguments arrive as "$@", so a path may contain anything. The shell's exit hands the server to
# init, which reaps it: a zombie of ours would look alive to pg_ctl and to the next start.
_DETACH = '"$@" &'


class Answer(enum.Enum):
    """What came back from an attempt to use the server."""

    OURS = "ours"
    SILENT = "nobody serves there, or not yet"
    FOREIGN = "another server answers"
    REFUSED = "the password is refused"


@dataclass(frozen=True)
class PidFile:
    """What postmaster.pid claims; it may be stale."""

    pid: int
    port: int | None
    status: str


def read_pid_file(data_dir: Path) -> PidFile | None:
    """The claims of the data folder's postmaster.pid, None when it is missing or torn."""
    try:
        text = (data_dir / PID_FILE).read_text(encoding="utf-8", errors="replace")
        # pid, data folder, start time, port, socket folder, address, shared memory, status
        lines = [line.strip() for line in text.splitlines()] + [""] * 8
        return PidFile(abs(int(lines[0])), int(lines[3] or 0) or None, lines[7])
    except (OSError, ValueError):
        return None


def ask(data_dir: Path, port: int, password: str, *, timeout: int = 5) -> Answer:
    """Query the server on ``port`` and prove that it is the one of ``data_dir``.

    The proof is the data folder it names and the system identifier initdb drew for it. SCRAM is
    required, by which the server in turn proves that it knows the password.
    """
    import psycopg

    try:
        with psycopg.connect(
            host=HOST,
            port=port,
            user=SUPERUSER,
            password=password,
            dbname="postgres",
            connect_timeout=timeout,
            require_auth="scram-sha-256",
            sslmode="disable",
            gssencmode="disable",
            options="",
            application_name="analytics-assets",
            autocommit=True,
        ) as connection:
            row = connection.execute(_IDENTITY).fetchone()
    except psycopg.Error as error:
        refused = "password authentication failed" in str(error)
        return Answer.REFUSED if refused else Answer.SILENT
    with suppress(OSError):
        if (
            row is not None
            and Path(row[0]).samefile(data_dir)
            and row[1] % 2**64 == system_identifier(data_dir)
        ):
            return Answer.OURS
    return Answer.FOREIGN


def system_identifier(data_dir: Path) -> int:
    """The number initdb drew for this data folder, from its control file."""
    with (data_dir / "global" / "pg_control").open("rb") as control:
        (identifier,) = struct.unpack("=Q", control.read(8))
    return int(identifier)


def is_postmaster(pid: int, data_dir: Path) -> bool:
    """Whether the living process ``pid`` is the main server process of ``data_dir``."""
    line = _command_line(pid)  # empty when it is gone or a zombie
    if line.startswith("postgres: "):  # a child of some server
        return False
    if f"postgres -D {data_dir} " in f"{line} ":
        return True
    # An operator may have started it with PGDATA; the look at the folder may be forbidden to us.
    with suppress(OSError):
        return "postgres" in line and Path(f"/proc/{pid}/cwd").samefile(data_dir)
    return False


def orphans(name: str) -> list[int]:
    """Processes of the cluster called ``name`` other than its main process."""
    return [pid for pid, title in _titles() if title.startswith(f"postgres: {name}: ")]


def spawn_detached(
    argv: list[str | Path], *, account: Account | None, cwd: Path, output: int, lock: int
) -> None:
    """Start ``argv`` in its own session, as a child of init, with ``lock`` open for all its life.

    ``output`` receives what it prints. Returns at once; raises OSError when nothing can start.
    """
    done = run_as(
        account,
        ["/bin/sh", "-c", _DETACH, "sh", *argv],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(lock,),
        start_new_session=True,
    )
    if done.returncode != 0:
        raise OSError(f"/bin/sh ended with exit code {done.returncode}")


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that is already gone is as good."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _command_line(pid: int) -> str:
    if sys.platform == "linux":
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            return ""
    listed = run_as(None, ["ps", "-ww", "-p", str(pid), "-o", "command="], capture_output=True)
    return listed.stdout.strip()


def _titles() -> Iterator[tuple[int, str]]:
    if sys.platform == "linux":
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                yield int(folder.name), _command_line(int(folder.name))
        return
    listed = run_as(None, ["ps", "-axww", "-o", "pid=,command="], capture_output=True)
    for line in listed.stdout.splitlines():
        pid, _, title = line.strip().partition(" ")
        yield int(pid), title.strip()
