"""Masking: known identifiers and structured personal data become typed placeholders.

Belongs here: joining the spans of lexicon.py, patterns.py and ner.py and numbering placeholders.
Does not: what counts as personal. Invariant: all detectors read the same original text and
overlapping finds are masked as one stretch, so that no layer hides a remainder from the next; pure
and deterministic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from analytics_assets.insights.scrubbing.lexicon import Lexicon, clean
from analytics_assets.insights.scrubbing.patterns import Span, structured_spans

# Part of every cache key: a new scrubber asks anew, because the text it sends is another.
SCRUBBER_VERSION = "1"


@dataclass
class Placeholders:
    """Numbers given out so far: one thing keeps one number within a prompt."""

    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def name(self, label: str, identity: str) -> str:
        number = self.numbers.get((label, identity))
        if number is None:
            number = self.counts.get(label, 0) + 1
            self.counts[label] = number
            self.numbers[label, identity] = number
        return f"[{label}_{number}]"


class NameFinder(Protocol):
    """A layer that knows names by how they are used; see ner.py."""

    @property
    def version(self) -> str: ...

    def prime(self, texts: Iterable[str]) -> None: ...

    def find(self, text: str) -> Iterable[Span]: ...


@dataclass(frozen=True)
class Scrubber:
    """Masks text against one lexicon; safe to share between threads."""

    lexicon: Lexicon = field(default_factory=Lexicon)
    ner: NameFinder | None = None

    @property
    def version(self) -> str:
        """Which layers mask: part of every cache key."""
        return version_with(self.ner)

    def scrub(self, text: str, placeholders: Placeholders | None = None) -> str:
        """``text`` with every find replaced by ``[LABEL_n]``; pass one book for a whole prompt."""
        book = placeholders if placeholders is not None else Placeholders()
        cleaned = clean(text)
        pieces: list[str] = []
        position = 0
        for span in merge(self._spans(cleaned)):
            pieces.append(cleaned[position : span.start])
            pieces.append(book.name(span.label, span.identity))
            position = span.end
        pieces.append(cleaned[position:])
        return "".join(pieces)

    def is_clean(self, text: str) -> bool:
        """Whether nothing in ``text`` would be masked."""
        return not any(True for _ in self._spans(clean(text)))

    def _spans(self, cleaned: str) -> Iterable[Span]:
        yield from self.lexicon.spans(cleaned)
        yield from structured_spans(cleaned)
        if self.ner is not None:
            yield from self.ner.find(cleaned)


def version_with(ner: NameFinder | None) -> str:
    return SCRUBBER_VERSION if ner is None else f"{SCRUBBER_VERSION}+{ner.version}"


def merge(spans: Iterable[Span]) -> list[Span]:
    """Overlapping spans joined into one that carries the label of its longest part."""
    merged: list[Span] = []
    longest = 0
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if merged and span.start < merged[-1].end:
            current = merged[-1]
            length = span.end - span.start
            label, identity = current.label, current.identity
            if length > longest:
                label, identity, longest = span.label, span.identity, length
            merged[-1] = Span(current.start, max(current.end, span.end), label, identity)
        else:
            merged.append(span)
            longest = span.end - span.start
    return merged
