"""An HTTP client that costs little: requests made beforehand, sent over a few connections.

Belongs here: sending and timing. Does not: what is sent. Invariant: every answer is read whole and
counted by its status; what a benchmark reports was answered.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_BLOCK: Final = 1 << 16


@dataclass
class Answers:
    """Statuses, seconds from due time to answer (sorted), and the wall time of all."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the requests was answered."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


@dataclass
class _Connection:
    socket: socket.socket
    due: float = 0.0
    received: bytearray = field(default_factory=bytearray)


def request(path: str, key: str, body: bytes) -> bytes:
    """One POST as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def query(path: str, key: str) -> bytes:
    """One GET as it goes over the wire."""
    head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n"
    return head.encode()


def send_all(
    port: int, requests: Iterable[bytes], *, connections: int, per_second: float | None = None
) -> Answers:
    """Send all; as fast as answers come, or ``per_second``, late ones counting from when due."""
    waiting = deque(requests)
    answers = Answers()
    selector = selectors.DefaultSelector()
    idle: list[_Connection] = []
    for _ in range(connections):
        opened = socket.create_connection(("127.0.0.1", port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(opened)
        selector.register(opened, selectors.EVENT_READ, connection)
        idle.append(connection)
    total, began = len(waiting), time.perf_counter()
    while sum(answers.statuses.values()) < total:
        now = time.perf_counter()
        while idle and waiting:
            sent = total - len(waiting)
            due = now if per_second is None else began + sent / per_second
            if due > now:
                break
            connection = idle.pop()
            connection.due = due
            connection.socket.sendall(waiting.popleft())
        timeout = None if per_second is None else 0.001
        for selected, _ in selector.select(timeout):
            connection = selected.data
            status = _read(connection)
            if status is not None:
                answers.statuses[status] += 1
                answers.latencies.append(time.perf_counter() - connection.due)
                idle.append(connection)
    answers.seconds = time.perf_counter() - began
    answers.latencies.sort()
    for selected in list(selector.get_map().values()):
        selected.data.socket.close()
    return answers


def _read(connection: _Connection) -> int | None:
    """The status once the answer is there as a whole."""
    block = connection.socket.recv(_BLOCK)
    if not block:
        raise ConnectionError("the API closed a connection")
    received = connection.received
    received += block
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    _, _, rest = head.partition(b"content-length:")
    if len(received) < end + 4 + int(rest.split(b"\r\n")[0]):
        return None
    status = int(received[9:12])
    received.clear()
    return status
