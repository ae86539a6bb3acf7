"""What an answer's sentences may hold: general words about U, and nothing a text talked it into.

Belongs here: checks and masks of the sentences a model words itself. Does not: the shape of an
answer (asker.py) or identifiers (scrubbing/scrubber.py). Invariant: a sentence is kept only where
it repeats neither the instructions nor the conversation and speaks to nobody; a capitalised word
off the list of technologies, and an unusual word the conversation brought in, are masked; else a
sentence made of the answer's own enumerations stands in.
"""

from __future__ import annotations

import base64
import codecs
import re
import unicodedata
from typing import TypeVar

from pydantic import BaseModel

from analytics_assets.insights.asking.stage import CANARY, Stage
from analytics_assets.insights.scrubbing.lexicon import clean, fold
from analytics_assets.insights.scrubbing.scrubber import Scrubber
from analytics_assets.insights.words.plain import is_plain
from analytics_assets.insights.words.technologies import is_technology

Answer = TypeVar("Answer", bound=BaseModel)

MASK = "[WORD]"
MAX_MASKS = 2
# Words in a row: five of a conversation are a quotation, eight of the instructions a leak.
QUOTED_WORDS = 5
LEAKED_WORDS = 8
MAX_WORD_LETTERS = 24
# "it", "dl", "k8": too short to name anybody.
SHORT_LETTERS = 2

_WORD = re.compile(r"[^\W_]+(?:['\u2019.+#-][^\W_]+)*[+#]*")
_PLACEHOLDER = re.compile(r"\[[A-Z]{2,12}_\d{1,3}\]|\[WORD\]")
_UNWANTED = re.compile(r"[<>{}|\\`=*~^@$\x00-\x1f\x7f]|://|\]\(")
# A summary tells of U; whoever says "you" or "I" talks to its reader.
_TALK = frozenset("you your yours yourself i me my mine we our ours".split())  # noqa: SIM905
_ORDINAL = re.compile(r"(?:v?\d+(?:\.\d+)*(?:st|nd|rd|th|k|m|x|d|h|s|ms|gb|mb|kb|tb)?)")
# What a sentence may begin with; any other capital letter has to be on a list.
_OPENERS = frozenset(
    """
    a after all also although an and another as at because before both but by despite due during
    each even finally first for from generally he however if in instead it later most mostly no not
    of often on once one only or other overall rather several she since so some still that the
    their then there these they this those though through to two under unless until user users
    using was were when where whether which while who why with without yet u
    """.split()  # noqa: SIM905 - one word a string would not be readable
)


def worded(answer: Answer, stage: Stage, text: str, scrubber: Scrubber) -> Answer:
    """The answer about ``text`` (scrubbed, as it was sent) with sentences fit to be kept.

    Of a stage without stand-ins only names are masked.
    """
    kept: dict[str, str] = {}
    for name in stage.free_text:
        sentence: str | None = getattr(answer, name)
        if stage.stand_in is None:
            kept[name] = scrubber.scrub(str(sentence))
            continue
        sentence = fit(str(sentence), stage, text, scrubber)
        kept[name] = stage.stand_in(answer).get(name, "") if sentence is None else sentence
    # Validated again: a placeholder can be longer than the name it stands for.
    return type(answer).model_validate({**answer.model_dump(), **kept})


def fit(sentence: str, stage: Stage, text: str, scrubber: Scrubber) -> str | None:
    """The sentence with what may not be told masked, or None where it may not be kept at all."""
    cleaned = clean(sentence).strip()
    if not cleaned:
        return ""
    if _UNWANTED.search(cleaned) or _foreign_script(cleaned) or leaks_canary(cleaned, CANARY):
        return None
    words = _words(cleaned)
    if _TALK.intersection(words) or _repeats(words, _words(stage.system), LEAKED_WORDS):
        return None
    said = _words(text) if stage.reads_conversations else []
    if said and _repeats(words, said, QUOTED_WORDS):
        return None
    masked = _mask(scrubber.scrub(cleaned), frozenset(said))
    return None if masked.count(MASK) > MAX_MASKS else masked


def leaks_canary(text: str, canary: str) -> bool:
    """Whether a text holds the canary: as it is, spaced, backwards, in ROT13, hex or base64."""
    if not canary:
        return False
    letters = _letters(text)
    bare = _letters(canary)
    forms = (bare, bare[::-1], _letters(codecs.encode(canary, "rot13")), canary.encode().hex())
    if any(form in letters for form in forms):
        return True
    packed = re.sub(r"\s", "", text)
    return any(_base64_core(canary, offset) in packed for offset in range(3))


def _base64_core(canary: str, offset: int) -> str:
    """What base64 makes of the canary whatever stands before it (``offset`` bytes, mod 3)."""
    coded = base64.b64encode(b"\0" * offset + canary.encode() + b"\0" * 3).decode()
    first = -(-offset * 4 // 3) if offset else 0
    last = (offset + len(canary)) * 4 // 3
    return coded[first + bool(offset) : last - 1]


def _letters(text: str) -> str:
    return "".join(ch for ch in fold(clean(text)) if ch.isalnum())


def _words(text: str) -> list[str]:
    return [fold(word) for word in _WORD.findall(clean(text))]


def _repeats(words: list[str], source: list[str], length: int) -> bool:
    """Whether ``length`` words in a row, or all of a shorter sentence, stand in the source."""
    length = min(length, len(words))
    runs = {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}
    return any(tuple(source[i : i + length]) in runs for i in range(len(source) - length + 1))


def _mask(sentence: str, said: frozenset[str]) -> str:
    pieces: list[str] = []
    position = 0
    for match in _PLACEHOLDER.finditer(sentence):
        pieces += (_masked_words(sentence, position, match.start(), said), match.group())
        position = match.end()
    pieces.append(_masked_words(sentence, position, len(sentence), said))
    return "".join(pieces)


def _masked_words(sentence: str, start: int, end: int, said: frozenset[str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        begins = not sentence[: start + match.start()].rstrip(" \"'(").rstrip() or (
            sentence[: start + match.start()].rstrip()[-1:] in ".!?:"
        )
        return match.group() if _may_stand(match.group(), said, begins=begins) else MASK

    return _WORD.sub(replaced, sentence[start:end])


def _may_stand(word: str, said: frozenset[str], *, begins: bool) -> bool:
    folded = fold(word)
    if len(word) > MAX_WORD_LETTERS:
        return False
    if is_technology(word) or _ORDINAL.fullmatch(folded):
        return True
    parts = re.split(r"['\u2019.+#-]", folded)
    if any(ch.isdigit() for ch in word):
        return False
    if any(ch.isupper() for ch in word):
        ordinary = parts[0] in _OPENERS or (is_plain(parts[0]) and parts[0] not in said)
        return parts[0] == "u" or (begins and word[1:].islower() and ordinary)
    return folded not in said or all(len(part) <= SHORT_LETTERS or is_plain(part) for part in parts)


def _foreign_script(text: str) -> bool:
    return any(
        ch.isalpha() and not ch.isascii() and not unicodedata.name(ch, "").startswith("LATIN")
        for ch in text
    )
