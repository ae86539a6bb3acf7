"""Words of everyday and technical English, which an answer may use whoever wrote them.

Belongs here: the list (``plain.txt``: base forms that occur in Python's language reference,
in this project's pages, or in everyday talk) and how endings are taken off. Invariant: a word that
is not on it may still stand in an answer, unless a conversation brought it in.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

_ENDINGS = (
    "s", "es", "ed", "d", "ing", "ly", "er", "ers", "or", "ion", "ions", "ment", "ments", "able",
    "ation", "ations", "ness", "r", "ally", "al", "y",
)  # fmt: skip
_SHORTEST = 3


@cache
def _words() -> frozenset[str]:
    text = files(__package__).joinpath("plain.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


def is_plain(word: str) -> bool:
    """Whether a lower-case word, with or without its ending, is on the list."""
    known = _words()
    return word in known or any(base in known for base in _bases(word))


def _bases(word: str) -> Iterator[str]:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            stem = word[: -len(ending)]
            yield stem
            yield stem + "e"
            if stem[-1] == stem[-2]:
                yield stem[:-1]
            if stem.endswith("i"):
                yield stem[:-1] + "y"
