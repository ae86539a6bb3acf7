"""Whole requests that cannot be served: a problem with a stable code, and nothing stored."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import zstandard
from door import EVENTS, Door, bad, counts, event

from analytics_assets.api.limits import MAX_BODY_BYTES, MAX_COMPRESSED_BYTES
from analytics_assets.api.problems import MEDIA_TYPE, PROBLEMS, Problem

BATCH = json.dumps({"batch": [event()]}).encode()


def problem(response: Any) -> tuple[int, str]:
    assert response.headers["content-type"] == MEDIA_TYPE
    document = response.json()
    assert document["status"] == response.status_code
    assert document["type"].endswith(document["code"])
    assert {"title", "detail", "instance", "retryable"} <= document.keys()
    assert response.headers["x-request-id"] in document["instance"]
    return response.status_code, document["code"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "invalid_json")),
        (b"{", (400, "invalid_json")),
        (b"not json", (400, "invalid_json")),
        (b'{"batch": [{}', (400, "invalid_json")),
        (b'{"batch": [{},]}', (400, "invalid_json")),
        (b'{"batch": [{"a": nul}]}', (400, "invalid_json")),
        (b'\xff{"batch": []}', (400, "invalid_json")),
        (b'{"batch": ["\xc3\x28"]}', (400, "invalid_json")),
        (b"[" * 100_000, (422, "invalid_request")),
        (b'{"a": ' + b"[" * 100_000, (400, "invalid_json")),
        (b"[]", (422, "invalid_request")),
        (b"5", (422, "invalid_request")),
        (b'"text"', (422, "invalid_request")),
        (b"null", (422, "invalid_request")),
        (b'{"batch": {}}', (422, "invalid_request")),
        (b'{"batch": []}', (422, "invalid_request")),
        (b'{"batch": [{}], "sent_at": 5}', (422, "invalid_request")),
        (b'{"batch": [{}], "sent_at": "now"}', (422, "invalid_request")),
        (json.dumps({"batch": [{}] * 1_001}).encode(), (413, "batch_too_large")),
        (b" " * (MAX_BODY_BYTES + 1), (413, "body_too_large")),
    ],
)
def test_a_body_that_is_no_request_is_refused_as_a_whole(
    door: Door, body: bytes, expected: tuple[int, str]
) -> None:
    assert problem(door.post(body)) == expected


def test_the_largest_batch_is_taken(door: Door) -> None:
    answer = door.send(*(event() for _ in range(1_000)))
    assert counts(answer) == (1_000, 0, 0, 0)


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ("text/plain;charset=UTF-8", True),  # what a page's beacon sends
        ("application/x-www-form-urlencoded", False),
        ("application/xml", False),
        ("", False),
    ],
)
def test_only_json_is_taken(door: Door, content_type: str, taken: bool) -> None:
    response = door.post(BATCH, headers={"content-type": content_type})
    if taken:
        assert response.status_code == 202
    else:
        assert problem(response) == (415, "unsupported_media_type")


def test_addresses_and_methods_that_are_not_ours_are_problems_too(door: Door) -> None:
    assert problem(door.client.get("/api/nothing")) == (404, "not_found")
    assert problem(door.client.put(EVENTS)) == (405, "method_not_allowed")


# --- compression ----------------------------------------------------------------------------------


def squeeze(body: bytes, encoding: str) -> bytes:
    return gzip.compress(body) if encoding == "gzip" else zstandard.compress(body)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_bodies_are_read(door: Door, encoding: str) -> None:
    events = [event() for _ in range(300)]
    body = squeeze(json.dumps({"batch": events}).encode(), encoding)
    response = door.post(body, headers={"content-encoding": encoding})
    assert counts(response.json()) == (300, 0, 0, 0)


def test_a_zstandard_stream_of_unknown_length_is_read(door: Door) -> None:
    stream = zstandard.ZstdCompressor().compressobj()
    body = stream.compress(BATCH) + stream.flush()
    response = door.post(body, headers={"content-encoding": "zstd"})
    assert response.status_code == 202
    cut = door.post(body[:-5], headers={"content-encoding": "zstd"})
    assert problem(cut) == (400, "invalid_encoding")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused(door: Door, encoding: str) -> None:
    bomb = squeeze(b" " * (50 << 20), encoding)
    assert len(bomb) < MAX_COMPRESSED_BYTES
    response = door.post(bomb, headers={"content-encoding": encoding})
    assert problem(response) == (413, "body_too_large")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_is_not_one_whole_stream_is_refused(door: Door, encoding: str) -> None:
    whole = squeeze(BATCH, encoding)
    for broken in (b"", b"plain", whole[:-4], whole[: len(whole) // 2]):
        response = door.post(broken, headers={"content-encoding": encoding})
        assert problem(response) == (400, "invalid_encoding"), broken
    # Not compressible: over the limit as it comes.
    noise = b"".join(hashlib.sha512(str(n).encode()).digest() for n in range(20_000))
    response = door.post(squeeze(noise, encoding), headers={"content-encoding": encoding})
    assert problem(response) == (413, "body_too_large")


def test_other_encodings_are_refused_with_those_that_are_read(door: Door) -> None:
    for encoding in ("br", "deflate", "gzip, gzip"):
        response = door.post(BATCH, headers={"content-encoding": encoding})
        assert problem(response) == (415, "unsupported_media_type")
        assert response.headers["accept-encoding"] == "gzip, zstd"


# --- hostile bodies -------------------------------------------------------------------------------


def test_an_event_no_reader_bears_does_not_fail_its_neighbours(door: Door) -> None:
    hostile = [
        b"[" * 9_000 + b"]" * 9_000,
        b'{"event_id": "\\ud800"}',
        b'{"a": 1e999999}',
        b'{"event_type": "project.viewed", "a": "\\u0000"}',
        b'{"a": NaN}',
        b'{"a": "' + b"x" * 40_000 + b'"}',
    ]
    good = [json.dumps(event()).encode() for _ in range(len(hostile) + 1)]
    mixed = [good[0]]
    for one, other in zip(hostile, good[1:], strict=True):
        mixed += [one, other]
    response = door.post(b'{"batch": [' + b", ".join(mixed) + b"]}")
    assert response.status_code == 202, response.text
    assert counts(response.json()) == (len(good), 0, len(hostile), 0)
    codes = [r["errors"][0]["code"] for r in response.json()["results"] if "errors" in r]
    assert codes == ["not_an_object", "invalid_json", "out_of_range", "nul_byte", "invalid_json",
                     "oversized"]  # fmt: skip


def test_a_slow_body_is_given_up(door_settings: Any, door: Door) -> None:
    from door import serving

    hasty = door_settings.model_copy(update={"api_body_timeout_seconds": 0.3})
    with serving(hasty, door.database) as other:
        host, port = other.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(
                f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Authorization: Bearer {other.key()}\r\nContent-Length: 100\r\n\r\n{{".encode()
            )
            assert b" 408 " in client.recv(4096).split(b"\r\n")[0]


# --- Idempotency-Key ------------------------------------------------------------------------------


def test_the_same_key_with_the_same_body_gets_the_same_answer(own_door: Door) -> None:
    key = own_door.key()
    body = {"batch": [event(event_id=...), bad(), event()]}
    header = {"idempotency-key": "a1"}
    first = own_door.post(body, key, headers=header)
    assert counts(first.json()) == (2, 0, 1, 0)
    again = own_door.post(body, key, headers=header)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    own_door.load()
    assert own_door.post(body, key, headers=header).content == first.content
    assert own_door.waiting() == 0
    # Another sender's key of the same text is another key.
    assert own_door.post(body, headers=header).content != first.content


def test_a_key_with_another_body_is_refused(door: Door) -> None:
    key, header = door.key(), {"idempotency-key": "b1"}
    assert door.post(event(), key, headers=header).status_code == 202
    assert problem(door.post(event(), key, headers=header)) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("wrong", ["", "x" * 256, "two words"])
def test_what_cannot_be_an_idempotency_key_is_refused(door: Door, wrong: str) -> None:
    response = door.post(event(), headers={"idempotency-key": wrong})
    assert problem(response) == (400, "invalid_parameter")


def test_of_requests_at_once_with_one_key_one_is_stored(own_door: Door) -> None:
    key = own_door.key()
    for number in range(8):
        body, header = {"batch": [event(event_id=...)] * 30}, {"idempotency-key": f"c{number}"}

        def send(_: int, body: Any = body, header: Any = header) -> Any:
            return own_door.post(body, key, headers=header)

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(send, range(4)))
        stored = {a.content for a in answers if a.status_code == 202}
        assert len(stored) == 1
        for answer in answers:
            if answer.status_code != 202:
                assert problem(answer) == (409, "in_flight")
                assert answer.headers["retry-after"]
    assert own_door.waiting() == 8 * 30


def test_every_problem_has_a_body() -> None:
    for code, kind in PROBLEMS.items():
        document = json.loads(Problem(code, "detail").body())
        assert document["status"] == kind.status
        assert code in document["type"]
