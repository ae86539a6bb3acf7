"""Finding the records of a batch that a JSON reader refuses as a whole.

Belongs here: cutting at the commas of the batch, without recursion. Does not: reading records.
Invariant: what is cut is one balanced JSON value each; a body whose other parts are wrong is not
cut at all.

A lone surrogate, as text cut in the middle of an emoji has, or thousands of brackets make readers
refuse the whole body; the neighbours of such an event are not to suffer for it.
"""

from __future__ import annotations

import json
import re
from typing import Final

_TOKEN: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\.)*+"|[\[\]{},:]|[^\s"\[\]{},:]++')
_CLOSES: Final = {b"]": b"[", b"}": b"{"}
# Stands for the batch while the rest of the body is read.
_PLACE: Final = b"[]"


def split_batch(body: bytes) -> tuple[list[bytes], bytes | None] | None:
    """Records and ``sent_at`` of ``{"sent_at": ..., "batch": [...]}``; None for anything else."""
    found = _find_batch(body)
    if found is None:
        return None
    begin, end, records = found
    try:
        rest = json.loads(body[:begin] + _PLACE + body[end:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(rest, dict) or not all(_is_one_value(record) for record in records):
        return None
    sent_at = rest.get("sent_at")
    return records, None if sent_at is None else json.dumps(sent_at).encode()


def is_record(body: bytes) -> bool:
    """Whether a body that is no batch is one record all the same, as with a lone surrogate."""
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _find_batch(body: bytes) -> tuple[int, int, list[bytes]] | None:
    """Where the batch begins and ends, and what stands between its commas."""
    open_ones: list[bytes] = []
    records: list[bytes] = []
    begin = start = -1
    before: list[bytes] = [b"", b""]
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token in {b"[", b"{"}:
            if len(open_ones) == 1 and before == [b'"batch"', b":"] and begin < 0:
                begin, start = match.start(), match.end()
            open_ones.append(token)
        elif token in _CLOSES:
            if not open_ones or open_ones.pop() != _CLOSES[token]:
                return None
            if len(open_ones) == 1 and begin >= 0:
                last = body[start : match.start()].strip()
                return begin, match.end(), [*records, last] if last or records else records
        elif token == b"," and begin >= 0 and len(open_ones) == 2:  # noqa: PLR2004
            records.append(body[start : match.start()].strip())
            start = match.end()
        before = [before[1], token]
    return None


def _is_one_value(record: bytes) -> bool:
    try:
        json.loads(record)
    except RecursionError:
        # Balanced, which is how it was cut.
        return True
    except ValueError:
        return False
    return True
