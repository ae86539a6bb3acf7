"""A server that speaks the collector's wire format, and fails as it is told to.

Invariant: an answer is sent when the test's function has returned it, so that a test can hold a
request back.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Request:
    """One request as it came in; ``at`` is on the monotonic clock."""

    path: str
    headers: dict[str, str]
    parameters: dict[str, str]
    events: list[dict[str, Any]]
    at: float = field(default_factory=time.monotonic)

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.events]


def accept(request: Request) -> Answer:
    results = [{"index": n, "event_id": i, "status": "accepted"} for n, i in enumerate(request.ids)]
    return told(202, {"accepted": len(results), "results": results})


def told(status: int, document: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps(document).encode()


class Collector:
    """``answers`` are used up one a request; then ``otherwise`` answers."""

    def __init__(
        self,
        *answers: Answer | Callable[[Request], Answer],
        otherwise: Callable[[Request], Answer] = accept,
    ) -> None:
        self.requests: list[Request] = []
        self._answers = list(answers)
        self._otherwise = otherwise
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Otherwise the body waits for the acknowledgement of the head.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                self._answer(json.loads(body)["batch"])

            def do_GET(self) -> None:
                self._answer([])

            def _answer(self, events: list[dict[str, Any]]) -> None:
                parts = urlsplit(self.path)
                parameters = {name: each[0] for name, each in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(parts.path, headers, parameters, events)
                with collector._lock:
                    collector.requests.append(request)
                    answer = collector._answers.pop(0) if collector._answers else None
                answer = collector._otherwise if answer is None else answer
                status, extra, text = answer if isinstance(answer, tuple) else answer(request)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **extra}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def ids(self) -> list[str]:
        """The ids of all events of all requests, in the order they came."""
        return [each for request in self.requests for each in request.ids]
