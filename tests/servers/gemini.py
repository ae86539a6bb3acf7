"""A loopback server that speaks Gemini's wire format, with faults on demand.

It answers by rules over the text it is sent, so that tests exercise everything but the model's own
wit. Faults are taken from a queue, one a request, optionally only for texts that hold a word. Every
request is logged as received.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import Any, Self

from servers.loopback import Loopback

JSON = "application/json"
Rule = Callable[[str], dict[str, Any]]


@dataclass(frozen=True)
class Fault:
    """What one request gets instead of an answer. ``only``: a word its text must hold."""

    status: int = 200
    body: str = ""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    hang: threading.Event | None = None
    only: str = ""


@dataclass(frozen=True)
class Logged:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: str
    at: float

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self.body["contents"][0]["parts"])

    @property
    def asks_for_facets(self) -> bool:
        return "topic" in self.body["generationConfig"]["responseSchema"]["properties"]


def rate_limited(retry_delay: str | None = "0s", *, only: str = "", after: str = "") -> Fault:
    details = (
        [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay}]
        if retry_delay is not None
        else []
    )
    return _error(
        429,
        "RESOURCE_EXHAUSTED",
        details=details,
        only=only,
        headers=(("Retry-After", after),) if after else (),
    )


def server_error(status: int = 500, *, only: str = "") -> Fault:
    return _error(status, "INTERNAL", only=only)


def refused(status: int, name: str, *, only: str = "") -> Fault:
    return _error(status, name, only=only)


def hang(event: threading.Event, *, only: str = "") -> Fault:
    """No answer until ``event`` is set."""
    return Fault(hang=event, only=only)


def blocked_prompt(reason: str = "SAFETY", *, only: str = "") -> Fault:
    return _ok({"promptFeedback": {"blockReason": reason}}, only=only)


def finished(reason: str, text: str = "", *, only: str = "") -> Fault:
    parts = [{"text": text}] if text else []
    return _ok(_candidate(parts, reason), only=only)


def answered(text: str, *, only: str = "") -> Fault:
    """A success whose text is exactly ``text``."""
    return _ok(_candidate([{"text": text}], "STOP"), only=only)


def html(*, only: str = "") -> Fault:
    return Fault(body="<html><body>Sign in</body></html>", content_type="text/html", only=only)


def insight(**fields: Any) -> dict[str, Any]:
    """A valid answer with some fields changed."""
    return {
        "goals": ["build"],
        "outcome": "achieved",
        "friction": [],
        "feature_request": "none",
        "sentiment": 4,
        "satisfaction": 4,
        "will_return": "likely",
        "will_return_reason": "U got what U came for.",
        "summary": "U built something and was content.",
        **fields,
    }


def answer_by_rules(text: str) -> dict[str, Any]:
    """A reader of little wit: looks for words in the transcript."""
    lower = text.lower()
    stuck = "error" in lower or "fails" in lower
    return insight(
        goals=["fix"] if stuck else ["build"],
        outcome="not_achieved" if stuck else "achieved",
        friction=["error"] if stuck else [],
        feature_request="import_export" if "export" in lower else "none",
        sentiment=2 if stuck else 4,
        will_return="unsure" if stuck else "likely",
    )


def facets(**fields: Any) -> dict[str, Any]:
    """A valid answer about a conversation with some fields changed."""
    return {
        "task": "build",
        "topic": "dashboards",
        "outcome": "achieved",
        "friction": "none",
        "sentiment": 4,
        "feature_request": "none",
        "summary": "U wanted to build something.",
        "wish": "",
        **fields,
    }


def facets_by_rules(text: str) -> dict[str, Any]:
    """As ``answer_by_rules``, about one conversation."""
    lower = text.lower()
    stuck = "error" in lower or "fails" in lower
    wants_export = "export" in lower
    return facets(
        task="fix" if stuck else "build",
        topic="debugging" if stuck else "dashboards",
        outcome="not_achieved" if stuck else "achieved",
        friction="error" if stuck else "none",
        sentiment=2 if stuck else 4,
        feature_request="import_export" if wants_export else "none",
        wish="U asked for a way to take results elsewhere." if wants_export else "",
    )


@dataclass
class Batch:
    """A batch the server has accepted; ``items`` are (key, request), ``state`` as it was told."""

    name: str
    display_name: str
    items: list[tuple[str, dict[str, Any]]]
    raw: str
    deleted: bool = False


@dataclass
class GeminiServer(Loopback):
    """Use as a context manager; ``url`` is the base URL for the SDK.

    A batch stands in the state of ``batch_states`` at its place, else in ``batch_state``;
    ``item_faults`` maps a word of a text to the error its item gets; with ``drop_after_accept``
    a batch is accepted and the connection closed, with ``fault_after_accept`` that is answered.
    """

    rule: Rule = answer_by_rules
    facet_rule: Rule = facets_by_rules
    faults: list[Fault] = field(default_factory=list)
    requests: list[Logged] = field(default_factory=list)
    on_request: Callable[[Logged], None] | None = None
    key: str = "test-key"
    batches: list[Batch] = field(default_factory=list)
    batch_state: str = "BATCH_STATE_SUCCEEDED"
    batch_states: list[str] = field(default_factory=list)
    batch_faults: list[Fault] = field(default_factory=list)
    item_faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    drop_after_accept: bool = False
    fault_after_accept: Fault | None = None
    hidden: bool = False
    on_batch: Callable[[], None] | None = None
    kept: dict[str, str] = field(default_factory=dict)
    keeps: list[str] = field(default_factory=list)
    least_tokens: int = 1024

    def __enter__(self) -> Self:
        self.serve(self._handler())
        return self

    @property
    def url(self) -> str:
        return self.origin

    def wait_for(self, count: int, timeout: float = 60.0) -> None:
        """Until ``count`` requests have arrived."""
        self.wait_until(self.requests, count, timeout)

    @contextmanager
    def fresh_log(self) -> Iterator[list[Logged]]:
        """The requests that arrive inside the block."""
        before = len(self.requests)
        seen: list[Logged] = []
        yield seen
        seen.extend(self.requests[before:])

    def keep(self, body: dict[str, Any], raw: str) -> Fault:
        """Keep instructions, unless they are too short."""
        text = "".join(part["text"] for part in body["systemInstruction"]["parts"])
        if len(text) / 4 < self.least_tokens:
            return refused(400, "INVALID_ARGUMENT")
        self.keeps.append(raw)
        name = f"cachedContents/c{len(self.keeps)}"
        self.kept[name] = text
        usage = {"totalTokenCount": len(text) // 4}
        return Fault(body=json.dumps({"name": name, "usageMetadata": usage}))

    def accept_batch(self, body: dict[str, Any], raw: str) -> Fault:
        batch = body["batch"]
        items = [
            (one["metadata"]["key"], one["request"])
            for one in batch["inputConfig"]["requests"]["requests"]
        ]
        with self.arrived:
            if self.batch_faults:
                return self.batch_faults.pop(0)
            name = f"batches/b{len(self.batches) + 1}"
            self.batches.append(Batch(name, batch["displayName"], items, raw))
        if self.on_batch is not None:
            self.on_batch()
        if self.fault_after_accept is not None:
            return self.fault_after_accept
        if self.drop_after_accept:
            gone = threading.Event()
            gone.set()
            return Fault(hang=gone)
        return Fault(body=json.dumps(self._shown(self.batches[-1], with_output=False)))

    def show_batches(self, path: str) -> Fault:
        wanted = path.split("?", maxsplit=1)[0].removeprefix("/v1beta/")
        there = [batch for batch in self.batches if not batch.deleted]
        if wanted == "batches":
            listed = [self._shown(one, with_output=False) for one in there if not self.hidden]
            return Fault(body=json.dumps({"operations": listed}))
        for batch in there:
            if batch.name == wanted:
                return Fault(body=json.dumps(self._shown(batch, with_output=True)))
        return refused(404, "NOT_FOUND")

    def delete_batch(self, path: str) -> Fault:
        for batch in self.batches:
            batch.deleted |= batch.name == path.removeprefix("/v1beta/")
        return Fault(body="{}")

    def _shown(self, batch: Batch, *, with_output: bool) -> dict[str, Any]:
        place = self.batches.index(batch)
        state = next(iter(self.batch_states[place : place + 1]), "") or self.batch_state
        metadata: dict[str, Any] = {"state": state, "displayName": batch.display_name}
        done = state.endswith("SUCCEEDED")
        if done and with_output:
            inlined = [self._item(key, request) for key, request in batch.items]
            metadata["output"] = {"inlinedResponses": {"inlinedResponses": inlined}}
        return {"name": batch.name, "done": done, "metadata": metadata}

    def _item(self, key: str, request: dict[str, Any]) -> dict[str, Any]:
        text = "".join(part["text"] for part in request["contents"][0]["parts"])
        for word, fault in self.item_faults.items():
            if word in text:
                return {"metadata": {"key": key}, **fault}
        facets = "topic" in request["generationConfig"]["responseSchema"]["properties"]
        parts = [{"text": json.dumps((self.facet_rule if facets else self.rule)(text))}]
        answer = json.loads(_ok(_candidate(parts, "STOP")).body)
        return {"metadata": {"key": key}, "response": answer}

    def respond(self, logged: Logged) -> Fault:
        with self.arrived:
            self.requests.append(logged)
            fault = next((f for f in self.faults if f.only in logged.text), None)
            if fault is not None:
                self.faults.remove(fault)
            self.arrived.notify_all()
        if self.on_request is not None:
            self.on_request(logged)
        if fault is not None:
            return fault
        if logged.headers.get("x-goog-api-key") != self.key:
            return refused(403, "PERMISSION_DENIED")
        if logged.body.get("cachedContent", "") not in {"", *self.kept}:
            return refused(403, "PERMISSION_DENIED")
        rule = self.facet_rule if logged.asks_for_facets else self.rule
        parts = [{"text": json.dumps(rule(logged.text))}]
        return _ok(_candidate(parts, "STOP"))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(raw)
                if self.path.endswith("/cachedContents"):
                    self._send(server.keep(body, raw))
                    return
                if self.path.endswith(":batchGenerateContent"):
                    self._send(server.accept_batch(body, raw))
                    return
                self._send(server.respond(Logged(self.path, headers, body, raw, monotonic())))

            def do_GET(self) -> None:
                self._send(server.show_batches(self.path))

            def do_DELETE(self) -> None:
                server.kept.pop(self.path.removeprefix("/v1beta/"), None)
                self._send(server.delete_batch(self.path))

            def _send(self, response: Fault) -> None:
                if response.hang is not None:
                    response.hang.wait(30)
                    self.close_connection = True
                    return
                body = response.body.encode()
                self.send_response(response.status)
                self.send_header("Content-Type", response.content_type)
                self.send_header("Content-Length", str(len(body)))
                for name, value in response.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler


def _ok(payload: dict[str, Any], *, only: str = "") -> Fault:
    usage = {
        "promptTokenCount": 1000,
        "candidatesTokenCount": 100,
        "cachedContentTokenCount": 400,
        "totalTokenCount": 1100,
    }
    body = {"usageMetadata": usage, "modelVersion": "fake", **payload}
    return Fault(body=json.dumps(body), only=only)


def _candidate(parts: list[dict[str, str]], reason: str) -> dict[str, Any]:
    content = {"role": "model", "parts": parts}
    return {"candidates": [{"content": content, "finishReason": reason, "index": 0}]}


def _error(
    status: int,
    name: str,
    *,
    details: list[dict[str, str]] | None = None,
    only: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> Fault:
    error = {"code": status, "message": "told by the server", "status": name}
    body = {"error": {**error, "details": details or []}}
    return Fault(status=status, body=json.dumps(body), only=only, headers=headers)
