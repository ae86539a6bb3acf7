"""The scrubber of a run: the dictionary read from ``vault``, and names that a layer alone knows.

Belongs here: reading identifiers and deciding how many are kept in memory. Does not: detectors
(lexicon.py, patterns.py, ner.py), sentences of answers (asking/wording.py). Invariant: a text is
masked with every identifier known at that moment, of all users, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from analytics_assets.insights.scrubbing.lexicon import Lexicon, vocabulary_of
from analytics_assets.insights.scrubbing.scrubber import NameFinder, Scrubber

# Above this the dictionary is read again for each page, and only the entries the page can hold.
RESIDENT_IDENTIFIERS = 200_000


@dataclass
class Scrubbers:
    """Makes the scrubber of a page of texts."""

    conn: psycopg.Connection[Any]
    ner: NameFinder | None = None
    _resident: Lexicon | None = field(default=None, init=False)

    def of(self, texts: Iterable[str]) -> Scrubber:
        """A scrubber good for ``texts``, and for words out of them; part of the caller's
        transaction.
        """
        if self.ner is not None:
            texts = list(texts)
            self.ner.prime(texts)
        if self._resident is not None:
            return Scrubber(self._resident, self.ner)
        row = self.conn.execute("select count(*) from vault.known_identifiers").fetchone()
        resident = row is not None and row[0] <= RESIDENT_IDENTIFIERS
        words = None if resident else vocabulary_of(texts)
        with self.conn.cursor(name="identifiers") as cursor:
            cursor.itersize = 10_000
            # Ordered, so that of two owners of one name the same one decides its placeholder.
            cursor.execute(
                "select kind, value from vault.known_identifiers order by user_id, kind, value"
            )
            lexicon = Lexicon.of(cursor, words)
        if resident:
            self._resident = lexicon
        return Scrubber(lexicon, self.ner)
