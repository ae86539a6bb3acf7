"""How much of what is planted the scrubber masks, by layer and language.

Belongs here: masking planted texts and counting what is left. Does not: the texts
(planted_identifiers.py). Invariant: a plant counts as masked only where no part of it that could
tell somebody is left in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from analytics_assets.insights.evaluation import planted_identifiers as planted
from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.evaluation.planted_identifiers import Plant
from analytics_assets.insights.scrubbing.lexicon import Lexicon, clean, fold
from analytics_assets.insights.scrubbing.ner import Recogniser, closing, is_installed
from analytics_assets.insights.scrubbing.scrubber import Scrubber

KNOWN_LIMIT = 0.999
STRUCTURED_LIMIT = 0.99
_PART = re.compile(r"[^\W_]+")
_PLACEHOLDER = re.compile(r"\[[A-Z]+_\d+\]")
# Shorter parts ("GmbH", "rue", a country code) tell nobody.
_TELLING_LETTERS = 4
_TELLING_DIGITS = 4
_TELLING_RUN = 5


def measures(*, names: bool | None = None) -> list[Measure]:
    """Recall of the dictionary, of the shapes, and of names nobody knew, one row a language.

    ``names``: with the third layer (default: where it is installed); without it the last rows say
    what the other two layers make of them.
    """
    wanted = is_installed() if names is None else names
    with closing(Recogniser() if wanted else None) as recogniser:
        return _measures(recogniser)


def _measures(recogniser: Recogniser | None) -> list[Measure]:
    identifiers, known = planted.known()
    dictionary = Scrubber(Lexicon.of(identifiers))
    structured = planted.structured()
    unknown = planted.unknown()
    third = Scrubber(ner=recogniser)
    if recogniser is not None:
        recogniser.prime(plant.text for plant in unknown)
    note = "by dictionary and shapes alone; install the extra scrub"
    rows = [
        _measure("scrub recall: known identifiers", known, dictionary, KNOWN_LIMIT),
        _measure("scrub recall: structured data", structured, Scrubber(), STRUCTURED_LIMIT),
    ]
    for locale in planted.LOCALES:
        of_locale = [plant for plant in unknown if plant.locale == locale.name]
        by_kind = ", ".join(
            f"{kind} {recall([one for one in of_locale if one.kind == kind], third):.2f}"
            for kind in ("name", "company", "street")
        )
        rows.append(
            Measure(
                f"scrub recall: unknown names ({locale.name})",
                recall(of_locale, third),
                None,
                note=by_kind if recogniser is not None else note,
            )
        )
    return rows


def recall(plants: Sequence[Plant], scrubber: Scrubber) -> float:
    """The share of plants that are masked; 0 of none."""
    missed = sum(1 for _ in left_in(plants, scrubber))
    return 1 - missed / len(plants) if plants else 0.0


def left_in(plants: Iterable[Plant], scrubber: Scrubber) -> Iterable[tuple[Plant, str]]:
    """Plants that can still be told, and the masked text."""
    for plant in plants:
        masked = scrubber.scrub(plant.text)
        if _tells(plant.surface, masked):
            yield plant, masked


def _tells(surface: str, masked: str) -> bool:
    shown = fold(clean(_PLACEHOLDER.sub(" ", masked)))
    words = set(_PART.findall(shown))
    if _letters(surface) in _letters(masked):
        return True
    # A number in groups is told by half of its digits.
    number, left = (re.sub(r"\D", "", text) for text in (surface, shown))
    runs = range(len(number) - _TELLING_RUN + 1)
    if any(number[i : i + _TELLING_RUN] in left for i in runs):
        return True
    for part in _PART.findall(fold(clean(surface))):
        digits = sum(map(str.isdigit, part))
        if digits >= _TELLING_DIGITS and part in shown:
            return True
        if len(part) >= _TELLING_LETTERS and part in words and part not in _CARRIED:
            return True
    return False


def _letters(text: str) -> str:
    return "".join(_PART.findall(fold(clean(_PLACEHOLDER.sub(" ", text)))))


# Words of the sentences around the plants, and of plants that name a thing and nobody.
_CARRIED = frozenset(
    fold(word)
    for locale in planted.LOCALES
    for text in (
        *locale.carriers,
        "gmbh https example internal notes users home password rue avenue calle plaza lane terrace",
    )
    for word in _PART.findall(text)
)


def _measure(name: str, plants: Sequence[Plant], scrubber: Scrubber, limit: float) -> Measure:
    missed = len(list(left_in(plants, scrubber)))
    return Measure(name, 1 - missed / len(plants), limit, note=f"{missed} of {len(plants)} left")
