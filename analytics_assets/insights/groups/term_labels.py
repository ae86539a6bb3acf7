"""Words that tell a group from the others, by class-based TF-IDF: its label where nobody named it.

Belongs here: counting words and choosing them. Does not: whether a label may be told (gate.py).
Invariant: pure; a word counts by people, never by how often one of them said it, and one that fewer
than FLOOR_PEOPLE of the group used is never chosen.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from analytics_assets.insights.floor import FLOOR_PEOPLE
from analytics_assets.insights.words.of_groups import FUNCTION_WORDS

WORDS_IN_LABEL = 3
_WORD = re.compile(r"[a-z]{3,}")


def term_labels(groups: Sequence[Sequence[tuple[str, str]]]) -> list[str]:
    """A label for every group of ``(person, line)``: its words, the most telling first; may be
    empty.
    """
    people = [_people_by_word(group) for group in groups]
    everywhere: Counter[str] = Counter()
    for counted in people:
        everywhere.update(counted)
    average = sum(everywhere.values()) / max(len(groups), 1)
    labels = []
    for counted in people:
        total = sum(counted.values()) or 1
        scores = {
            word: n / total * math.log(1 + average / everywhere[word])
            for word, n in counted.items()
            if n >= FLOOR_PEOPLE
        }
        best = sorted(scores, key=lambda word: (-scores[word], word))[:WORDS_IN_LABEL]
        labels.append(", ".join(best))
    return labels


def _people_by_word(group: Sequence[tuple[str, str]]) -> Counter[str]:
    used = {
        (person, word)
        for person, line in group
        for word in _WORD.findall(line.lower())
        if word not in FUNCTION_WORDS
    }
    return Counter(word for _, word in used)
