"""Files and folders of the embedded server that nobody else may read, and locks between processes.

Belongs here: private folders, atomic private files, advisory locks. Does not: anything about
Postgres. Invariant: permissions of an existing folder are only ever narrowed, and what root makes
inside somebody's folder belongs to that somebody.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_SECONDS = 0.02


def private_folder(path: Path, *, owner: tuple[int, int] | None = None) -> Path:
    """Make ``path`` with mode 0700, or narrow it to that; return it.

    ``owner`` is (uid, gid); without it a folder made by root belongs to its parent's owner.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if found.st_mode & 0o077 and found.st_uid == os.geteuid():
            path.chmod(found.st_mode & 0o700)
        return path
    if os.geteuid() == 0:
        os.chown(path, *(owner or _owner(path.parent)), follow_symlinks=False)
    return path


def write_private_file(path: Path, text: str) -> None:
    """Write ``path`` with mode 0600 so that a reader sees the old text or the whole new one."""
    # The random name and O_EXCL keep another user of the folder from planting a symlink.
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if os.geteuid() == 0:
                os.fchown(file.fileno(), *_owner(path.parent))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames inside ``path`` survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_private(path: Path, flags: int) -> int:
    """A descriptor of ``path``, created with mode 0600 when missing, never through a symlink."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        os.fchown(descriptor, *_owner(path.parent))
    return descriptor


def try_lock(path: Path) -> int | None:
    """Lock ``path`` exclusively: the descriptor that holds the lock, or None when another does.

    The lock belongs to the open file, not to the process: whoever inherits the descriptor holds it
    until the last copy is closed, so a lock can neither outlive its holders nor be left behind.
    """
    descriptor = open_private(path, os.O_RDWR)
    try:
        _flock_now(descriptor)
        # A holder may have deleted the file meanwhile; a lock on the deleted one excludes nobody.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock of ``path``; creates nothing."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _flock_now(descriptor)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


@contextmanager
def exclusive_lock(path: Path, timeout: float) -> Iterator[int]:
    """Hold the lock of ``path``; yields its descriptor. Raises TimeoutError after ``timeout`` s."""
    import fcntl

    deadline = time.monotonic() + timeout
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"another process has been holding {path} for {timeout:.0f} s")
        time.sleep(POLL_SECONDS)
    try:
        yield descriptor
    finally:
        # Unlock outright: a child forked meanwhile may still hold a copy of the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _flock_now(descriptor: int) -> None:
    import fcntl  # not at the top: Windows lacks it and must get as far as being told so

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _owner(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_uid, found.st_gid
