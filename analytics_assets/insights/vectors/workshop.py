"""A short-lived process for arithmetic: its memory is gone when the work is done.

Belongs here: handing arrays and texts over and taking arrays back. Does not: the arithmetic
(embedding.py, clustering.py). Invariant: what goes in and out is JSON and arrays
without pickled objects; nothing is written to disk; texts never stand in arguments or logs.
``python -m analytics_assets.insights.vectors.workshop`` is the other end.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analytics_assets.process_memory import peak_mib

TASKS = {
    "embed": "analytics_assets.insights.vectors.embedding_work",
    "cluster": "analytics_assets.insights.vectors.cluster_work",
    "distances": "analytics_assets.insights.vectors.distance_work",
}


class WorkshopError(Exception):
    """The process did not finish; the message says which work and how it ended."""


@dataclass(frozen=True)
class Work:
    """What came back: small values, arrays by name, and peak memory (0: not known)."""

    values: dict[str, Any]
    arrays: dict[str, Any]
    peak_mib: int


def work(task: str, values: Mapping[str, Any], arrays: Mapping[str, Any] | None = None) -> Work:
    """Run ``perform(values, arrays)`` of the task's module in a process of its own.

    Raises WorkshopError where it fails.
    """
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **_packed({"task": task, "values": dict(values)}), **(arrays or {}))
    done = subprocess.run(
        [sys.executable, "-m", "analytics_assets.insights.vectors.workshop"],
        input=buffer.getvalue(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        # The last line names the error's class; what it says could quote a text.
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        kind = last.partition(":")[0] if done.returncode > 0 else f"signal {-done.returncode}"
        raise WorkshopError(
            f"{task}: the process for it ended with {kind or done.returncode}; is there memory "
            "left? The next run does it again"
        )
    told, found = _unpacked(done.stdout)
    return Work(told["values"], found, int(told["peak_mib"]))


def _packed(told: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    return {"_told": np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)}


def _unpacked(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "_told"}
        told: dict[str, Any] = json.loads(file["_told"].tobytes())
    return told, arrays


def _serve() -> None:
    import importlib

    import numpy as np

    told, arrays = _unpacked(sys.stdin.buffer.read())
    module = importlib.import_module(TASKS[told["task"]])
    values, made = module.perform(told["values"], arrays)
    buffer = io.BytesIO()
    peak = round(peak_mib() or 0)
    np.savez(buffer, **_packed({"values": values, "peak_mib": peak}), **made)
    sys.stdout.buffer.write(buffer.getvalue())


if __name__ == "__main__":
    _serve()
