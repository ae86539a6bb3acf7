"""``insights.facet_vectors``: a vector for each sentence of each user, made once.

Belongs here: looking up, making what is missing, forgetting. Does not: the model (embedding.py).
Invariant: a vector is kept under an HMAC of the user's own and goes with the user's consent; the
user's first words are masked before they are embedded, and never kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from analytics_assets.insights.asking.cache_key import text_digest
from analytics_assets.insights.asking.user_keys import user_keys
from analytics_assets.insights.consent import CONSENTING
from analytics_assets.insights.conversations.selection import Selection
from analytics_assets.insights.groups.rows import Facet, Kind
from analytics_assets.insights.scrubbing.dictionary import Scrubbers
from analytics_assets.insights.vectors.embedding import DIMENSIONS
from analytics_assets.insights.vectors.workshop import work
from analytics_assets.windows import Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 20_000
OPENING_CHARS = 120
LEAST_OPENING_CHARS = 24
_PLACEHOLDER = re.compile(r"\[[A-Z]+_\d+\]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_FORGET = sql.SQL("""
with candidates as (select distinct user_id from insights.facet_vectors),
{consenting}
delete from insights.facet_vectors as v
where v.user_id not in (select user_id from consenting)
    or not exists (select from insights.conversation_facets as f where f.user_id = v.user_id)
""").format(consenting=CONSENTING)
_KNOWN = """
select v.user_id, v.text_digest, v.vector
from insights.facet_vectors as v
join unnest(%s::text[], %s::text[]) as wanted (user_id, text_digest) using (user_id, text_digest)
where v.embedder = %s
"""
_KEEP = """
insert into insights.facet_vectors (user_id, text_digest, embedder, vector, day)
values (%s, %s, %s, %s, %s) on conflict do nothing
"""
Key = tuple[str, str]


@dataclass(frozen=True)
class Placed:
    """One vector a facet, in their order, and what making them took."""

    vectors: NDArray[np.float16]
    made: int
    peak_mib: int


@dataclass
class Vectors:
    """The vectors of a run's facets."""

    conn: psycopg.Connection[Any]
    now: datetime
    embedder: str

    def forget(self) -> int:
        """Delete the vectors of users who no longer consent or whose facets are gone."""
        return self.conn.execute(_FORGET, {"now": self.now}).rowcount

    def of(self, kind: Kind, facets: Sequence[Facet]) -> Placed:
        """Vectors of the facets' sentences; makes and keeps what is missing, in blocks."""
        import numpy as np

        made = peak = 0
        vectors = np.zeros((len(facets), DIMENSIONS), dtype=np.float16)
        for start in range(0, len(facets), BLOCK):
            block = facets[start : start + BLOCK]
            keys = self._keys(kind, block)
            known = self._known(keys)
            missing = [place for place, key in enumerate(keys) if key not in known]
            if missing:
                texts = self._texts(kind, [block[place] for place in missing])
                days = [block[place].day for place in missing]
                count, peak = self._make([keys[p] for p in missing], days, texts, known, peak)
                made += count
            for place, key in enumerate(keys):
                vectors[start + place] = np.frombuffer(known[key], dtype="<f2")
        return Placed(vectors, made, peak)

    def _keys(self, kind: Kind, facets: Sequence[Facet]) -> list[Key]:
        keys = user_keys(self.conn, sorted({f.user_id for f in facets if not f.opens(kind)}))
        return [
            (f.user_id, f"{f.topic}:{f.text_digest}")
            if f.opens(kind)
            else (f.user_id, text_digest(f.placed_by(kind), keys[f.user_id]))
            for f in facets
        ]

    def _known(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        wanted = sorted(set(keys))
        rows = self.conn.execute(
            _KNOWN, [[u for u, _ in wanted], [d for _, d in wanted], self.embedder]
        )
        return {(user_id, digest): bytes(vector) for user_id, digest, vector in rows}

    def _make(
        self,
        keys: Sequence[Key],
        days: Sequence[date],
        texts: Sequence[str],
        known: dict[Key, bytes],
        peak: int,
    ) -> tuple[int, int]:
        # Many people share a sentence that rules made.
        distinct = list(dict.fromkeys(texts))
        done = work("embed", {"model": self.embedder, "texts": distinct})
        found = {
            text: row.astype("<f2").tobytes()
            for text, row in zip(distinct, done.arrays["vectors"], strict=True)
        }
        known.update(zip(keys, (found[text] for text in texts), strict=True))
        with self.conn.cursor() as cursor:
            cursor.executemany(
                _KEEP,
                [
                    (*key, self.embedder, found[text], day)
                    for key, text, day in zip(keys, texts, days, strict=True)
                ],
            )
        return len(distinct), max(peak, done.peak_mib)

    def _texts(self, kind: Kind, facets: Sequence[Facet]) -> list[str]:
        opened = self._openings([f for f in facets if f.opens(kind)])
        return [
            f.placed_by(kind, opened.get((f.day, f.user_id, f.conversation_id), "")) for f in facets
        ]

    def _openings(self, facets: Sequence[Facet]) -> dict[tuple[date, str, str], str]:
        by_day: dict[date, set[str]] = defaultdict(set)
        for facet in facets:
            by_day[facet.day].add(facet.user_id)
        found: dict[tuple[date, str, str], str] = {}
        if not by_day:
            return found
        scrubbers = Scrubbers(self.conn)
        whole = Window(min(by_day), max(by_day) + timedelta(days=1))
        selection = Selection.of(self.conn, whole, self.now)
        for day, users in sorted(by_day.items()):
            said = [
                (one.user_id, one.conversation_id, text)
                for one in selection.conversations(self.conn, day, sorted(users))
                if (text := next((m.text for m in one.messages if m.role == "user"), ""))
            ]
            scrubber = scrubbers.of(text for *_, text in said)
            for user_id, conversation_id, text in said:
                found[day, user_id, conversation_id] = opening(scrubber.scrub(text[:1000]))
        return found


def opening(text: str) -> str:
    """The first sentence or two of masked words, without the masks."""
    taken = ""
    for sentence in _SENTENCE.split(" ".join(_PLACEHOLDER.sub(" ", text).split())):
        taken = f"{taken} {sentence}".strip()
        if len(taken) >= LEAST_OPENING_CHARS:
            break
    return taken[:OPENING_CHARS]
