"""May this sentence about a group be told? Leaks by rule, then an auditor's score.

Belongs here: judging text. Does not: counting people (grouping.py) or asking a model (naming.py).
Invariant: deterministic; nothing passes that holds a known identifier, structured personal data, a
name off the list of technologies, six words in a row of what somebody wrote, or speaks of one
person. In doubt a text fails: its group then gets a label from the closed lists.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from analytics_assets.insights.scrubbing.scrubber import Scrubber
from analytics_assets.insights.words.of_groups import PLAIN_WORDS, TECHNOLOGIES

PASSING_SCORE = 4
VERBATIM_WORDS = 6
MAX_WORDS = 45

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?", re.UNICODE)
_TOKEN = re.compile(r"\w+", re.UNICODE)
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+)(\w)")
_PLACEHOLDER = re.compile(r"\[[A-Z]+_\d+\]|\[\.\.\.\]")
_QUOTE = re.compile(r"[\"\u201c\u201d\u201e\u00ab\u00bb<>{}`@#\\]|\w/\w|(?:^|\s)['\u2018]\w")
_NUMBER = re.compile(
    r"\d|\b(?:hundreds?|thousands?|millions?|billions?|dozens?|januar|februar|april|june|july"
    r"|august|september|october|november|december|monday|tuesday|wednesday|thursday|friday"
    r"|saturday|sunday|yesterday|tomorrow)\w*",
    re.IGNORECASE,
)
# One person, however plain the words.
_ONE_PERSON = re.compile(
    r"\b(?:a|an|one|the|this|that|single|certain|particular)\s+(?:\w+\s+)?"
    r"(?:user|person|customer|client|developer|engineer|individual|member|manager|author|writer"
    r"|friend|colleague|employee|student|owner|founder|woman|man|girl|boy)\b(?!s)"
    r"|\b(?:i|me|my|mine|myself|he|him|his|she|her|hers|someone|somebody)\b"
    r"|\bwhose (?:wife|husband|mother|father|son|daughter|boss|child)",
    re.IGNORECASE,
)
_ENDINGS = (
    ("ies", "y"), ("es", ""), ("es", "e"), ("s", ""), ("ied", "y"), ("ed", ""), ("ed", "e"),
    ("ing", ""), ("ing", "e"), ("ly", ""), ("er", ""), ("er", "e"), ("ers", ""), ("ers", "e"),
    ("able", ""), ("able", "e"), ("ation", "e"), ("ations", "e"), ("ment", ""), ("ness", ""),
    ("ful", ""), ("less", ""), ("ity", ""), ("est", ""),
)  # fmt: skip
_PREFIXES = ("re", "un", "in", "non", "pre", "multi", "auto", "over", "mis", "dis")


@dataclass(frozen=True)
class Verdict:
    """``score`` 1 to 5; ``reason`` is a code, never a word of the text."""

    score: int
    reason: str = ""

    @property
    def passes(self) -> bool:
        return self.score >= PASSING_SCORE


GOOD = Verdict(5)


@dataclass(frozen=True)
class Leaks:
    """What the sentences about one group may not hold: made once for each group."""

    scrubber: Scrubber
    verbatim: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, scrubber: Scrubber, lines: Iterable[str]) -> Leaks:
        """``lines``: everything of the group that a model was shown."""
        return cls(scrubber, frozenset(gram for line in lines for gram in _grams(line)))

    def found(self, text: str) -> Verdict | None:
        """The first leak, or None."""
        if _PLACEHOLDER.search(text) or not self.scrubber.is_clean(text):
            return Verdict(1, "personal_data")
        if any(True for _ in unlisted_names(text)):
            return Verdict(2, "name")
        if any(gram in self.verbatim for gram in _grams(text)):
            return Verdict(2, "verbatim")
        return None


def audit_by_rules(text: str, common: Collection[str] = ()) -> Verdict:
    """The auditor without a model: everything must be plain words about many.

    ``common``: words that enough people of the group used for themselves (term_labels.py).
    """
    wrong = _shape(text)
    if wrong is not None:
        return wrong
    vouched = False
    for word in _WORD.findall(text):
        if word in TECHNOLOGIES or is_plain(word):
            continue
        if word.lower() not in common:
            return Verdict(3, "unknown_word")
        vouched = True
    return Verdict(4, "words_of_many") if vouched else GOOD


def _shape(text: str) -> Verdict | None:
    """What is wrong with the text whatever its words mean."""
    if not text.strip() or len(text.split()) > MAX_WORDS:
        return Verdict(2, "length")
    if _QUOTE.search(text) or _PLACEHOLDER.search(text):
        return Verdict(1, "quotation_or_identifier")
    if _NUMBER.search(text):
        return Verdict(2, "number")
    if any(True for _ in unlisted_names(text)):
        return Verdict(2, "name")
    return Verdict(2, "one_person") if _ONE_PERSON.search(text) else None


def unlisted_names(text: str) -> Iterator[str]:
    """Words with a capital that neither begin a sentence nor are widely known technologies.

    A word that begins one counts where it is no plain word.
    """
    starts = {match.start(1) for match in _SENTENCE_START.finditer(text)}
    for match in _WORD.finditer(text):
        word = match.group()
        if word in TECHNOLOGIES or word == word.lower() or word == "U":
            continue
        if match.start() in starts and word[1:] == word[1:].lower() and is_plain(word):
            continue
        yield word


def is_plain(word: str) -> bool:
    """Whether the word, or what it is formed from, names nobody."""
    lower = word.lower().replace("\u2019", "'").removesuffix("'s").removesuffix("n't")
    if lower in PLAIN_WORDS:
        return True
    for stem in _stems(lower):
        if stem in PLAIN_WORDS:
            return True
    return any(
        lower.startswith(prefix)
        and len(lower) > len(prefix) + 3
        and (
            lower[len(prefix) :] in PLAIN_WORDS
            or any(stem in PLAIN_WORDS for stem in _stems(lower[len(prefix) :]))
        )
        for prefix in _PREFIXES
    )


def _stems(word: str) -> Iterator[str]:
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) > 2:  # noqa: PLR2004
            stem = word[: -len(ending)]
            yield stem + instead
            if len(stem) > 3 and stem[-1] == stem[-2]:  # noqa: PLR2004 - running, stopped
                yield stem[:-1]


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words = [token.lower() for token in _TOKEN.findall(text)]
    for start in range(len(words) - VERBATIM_WORDS + 1):
        yield tuple(words[start : start + VERBATIM_WORDS])
