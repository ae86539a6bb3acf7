"""The API in a process of its own, as its command starts it, for benchmarks.

Belongs here: starting it, waiting for it, what it used. Does not: what is sent. Invariant: it ends
with the benchmark.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from analytics_assets.benchmarks.measure import BenchmarkError
from analytics_assets.settings import PREFIX, child_environment
from analytics_assets.store.embedded_config import candidate_ports, port_is_free

_READY = 200


@dataclass(frozen=True)
class ApiServer:
    """Where it listens, and its process."""

    port: int
    pid: int


@contextmanager
def running_api(home: Path, as_of: str = "") -> Iterator[ApiServer]:
    """The API over the embedded server of ``home``. Raises BenchmarkError with its log."""
    port = next(port for port in candidate_ports(str(home)) if port_is_free(port))
    environment = child_environment(
        {f"{PREFIX}HOME": str(home), f"{PREFIX}DATABASE_URL": "", f"{PREFIX}AS_OF": as_of}
    )
    program = "from analytics_assets.cli.main import main; main()"
    with (home / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "api", "--port", str(port)],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _wait_until_ready(port, process, home / "api.log")
        yield ApiServer(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def cpu_of_tree(pid: int) -> float:
    """CPU seconds of a process, its living children, and those it has waited for."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return _cpu(pid, waited_for=True) + sum(_cpu(int(child)) for child in children)


def _wait_until_ready(port: int, api: subprocess.Popen[bytes], log: Path) -> None:
    import httpx

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and api.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == _READY:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise BenchmarkError(f"the API does not start:\n{log.read_text(errors='replace')[-2000:]}")


def _cpu(pid: int, *, waited_for: bool = False) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    ticks = [int(n) for n in text.rsplit(")", 1)[1].split()[11:15]]
    return sum(ticks if waited_for else ticks[:2]) / os.sysconf("SC_CLK_TCK")
