"""The environment of ``google-generativeai``: where it is, and how it is made.

Belongs here: a folder with a Python of its own, filled from a lock file with hashes. Does not:
using it. Invariant: nothing of it is ever importable here: it holds protobuf below 6, which would
hold dbt and Dagster back.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analytics_assets.settings import Settings

FOLDER = "google-generativeai"
LOCK = Path(__file__).with_name("google_generativeai.lock")


class SetupFailed(Exception):
    """The environment could not be made; the message says what to do."""


def python_of(settings: Settings) -> Path | None:
    """The Python that has the package: the one that is named, else the one that was made here."""
    if settings.google_generativeai_python is not None:
        return settings.google_generativeai_python
    made = _python(settings.home / FOLDER)
    return made if made.exists() else None


def install(home: Path) -> Path:
    """Make or renew the environment under ``home``; returns its Python. Raises SetupFailed."""
    folder = home / FOLDER
    python = _python(folder)
    uv = _uv()
    if uv is None:
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)],
        ]
    else:
        steps = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes",
             "-r", str(LOCK)],
        ]  # fmt: skip
    folder.parent.mkdir(parents=True, exist_ok=True)
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SetupFailed(
                f"google-generativeai could not be installed ({last}); it needs the package index "
                "once: check the network or the proxy and try again"
            )
    return python


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")
