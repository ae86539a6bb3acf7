"""Texts in five languages with personal data planted in them, and what was planted.

Belongs here: the generator. Does not: masking or counting (scrub_recall.py). Invariant: the same
seed gives the same texts; nobody in them exists, and every structured thing has valid checksums.
"""

from __future__ import annotations

import random
import string
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

SEED = 7


class Plant(NamedTuple):
    """A text, the stretch of it that must not be told, and what that is."""

    locale: str
    kind: str
    surface: str
    text: str


@dataclass(frozen=True)
class Locale:
    """Names, companies and streets of one language, sentences to put them in, and numbers."""

    name: str
    firsts: tuple[str, ...]
    lasts: tuple[str, ...]
    companies: tuple[str, ...]
    streets: tuple[str, ...]
    carriers: tuple[str, ...]
    phones: tuple[str, ...]
    iban: tuple[str, int]


LOCALES = (
    Locale(
        "en",
        ("Thaddeus", "Winifred", "Cornelius", "Araminta", "Leopold", "Philippa"),
        ("Ashdown", "Featherstone", "Okonkwo", "Pemberton", "O'Malley", "Whitcombe"),
        ("Larkspur Analytics Ltd", "Bramblewood Foods Inc.", "Tidewater Robotics"),
        ("14 Marigold Lane", "221 Oakhurst Avenue", "9 Quayside Terrace"),
        (
            "Could you tell {} that the import fails again?",
            "I spoke with {} about the dashboard yesterday.",
            "The file came from {}, and it has no header.",
            "Please remove {} from the report before it is sent.",
        ),
        ("+44 20 79## ####", "(415) 55#-####", "+1-202-555-01##", "07700 900###"),
        ("GB", 22),
    ),
    Locale(
        "de",
        ("Jürgen", "Käthe", "Wolfhart", "Hannelore", "Götz", "Swantje"),
        ("Großmann", "Müllenbach", "Överbeck", "Schönfelder", "Quasthoff", "von Wiesenthal"),
        ("Birkenhain Maschinenbau GmbH", "Nordlicht Energie AG", "Kranichfeld Software"),
        ("Lindenallee 14", "Am Mühlbach 3", "Käthe-Kollwitz-Straße 27"),
        (
            "Kannst du {} sagen, dass der Import wieder fehlschlägt?",
            "Ich habe gestern mit {} über das Dashboard gesprochen.",
            "Die Datei kam von {} und hat keine Kopfzeile.",
            "Bitte entferne {} aus dem Bericht, bevor er verschickt wird.",
        ),
        ("+49 30 1######", "0171 55#####", "+49 (0)89 4######", "030/12####"),
        ("DE", 22),
    ),
    Locale(
        "fr",
        ("Étienne", "Clémence", "Théophile", "Solène", "Gaël", "Anaïs"),
        ("Beauchêne", "Lefèvre", "Montparnet", "d'Aubigny", "Guérin", "Çelebi"),
        ("Maison Tournesol SARL", "Ateliers Corvaisier SAS", "Lumière Bleue"),
        ("12 rue des Acacias", "8 avenue du Général Leclerc", "3 impasse des Lilas"),
        (
            "Peux-tu dire à {} que l'import échoue encore ?",
            "J'ai parlé hier avec {} du tableau de bord.",
            "Le fichier vient de {} et n'a pas d'en-tête.",
            "Retire {} du rapport avant l'envoi, s'il te plaît.",
        ),
        ("+33 1 42 ## ## ##", "06 12 ## ## ##", "01.42.##.##.##"),
        ("FR", 27),
    ),
    Locale(
        "es",
        ("Íñigo", "Begoña", "Raúl", "Ximena", "Ángela", "Joaquín"),
        ("Núñez", "Echeverría", "Peñalver", "Cañizares", "Zubizarreta", "García-Ocaña"),
        ("Olivares del Sur SL", "Tecnologías Almendra SA", "Grupo Campanilla"),
        ("Calle Mayor 14", "Avenida de la Constitución 22", "Plaza del Olivo 3"),
        (
            "¿Puedes decirle a {} que la importación vuelve a fallar?",
            "Ayer hablé con {} sobre el panel.",
            "El archivo es de {} y no tiene cabecera.",
            "Quita a {} del informe antes de enviarlo, por favor.",
        ),
        ("+34 91 4## ## ##", "612 34 ## ##", "+34 6## ### ###"),
        ("ES", 24),
    ),
    Locale(
        "pl",
        ("Zbigniew", "Świętosława", "Łukasz", "Małgorzata", "Żaneta", "Grażyna"),
        ("Wiśniewski", "Kołodziejczyk", "Dąbrowska", "Źródlak", "Brzęczyszczykiewicz", "Ćwikła"),
        ("Bursztyn Logistyka", "Zielona Dolina SA", "Wawelskie Zakłady"),
        ("ul. Kwiatowa 14", "al. Jana Pawła 22", "ul. Słoneczna 3"),
        (
            "Czy możesz powiedzieć {}, że import znowu nie działa?",
            "Wczoraj rozmawiałem z {} o panelu.",
            "Plik przyszedł od {} i nie ma nagłówka.",
            "Usuń {} z raportu przed wysłaniem.",
        ),
        ("+48 22 6## ## ##", "601 2## ###", "+48 5## ### ###"),
        ("PL", 28),
    ),
)


def known(people: int = 24, seed: int = SEED) -> tuple[list[tuple[str, str]], list[Plant]]:
    """Identifiers for the dictionary as (kind, value), and texts that hold them in many spellings.

    ``people`` are made for each locale.
    """
    rng = random.Random(seed)  # noqa: S311 - a reproducible draw, not a secret
    identifiers: list[tuple[str, str]] = []
    plants: list[Plant] = []
    for locale in LOCALES:
        for number in range(people):
            for kind, value in _person(locale, number, rng):
                identifiers.append((kind, value))
                plants += (
                    Plant(locale.name, kind, surface, rng.choice(locale.carriers).format(surface))
                    for surface in _spellings(kind, value)
                )
    return identifiers, plants


def structured(each: int = 12, seed: int = SEED) -> list[Plant]:
    """Texts with structured personal data nobody knows: ``each`` of every kind and locale."""
    rng = random.Random(seed + 1)  # noqa: S311 - a reproducible draw, not a secret
    return [
        Plant(locale.name, kind, surface, rng.choice(locale.carriers).format(surface))
        for locale in LOCALES
        for kind, make in _STRUCTURED.items()
        for surface in (make(locale, rng) for _ in range(each))
    ]


def unknown(each: int = 8, seed: int = SEED) -> list[Plant]:
    """Texts with names, companies and streets that no dictionary holds."""
    rng = random.Random(seed + 2)  # noqa: S311 - a reproducible draw, not a secret
    plants: list[Plant] = []
    for locale in LOCALES:
        for _ in range(each):
            told = {
                "name": f"{rng.choice(locale.firsts)} {rng.choice(locale.lasts)}",
                "company": rng.choice(locale.companies),
                "street": rng.choice(locale.streets),
            }
            plants += (
                Plant(locale.name, kind, surface, rng.choice(locale.carriers).format(surface))
                for kind, surface in told.items()
            )
    return plants


def _person(locale: Locale, number: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    first, last = rng.choice(locale.firsts), rng.choice(locale.lasts)
    flat = _flat(f"{first[0]}{last}")
    yield "name", f"{first} {last}"
    yield "email", f"{_flat(first)}.{_flat(last)}{number}@{_flat(last)}-mail.example"
    yield "handle", f"{flat}{number}x"
    yield "repository", f"{flat}-lab/{_flat(last)}-ledger-{number}"
    yield "organisation", rng.choice(locale.companies)
    yield "host", f"{flat}-box{number}.internal"


def _flat(text: str) -> str:
    spread = unicodedata.normalize("NFKD", text.casefold().replace("ł", "l").replace("ß", "ss"))
    return "".join(ch for ch in spread if ch.isascii() and ch.isalnum())


def _spellings(kind: str, value: str) -> Iterator[str]:
    yield value
    yield value.upper()
    yield value.lower()
    yield f"**{value}**"
    yield f"\u201c{value}\u201d"
    if kind in ("name", "organisation"):
        words = value.split()
        yield unicodedata.normalize("NFD", value)
        yield "".join(
            ch for ch in unicodedata.normalize("NFKD", value) if not unicodedata.combining(ch)
        )
        yield "-".join(words)
        yield "_".join(words).lower()
        yield f"{value}'s"
    if kind == "name":
        yield f"{words[-1]}, {words[0]}"
        yield f"{words[0][0]}. {words[-1]}"
        yield words[-1]
        yield words[0]
        yield f"{words[0][0].upper()}{words[0][1:]}{words[-1][0].upper()}{words[-1][1:]}"
        yield value.replace("a", "\u200ba", 1)
        if " " not in value[len(words[0]) + 1 :]:
            yield _flat(value).translate(str.maketrans("oieast", "013457"))
    if kind == "handle":
        yield f"@{value}"
        yield f"{value},"
    if kind == "email":
        yield value.replace("@", " (at) ")
        yield f"<{value}>"
    if kind == "repository":
        yield value.rpartition("/")[2]
        yield f"https://git.example/{value}.git"
    if kind == "host":
        yield f"{value}:5432"


def _iban(locale: Locale, rng: random.Random) -> str:
    country, length = locale.iban
    letters = "ABCD" if country == "GB" else ""
    body = letters + "".join(rng.choices(string.digits, k=length - 4 - len(letters)))
    digits = "".join(str(int(ch, 36)) for ch in f"{body}{country}00")
    whole = f"{country}{98 - int(digits) % 97:02}{body}"
    return " ".join(whole[i : i + 4] for i in range(0, length, 4)) if rng.getrandbits(1) else whole


def _card(_: Locale, rng: random.Random) -> str:
    body = "4" + "".join(rng.choices(string.digits, k=14))
    total = sum(
        sum(divmod(2 * int(ch), 10)) if place % 2 == 0 else int(ch) for place, ch in enumerate(body)
    )
    whole = f"{body}{-total % 10}"
    return " ".join(whole[i : i + 4] for i in range(0, 16, 4)) if rng.getrandbits(1) else whole


def _phone(locale: Locale, rng: random.Random) -> str:
    shape = rng.choice(locale.phones)
    return "".join(rng.choice(string.digits) if ch == "#" else ch for ch in shape)


def _hex(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789abcdef", k=count))


def _word(rng: random.Random, count: int = 7) -> str:
    return "".join(rng.choices("bcdfgklmnprstvz", k=count))


_STRUCTURED: dict[str, Callable[[Locale, random.Random], str]] = {
    "email": lambda _, rng: f"{_word(rng)}.{_word(rng, 4)}@{_word(rng)}.example",
    "url": lambda _, rng: f"https://{_word(rng)}.example/{_word(rng)}?id={_hex(rng, 6)}",
    "uuid": lambda _, rng: "-".join(_hex(rng, n) for n in (8, 4, 4, 4, 12)),
    "ipv4": lambda _, rng: ".".join(str(rng.randrange(1, 255)) for _ in range(4)),
    "ipv6": lambda _, rng: f"2001:db8::{_hex(rng, 4)}:{_hex(rng, 4)}",
    "mac": lambda _, rng: ":".join(_hex(rng, 2) for _ in range(6)),
    "iban": _iban,
    "card": _card,
    "phone": _phone,
    "path": lambda _, rng: f"/home/{_word(rng)}/{_word(rng)}/notes.txt",
    "windows path": lambda _, rng: rf"C:\Users\{_word(rng)}\{_word(rng)}.csv",
    "mention": lambda _, rng: f"@{_word(rng)}_{_hex(rng, 3)}",
    "key": lambda _, rng: f"ghp_{_hex(rng, 36)}",
    "secret": lambda _, rng: f"password={_word(rng)}{_hex(rng, 4)}",
    "digest": lambda _, rng: _hex(rng, 40),
}
