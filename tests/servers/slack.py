"""A loopback Slack: takes webhooks, and speaks the two methods of its Web API that change messages.

It keeps what was posted, answers webhooks with a chosen status and methods with a chosen refusal.
"""

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
    token: str = "xoxb-secret-part"
    refusal: str = ""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path.startswith("/api/"):
                    allowed = self.headers["Authorization"] == f"Bearer {server.token}"
                    found = server.method(self.path.removeprefix("/api/"), body, allowed)
                    answer = json.dumps(found).encode()
                else:
                    server.posts.append(body)
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
    def api_url(self) -> str:
        return f"{self.origin}/api"

    def method(self, name: str, body: dict[str, Any], allowed: bool) -> dict[str, Any]:
        """What https://api.slack.com/methods says of ``name``."""
        self.calls.append(name)
        if not allowed:
            return {"ok": False, "error": "invalid_auth"}
        if self.refusal:
            return {"ok": False, "error": self.refusal}
        if name == "chat.postMessage":
            stamp = f"1700000000.{len(self.calls):06}"
            self.messages[stamp] = body
            return {"ok": True, "channel": "C024BE91L", "ts": stamp}
        assert name == "chat.update"
        if body["ts"] not in self.messages or body["channel"] != "C024BE91L":
            return {"ok": False, "error": "message_not_found"}
        self.messages[body["ts"]] = body
        return {"ok": True, "channel": "C024BE91L", "ts": body["ts"]}

    @property
    def url(self) -> str:
        return f"{self.origin}{self.path}"
