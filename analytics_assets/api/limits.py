"""Reading a body: how large, how slow and how compressed it may be.

Belongs here: bytes in, bytes out. Does not: what they mean. Invariant: no more than the limits is
ever held in memory, however small the compressed body is.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from analytics_assets.api.problems import Problem

MAX_COMPRESSED_BYTES: Final = 1 << 20
MAX_BODY_BYTES: Final = 5 << 20
MAX_EVENTS: Final = 1_000
MAX_EVENT_BYTES: Final = 32 << 10
# Zstandard streams may ask for gigabytes before their first byte.
_MAX_WINDOW: Final = 8 << 20
ENCODINGS: Final = ("gzip", "zstd")


async def read_body(request: Request, timeout_seconds: float) -> bytes:
    """The body, decompressed.

    Raises Problem: ``body_timeout``, ``body_too_large``, ``unsupported_media_type``,
    ``invalid_encoding``.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {*ENCODINGS, "identity", ""}:
        raise Problem(
            "unsupported_media_type",
            f"Content-Encoding must be {' or '.join(ENCODINGS)}, or be left out",
            headers={"Accept-Encoding": ", ".join(ENCODINGS)},
        )
    compressed = encoding in ENCODINGS
    limit = MAX_COMPRESSED_BYTES if compressed else MAX_BODY_BYTES
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:12]) > limit:
        raise _too_large(compressed)
    try:
        async with asyncio.timeout(timeout_seconds):
            body = await _receive(request, limit, compressed=compressed)
    except TimeoutError:
        raise Problem(
            "body_timeout",
            f"the body must arrive within {timeout_seconds:g} seconds; send smaller batches",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise Problem("body_timeout", "the body broke off") from None
    return inflate(body, encoding) if compressed else body


async def _receive(request: Request, limit: int, *, compressed: bool) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(compressed)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def inflate(body: bytes, encoding: str) -> bytes:
    """Decompress at most ``MAX_BODY_BYTES``. Raises Problem."""
    try:
        inflated, complete = _gunzip(body) if encoding == "gzip" else _unzstd(body)
    except _errors():
        raise _broken(encoding) from None
    if len(inflated) > MAX_BODY_BYTES:
        raise _too_large(compressed=False)
    if not complete:
        raise _broken(encoding)
    return inflated


def _gunzip(body: bytes) -> tuple[bytes, bool]:
    stream = zlib.decompressobj(wbits=31)
    inflated = stream.decompress(body, MAX_BODY_BYTES + 1)
    return inflated, stream.eof and not stream.unused_data


def _unzstd(body: bytes) -> tuple[bytes, bool]:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(body)
    inflated = reader.read(MAX_BODY_BYTES + 1)
    # A frame that breaks off reads as a shorter one: compressing is what tells it.
    complete = True
    if len(inflated) <= MAX_BODY_BYTES:
        declared = zstandard.frame_content_size(body)
        if declared >= 0:
            complete = declared == len(inflated)
        else:
            probe = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
            probe.decompress(body)
            complete = probe.eof
    return inflated, complete


def _errors() -> tuple[type[Exception], ...]:
    import zstandard

    error: Any = zstandard.ZstdError
    return (zlib.error, error)


def _broken(encoding: str) -> Problem:
    return Problem("invalid_encoding", f"the body is not one complete {encoding} stream")


def _too_large(compressed: bool) -> Problem:
    if compressed:
        return Problem(
            "body_too_large",
            f"a compressed body may have {MAX_COMPRESSED_BYTES} bytes; send smaller batches",
        )
    return Problem(
        "body_too_large",
        f"a body may have {MAX_BODY_BYTES} bytes once decompressed; send smaller batches",
    )
