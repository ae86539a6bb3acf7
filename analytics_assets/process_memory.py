"""The most memory a process has had resident, as its kernel keeps it.

Belongs here: reading that figure. Does not: judging it. Invariant: it is the program's own:
``ru_maxrss`` of a process keeps the peak of the one that started it, even past ``exec``.
"""

from __future__ import annotations

import os
from pathlib import Path


def peak_mib(pid: int | None = None) -> float | None:
    """MiB of a process (this one by default); None where the kernel has no /proc or it is gone."""
    try:
        status = Path(f"/proc/{pid or os.getpid()}/status").read_text(encoding="ascii")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None
