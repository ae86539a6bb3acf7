"""The API in processes of its own that can be killed and started again within a moment.

Run as a program this is their parent: it imports and makes the app once, and forks a child that
serves it for each line it reads.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from analytics_assets.settings import Settings
from analytics_assets.store.database import Database


def free_port() -> int:
    """A port below those that outgoing connections are given."""
    for port in range(18_100 + os.getpid() % 1_000, 19_900):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError


def _parent(settings: Settings, database: Database) -> None:
    import uvicorn

    from analytics_assets.api.app import create_app
    from analytics_assets.cli.api import server_options

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    app = create_app(settings, database)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            config = uvicorn.Config(app, port=int(line), lifespan="on", **server_options())
            uvicorn.Server(config).run()
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


@dataclass
class ApiProcess:
    """One API process at a time; ``start`` returns when it listens."""

    settings: Settings
    database: Database
    port: int = field(default_factory=free_port)
    pid: int = 0

    def __post_init__(self) -> None:
        world = b64encode(pickle.dumps((self.settings, self.database))).decode()
        self.parent: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, Path(__file__), world],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGTERM)
        self.parent.kill()
        self.parent.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(f"{self.port}\n")
        self.parent.stdin.flush()
        self.pid = int(self.parent.stdout.readline())
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            os.kill(self.pid, 0)
            time.sleep(0.005)
        raise AssertionError

    def end(self, with_signal: int = signal.SIGKILL) -> None:
        """Return when the process is gone."""
        deadline = time.monotonic() + 60
        try:
            os.kill(self.pid, with_signal)
            while time.monotonic() < deadline:
                os.kill(self.pid, 0)
                time.sleep(0.002)
        except ProcessLookupError:
            return
        raise AssertionError


if __name__ == "__main__":
    _parent(*pickle.loads(b64decode(sys.argv[1])))  # noqa: S301 (from the test itself)
