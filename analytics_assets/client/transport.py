"""One HTTP connection to the API, kept open, and how long to wait before trying again.

Belongs here: requests and answers as bytes. Does not: what they mean. Invariant: no redirect is
followed, and the key travels in the clear to this machine only, unless that is asked for.
"""

from __future__ import annotations

import gzip
import http.client
import ipaddress
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from analytics_assets.client.contract import VERSION, AnalyticsError

_GZIP_FROM_BYTES: Final = 2_048
_MAX_ANSWER: Final = 64 * 1024 * 1024
_LONGEST_WAIT: Final = 3_600.0
_SERVER_ERRORS: Final = 500
_RETRYABLE: Final = frozenset({408, 409, 425, 429})


class NoAnswer(Exception):
    """The API cannot be reached, or the connection broke before it answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the body, and the seconds that Retry-After asks for, if it does."""

    status: int
    body: bytes
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return self.status in {200, 202}

    @property
    def retryable(self) -> bool:
        return self.status in _RETRYABLE or self.status >= _SERVER_ERRORS

    def json(self) -> Any:
        """The decoded body; None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def results(self, expected: int) -> list[dict[str, Any]] | None:
        """A result for each of the events that were sent; None where there is not."""
        told = self.json()
        results = told.get("results") if isinstance(told, dict) else None
        if not isinstance(results, list) or len(results) != expected:
            return None
        return results if all(isinstance(each, dict) for each in results) else None

    def error(self) -> AnalyticsError:
        """The problem document as an error."""
        told = self.json()
        told = told if isinstance(told, dict) else {}
        code = str(told.get("code") or f"status_{self.status}")
        return AnalyticsError(self.status, code, str(told.get("detail") or ""))


class Transport:
    """Requests to one API; for one thread at a time."""

    def __init__(
        self, url: str, key: str, *, timeout: float, allow_plain_http: bool = False
    ) -> None:
        """Raises ValueError for an address or a key that cannot be used."""
        key = key.strip()
        if not key or not key.isascii() or not key.isprintable():
            raise ValueError("the key must be like aa_live_...")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the API's address must be like https://analytics.example.org")
        if parts.scheme == "http" and not allow_plain_http and not _is_local(parts.hostname):
            raise ValueError(
                "use https, or allow_plain_http=True where nobody else is on the network: the key "
                "would be readable on the way"
            )
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout
        self._headers = {
            "Authorization": f"Bearer {key}",
            "User-Agent": f"analytics-assets-python/{VERSION}",
            "X-SDK": f"python/{VERSION}",
        }
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, attempt: int) -> Answer:
        """Send JSON. Raises NoAnswer."""
        headers = {"Content-Type": "application/json", "X-Attempt": str(attempt)}
        if len(body) >= _GZIP_FROM_BYTES:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        return self._request("POST", path, body, headers)

    def get(self, path: str, parameters: Mapping[str, Any]) -> Answer:
        """Ask for JSON; lists are joined by commas, None is left out. Raises NoAnswer."""
        query = urlencode({k: _text(v) for k, v in parameters.items() if v is not None})
        return self._request("GET", f"{path}?{query}" if query else path, None, {})

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        kept = self._connection is not None
        try:
            return self._once(method, path, body, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if not kept:
                raise NoAnswer(type(error).__name__) from error
            # A server may close a connection that waited; events and queries bear repeating.
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(type(error).__name__) from error
        try:
            return self._once(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(type(error).__name__) from error

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        if self._connection is None:
            self._connection = self._opened()
        self._connection.request(method, self._prefix + path, body, {**self._headers, **headers})
        response = self._connection.getresponse()
        answer = Answer(
            response.status, response.read(_MAX_ANSWER), seconds(response.getheader("Retry-After"))
        )
        if response.will_close or not response.isclosed():
            self.close()
        return answer

    def _opened(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


def seconds(retry_after: str | None) -> float | None:
    """What a Retry-After header asks for, at most an hour; None where there is none to read."""
    if retry_after is None:
        return None
    try:
        wanted = float(retry_after)
    except ValueError:
        try:
            moment = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        wanted = (moment - datetime.now(UTC)).total_seconds()
    # The first comparison is false for NaN, too.
    return min(wanted, _LONGEST_WAIT) if wanted >= 0 else None


def pause(
    attempt: int, retry_after: float | None, base: float, cap: float, draw: Callable[[], float]
) -> float:
    """Seconds before the next try: full jitter over a doubling range, on top of Retry-After."""
    return (retry_after or 0.0) + draw() * min(cap, base * 2.0 ** min(attempt, 32))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_text(each) for each in value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
