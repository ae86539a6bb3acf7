"""Texts of Dagster's records, with the key they stand under, cut into what a dictionary can know.

Belongs here: walking JSON, cutting. Does not: reading records or recognising (traces.py).
Invariant: every string of a record comes out, whatever its shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

# Long texts are looked at in pieces: each word is compared with its neighbours.
WORDS_AT_ONCE: Final = 32
LONGEST_NAME: Final = 4  # words, as in vault.forbidden_values
_BETWEEN: Final = re.compile(r"[\s\"'`,;=<>(){}\[\]\\|]+")
_INNER: Final = re.compile(r"[/:]+")
_TELLING: Final = re.compile(r"[^\W\d_]|[.:]")
_NAMED: Final = ("metadata", "tags")
# As Dagster writes it; inside a string, the second quote would have a backslash.
_TIME: Final = re.compile(r'"timestamp": [0-9.e+-]+')


class Text(NamedTuple):
    """A string, and what it stands under (such as ``metadata key x``), empty where nothing."""

    key: str
    value: str


def texts_of(node: Any, key: str = "") -> Iterator[Text]:
    """Every string of a record read from JSON."""
    if isinstance(node, str):
        yield Text(key, node)
    elif isinstance(node, list):
        for item in node:
            yield from texts_of(item, key)
    elif isinstance(node, dict):
        label = node.get("label")
        if isinstance(label, str) and "entry_data" in node:
            yield from texts_of(node["entry_data"], f"metadata key {label}")
            return
        for name, value in node.items():
            if name in _NAMED and isinstance(value, dict):
                for inner, item in value.items():
                    yield from texts_of(item, f"{name.removesuffix('s')} key {inner}")
                    yield Text(f"{name.removesuffix('s')} key {inner}", "")
            elif name != "__class__":
                yield Text(key, name)
                yield from texts_of(value, key or ("run config" if name == "run_config" else ""))


def without_its_day(body: str, partition: str | None) -> str:
    """An event's JSON less its time and its partition, whose text is to be looked at by itself.

    A backfill writes an event for each asset and day, alike but for these: 20,000 of a year come
    down to 360.
    """
    if partition:
        body = body.replace(f'"{partition}"', '""')
    return _TIME.sub('"timestamp": 0', body)


def phrases_of(text: str) -> Iterator[str]:
    """The text in pieces of a few dozen words that overlap by a name's length, and parts of words.

    Parts come by themselves: a name may stand in a path or an address as well.
    """
    words = [word for word in _BETWEEN.split(text) if _TELLING.search(word)]
    yield from _pieces(words, overlap=LONGEST_NAME - 1)
    parts = [part for word in words if _INNER.search(word) for part in _INNER.split(word) if part]
    yield from _pieces(parts, overlap=0)


def _pieces(words: list[str], *, overlap: int) -> Iterator[str]:
    step = WORDS_AT_ONCE - overlap
    for start in range(0, max(1, len(words) - overlap), step):
        if piece := words[start : start + WORDS_AT_ONCE]:
            yield " ".join(piece)
