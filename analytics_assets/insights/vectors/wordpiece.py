"""BERT's uncased WordPiece: text to the token ids that the embedding model was trained on.

Belongs here: splitting, accents, the greedy longest match. Does not: the model (embedding.py).
Invariant: pure; the same ids as the published tokenizer of all-MiniLM-L6-v2. Written here because
the package that does it in Rust brings a client of a model hub, and nothing here may download.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Of bert-base-uncased (Apache-2.0): the number of a line is the id of its piece.
VOCABULARY_FILE = Path(__file__).with_name("minilm_vocabulary.txt")
MAX_TOKENS = 128
MAX_WORD_LETTERS = 100
UNKNOWN, FIRST, LAST = "[UNK]", "[CLS]", "[SEP]"
_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_ASCII_MARKS = ((33, 47), (58, 64), (91, 96), (123, 126))


@dataclass
class WordPiece:
    """A tokenizer; remembers the pieces of words it has seen."""

    ids: Mapping[str, int]
    _seen: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def shipped(cls) -> WordPiece:
        lines = VOCABULARY_FILE.read_text(encoding="utf-8").split("\n")
        return cls({piece: number for number, piece in enumerate(lines[:-1])})

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` between the two marks, at most MAX_TOKENS in all."""
        found: list[int] = []
        for word in words_of(text):
            pieces = self._seen.get(word)
            if pieces is None:
                pieces = self._seen[word] = self._pieces(word)
            found.extend(pieces)
            if len(found) >= MAX_TOKENS - 2:
                break
        return [self.ids[FIRST], *found[: MAX_TOKENS - 2], self.ids[LAST]]

    def _pieces(self, word: str) -> tuple[int, ...]:
        unknown = (self.ids[UNKNOWN],)
        if len(word) > MAX_WORD_LETTERS:
            return unknown
        found: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = self.ids.get(prefix + word[start:end])
                if piece is not None:
                    found.append(piece)
                    start = end
                    break
            else:
                return unknown
        return tuple(found)


def words_of(text: str) -> Sequence[str]:
    """Lower-case words without accents; every mark and every Chinese character is a word."""
    # Letters that fall into several when lowered or stripped stay together, so case goes last.
    plain = text if text.isascii() else _without_accents(text)
    spaced: list[str] = []
    for ch in plain.lower():
        code = ord(ch)
        if code in (0, 0xFFFD) or _is_control(ch):
            continue
        if ch.isspace():
            spaced.append(" ")
        elif _is_mark(ch, code) or any(low <= code <= high for low, high in _CJK):
            spaced.append(f" {ch} ")
        else:
            spaced.append(ch)
    return "".join(spaced).split()


def _without_accents(text: str) -> str:
    spread = unicodedata.normalize("NFD", text)
    return "".join(ch for ch in spread if unicodedata.category(ch) != "Mn")


def _is_control(ch: str) -> bool:
    return ch not in "\t\n\r" and unicodedata.category(ch) in ("Cc", "Cf", "Co", "Cn", "Cs")


def _is_mark(ch: str, code: int) -> bool:
    ascii_mark = any(low <= code <= high for low, high in _ASCII_MARKS)
    return ascii_mark or unicodedata.category(ch).startswith("P")
