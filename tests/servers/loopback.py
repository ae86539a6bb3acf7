"""A server on a free port of the loopback, in a thread of its own.

Belongs here: starting, ending, and waiting for requests. Does not: what is answered.
"""

from __future__ import annotations

import threading
from collections.abc import Sized
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Loopback:
    """``serve`` starts it; leaving the context ends it. ``arrived`` is told of each request."""

    def serve(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.arrived = threading.Condition()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def wait_until(self, requests: Sized, count: int, timeout: float) -> None:
        """Until ``requests`` holds ``count``."""
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(requests) >= count, timeout):
                raise TimeoutError(f"{len(requests)} of {count} requests arrived")
