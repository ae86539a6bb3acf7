"""A loopback receiver of Slack webhooks: keeps what was posted, answers with a chosen status."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from servers.loopback import Loopback


@dataclass
class SlackServer(Loopback):
    """Use as a context manager. ``status`` is what the next posts are answered with."""

    status: int = 200
    posts: list[dict[str, Any]] = field(default_factory=list)
    path: str = "/services/T000/B000/secret-part"

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                server.posts.append(json.loads(body))
                answer = b"ok" if server.status == 200 else b"invalid_payload"
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.serve(Handler)
        return self

    @property
    def url(self) -> str:
        return f"{self.origin}{self.path}"
