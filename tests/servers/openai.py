"""A loopback server that speaks OpenAI's chat completions, with answers scripted one by one.

Every request is logged as received. Without a script it answers facets by rules.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from servers.gemini import facets_by_rules
from servers.loopback import Loopback


@dataclass(frozen=True)
class Scripted:
    """One answer; ``hang`` gives none until it is set."""

    status: int = 200
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    hang: threading.Event | None = None


def completion(text: str | None, reason: str = "stop", **message: Any) -> Scripted:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 400},
    }
    choice = {"index": 0, "finish_reason": reason, "message": {"content": text, **message}}
    return Scripted(body=json.dumps({"choices": [choice], "usage": usage}))


@dataclass
class OpenAiServer(Loopback):
    """Use as a context manager; ``url`` is what ANALYTICS_LLM_BASE_URL would be."""

    script: list[Scripted] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    key: str = "local-key"
    on_request: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"])).decode()
                answer = server.respond(self.path, self.headers.get("authorization"), raw)
                if answer.hang is not None:
                    answer.hang.wait(30)
                    self.close_connection = True
                    return
                body = answer.body.encode()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.serve(Handler)
        return self

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def wait_for(self, count: int, timeout: float = 60.0) -> None:
        """Until ``count`` requests have arrived."""
        self.wait_until(self.requests, count, timeout)

    def respond(self, path: str, authorization: str | None, raw: str) -> Scripted:
        body = json.loads(raw)
        with self.arrived:
            self.requests.append({"path": path, "raw": raw, **body})
            self.arrived.notify_all()
        if self.on_request is not None:
            self.on_request()
        if self.script:
            return self.script.pop(0)
        if path != "/v1/chat/completions":
            return Scripted(404, '{"error": {"message": "not here"}}')
        if authorization != f"Bearer {self.key}":
            return Scripted(401, '{"error": {"message": "no"}}')
        return completion(json.dumps(facets_by_rules(body["messages"][-1]["content"])))
