"""The dictionary of known identifiers and how its entries are recognised in text.

Belongs here: folding (case, diacritics, separators, leet), variants of names, e-mail addresses,
handles, repositories, organisations and hosts, and their lookup. Does not: shapes (patterns.py) or
masking (scrubber.py). Invariant: lookup is linear in the text whatever the number of entries,
because an alternation of ten thousand words would be tried word by word at every letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from analytics_assets.insights.scrubbing.patterns import Span
from analytics_assets.insights.words.ordinary import GENERIC_WORDS, ORDINARY_WORDS

LABELS = {
    "name": "NAME",
    "email": "EMAIL",
    "handle": "HANDLE",
    "repository": "REPO",
    "organisation": "ORG",
    "host": "HOST",
}
MIN_KEY_LETTERS = 3
MIN_NUMBER_DIGITS = 5
MIN_LEET_LETTERS = 4
MIN_PLURAL_LETTERS = 4
MIN_LOCAL_PART_LETTERS = 4
# A name of twenty letters in leet falls into as many pieces.
MAX_TOKENS = 24
PREFIX_LETTERS = 4

_MARKS = "\u0300-\u036f"
_WORDS = re.compile(rf"\d+|[^\W\d_](?:[^\W\d_]|[{_MARKS}])*")
_HIDDEN = re.compile(
    "[\x00\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_CAMEL = re.compile(r"(?<=[a-zà-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])")
_TIGHT = re.compile(r"[-_.'\u2019·@/+:~]{0,2}\Z")
_LOOSE = re.compile(r"[-_.'\u2019,\s]{0,3}\Z")
_SENTENCE_START = ".!?:\n\r>*-"
_TRANSLITERATED = str.maketrans(
    {
        "ø": "o",
        "đ": "d",
        "ł": "l",
        "æ": "ae",
        "œ": "oe",
        "\u0131": "i",
        "þ": "th",
        "ð": "d",
        "ħ": "h",
    }
)
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_LEET = str.maketrans({"o": "0", "i": "1", "l": "1", "e": "3", "a": "4", "s": "5", "t": "7"})
_LEGAL_FORM = re.compile(
    r"(?i)[\s,]+(?:inc|llc|ltd|limited|corp|corporation|co|company|gmbh|ag|se|sa|sas|sarl|bv|nv|oy"
    r"|ab|as|plc|kg|srl|spa|pty)\.?\s*\Z"
)


class Entry(NamedTuple):
    """What a key stands for; ``loose``: its words may be apart, ``ordinary``: also a plain word."""

    label: str
    identity: str
    loose: bool
    ordinary: bool


class _Token(NamedTuple):
    start: int
    end: int
    folded: str


def fold(word: str) -> str:
    """A word without case and diacritics."""
    if word.isascii():
        return word.lower()
    spread = unicodedata.normalize("NFKD", word.casefold().translate(_TRANSLITERATED))
    return "".join(ch for ch in spread if not unicodedata.combining(ch))


def clean(text: str) -> str:
    """Text in compatibility form without invisible characters, so that nothing hides behind them.

    Lone surrogates and NULs go too: neither JSON over HTTP nor Postgres would take them.
    """
    if text.isascii():
        return text.replace("\x00", "")
    # Hidden characters go first: between a letter and its accent they would stop the composition.
    return unicodedata.normalize("NFKC", _HIDDEN.sub("", text))


def tokens_of(text: str) -> list[_Token]:
    """The words and numbers of ``text``, camel case taken apart."""
    found: list[_Token] = []
    for match in _WORDS.finditer(text):
        word = match.group()
        start, end = match.span()
        if word[1:].islower() or word.isupper() or len(word) == 1 or not _CAMEL.search(word):
            found.append(_Token(start, end, fold(word)))
            continue
        for part in _CAMEL.split(word):
            found.append(_Token(start, start + len(part), fold(part)))
            start += len(part)
    return found


def vocabulary_of(texts: Iterable[str]) -> set[str]:
    """Every folded word of the texts: what a dictionary must know to scrub them."""
    return {token.folded for text in texts for token in tokens_of(clean(text))}


def _spaceless(text: str) -> bool:
    """Whether the script has no blanks between words or combines its letters: search it raw."""
    return any(
        unicodedata.category(ch) in ("Lo", "Mn", "Mc") and ord(ch) > 0x8FF  # noqa: PLR2004
        for ch in text
    )


@dataclass
class Lexicon:
    """Known identifiers, ready for lookup. Build it with ``Lexicon.of``."""

    entries: dict[str, Entry] = field(default_factory=dict)
    leet: dict[str, Entry] = field(default_factory=dict)
    literals: dict[str, dict[str, Entry]] = field(default_factory=dict)
    prefixes: set[str] = field(default_factory=set)
    longest: int = 0

    @classmethod
    def of(
        cls, identifiers: Iterable[tuple[str, str]], vocabulary: Collection[str] | None = None
    ) -> Lexicon:
        """A lexicon of ``(kind, value)`` pairs.

        With a ``vocabulary`` (see vocabulary_of) entries that cannot occur in it are left out, so
        that a page of texts needs little memory however many people are known.
        """
        lexicon = cls()
        for kind, value in identifiers:
            lexicon._add(kind, clean(value).strip(), vocabulary)
        return lexicon

    def __len__(self) -> int:
        return len(self.entries) + sum(len(group) for group in self.literals.values())

    def _add(self, kind: str, value: str, vocabulary: Collection[str] | None) -> None:
        label = LABELS.get(kind, "ID")
        if _spaceless(value):
            if len(value) > 1:
                entry = Entry(label, value, loose=False, ordinary=False)
                self.literals.setdefault(value[0], {})[value] = entry
            return
        if vocabulary is not None and not _may_occur(value, vocabulary):
            return
        for variant in _variants(label, value):
            self._add_key(variant)

    def _add_key(self, variant: _Variant) -> None:
        for text in dict.fromkeys((variant.text, variant.text.lower().translate(_GERMAN))):
            words = tokens_of(text)
            key = "".join(token.folded for token in words)
            least = MIN_NUMBER_DIGITS if key.isdigit() else MIN_KEY_LETTERS
            if len(key) < least or key in GENERIC_WORDS:
                continue
            entry = Entry(
                variant.label,
                variant.identity,
                loose=variant.loose and len(words) > 1,
                ordinary=len(words) == 1 and key in ORDINARY_WORDS,
            )
            self.entries.setdefault(key, entry)
            if len(key) >= MIN_LEET_LETTERS:
                self.leet.setdefault(key.translate(_LEET), entry)
            self.prefixes.add(key[:PREFIX_LETTERS].translate(_LEET))
            self.longest = max(self.longest, len(key))

    def spans(self, text: str) -> Iterator[Span]:
        """Every known identifier in a cleaned text, the longest at each word; may overlap."""
        if self.entries:
            yield from self._word_spans(text)
        if self.literals:
            yield from self._literal_spans(text)

    def _word_spans(self, text: str) -> Iterator[Span]:
        tokens = tokens_of(text)
        covered = 0
        begins: dict[str, bool] = {}
        for first, token in enumerate(tokens):
            # Most words begin no identifier: this spares them the look at the words that follow.
            may_begin = begins.get(token.folded)
            if may_begin is None:
                may_begin = begins[token.folded] = self._may_begin(token.folded)
            if not may_begin:
                continue
            best = self._longest_at(text, tokens, first)
            if best is None:
                continue
            end, entry = best
            if end <= covered:
                continue
            # Of a find that begins inside the one before, only the rest is new.
            start = next(t.start for t in islice(tokens, first, None) if t.start >= covered)
            yield Span(start, end, entry.label, entry.identity)
            covered = end

    def _longest_at(self, text: str, tokens: list[_Token], first: int) -> tuple[int, Entry] | None:
        best: tuple[int, Entry] | None = None
        key, tight, digits, letters = "", True, False, False
        for last in range(first, min(first + MAX_TOKENS, len(tokens))):
            token = tokens[last]
            if last > first:
                gap = text[tokens[last - 1].end : token.start]
                if gap and not _TIGHT.match(gap):
                    if not _LOOSE.match(gap):
                        break
                    tight = False
            key += token.folded
            if len(key) > self.longest + 1 or not self._may_begin(key):
                break
            numeric = token.folded.isdigit()
            digits, letters = digits or numeric, letters or not numeric
            entry = self._lookup(key, leet=digits and letters and tight)
            if entry is None or not (tight or entry.loose):
                continue
            if entry.ordinary and not _used_as_name(text, tokens[first].start, token.end):
                continue
            best = (token.end, entry)
        return best

    def _may_begin(self, key: str) -> bool:
        return len(key) < PREFIX_LETTERS or key[:PREFIX_LETTERS].translate(_LEET) in self.prefixes

    def _lookup(self, key: str, *, leet: bool) -> Entry | None:
        entry = self.entries.get(key)
        if entry is None and leet and len(key) >= MIN_LEET_LETTERS:
            entry = self.leet.get(key.translate(_LEET))
        if entry is None and key.endswith("s") and len(key) > MIN_PLURAL_LETTERS:
            entry = self.entries.get(key[:-1])
        return entry

    def _literal_spans(self, text: str) -> Iterator[Span]:
        for position, ch in enumerate(text):
            group = self.literals.get(ch)
            if group is None:
                continue
            for value, entry in group.items():
                if text.startswith(value, position):
                    yield Span(position, position + len(value), entry.label, entry.identity)


class _Variant(NamedTuple):
    label: str
    text: str
    identity: str
    loose: bool


def _variants(label: str, value: str) -> Iterator[_Variant]:
    """The forms in which people write an identifier; each entity keeps one identity."""
    value = value.removeprefix("@")
    identity = fold(value)
    yield _Variant(label, value, identity, loose=label in ("NAME", "ORG"))
    if label == "NAME":
        yield from _name_variants(value, identity)
    elif label == "EMAIL":
        local = value.split("@", 1)[0].split("+", 1)[0]
        if len(local) >= MIN_LOCAL_PART_LETTERS:
            yield _Variant("HANDLE", local, fold(local), loose=True)
    elif label == "REPO":
        for part in re.split(r"[/:]", value.removesuffix(".git"))[-2:]:
            if len(part) >= MIN_LOCAL_PART_LETTERS:
                yield _Variant(label, part, fold(part), loose=False)
    elif label == "ORG":
        short = _LEGAL_FORM.sub("", value)
        if short != value:
            yield _Variant(label, short, identity, loose=True)
    elif label == "HOST":
        first = value.split(".", 1)[0]
        if any(ch.isdigit() for ch in first):
            yield _Variant(label, first, fold(first), loose=False)


def _name_variants(value: str, identity: str) -> Iterator[_Variant]:
    words = [word for word in re.split(r"[\s,]+", value) if len(word.strip(".")) > 1]
    if len(words) < 2:  # noqa: PLR2004 - a single name has no order to vary
        return
    first, last = words[0], words[-1]
    for text in (f"{first} {last}", f"{last} {first}", f"{first[0]} {last}", f"{first} {last[0]}"):
        if len(fold(text).replace(" ", "")) > MIN_LEET_LETTERS:
            yield _Variant("NAME", text, identity, loose=True)
    for word in words:
        yield _Variant("NAME", word, fold(word), loose=False)


def _may_occur(value: str, vocabulary: Collection[str]) -> bool:
    words = tokens_of(value) + tokens_of(value.lower().translate(_GERMAN))
    joined = "".join(token.folded for token in tokens_of(value))
    return joined in vocabulary or any(
        token.folded in vocabulary or token.folded + "s" in vocabulary for token in words
    )


def _used_as_name(text: str, start: int, end: int) -> bool:
    """Whether a word that is also ordinary ("will", "page") is written like a name here."""
    word = text[start:end]
    if not word[0].isupper() or word.isupper():
        return False
    before = text[max(0, start - 8) : start].rstrip(" \t\"'(")[-1:]
    return bool(before) and before not in _SENTENCE_START
