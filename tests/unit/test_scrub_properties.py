"""Properties of the scrubber over generated people and texts: nothing planted comes out."""

from __future__ import annotations

import random
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.insights.scrubbing.lexicon import Lexicon, fold
from analytics_assets.insights.scrubbing.patterns import IBAN_LENGTHS, luhn_valid
from analytics_assets.insights.scrubbing.scrubber import Scrubber
from analytics_assets.insights.words.ordinary import GENERIC_WORDS, ORDINARY_WORDS

SENTENCE = "please help me deploy the service it fails with an error when I export data to csv"
WORDS = SENTENCE.split()
PROSE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
LETTERS = "abcdefghijklmnopqrstuvwxyzáéíóúñüöäçøł"
NAME = (
    st.text(LETTERS, min_size=4, max_size=10)
    .filter(lambda w: fold(w) not in ORDINARY_WORDS | GENERIC_WORDS | set(WORDS))
    .map(str.title)
)
PERSON = st.tuples(NAME, NAME)
WAYS = st.sampled_from(
    [
        "{first} {last}",
        "{last}, {first}",
        "{lower_first}_{lower_last}",
        "{upper_first}.{upper_last}",
        "{first}{last}",
        "{plain_first}-{plain_last}",
        "{last}'s",
        "{first}",
        "@{plain_first}{plain_last}",
        "{plain_first}.{plain_last}@unknown.example",
        "/home/{plain_last}/x",
    ]
)
DIGITS = st.text(string.digits, min_size=11, max_size=11)


@settings(max_examples=120, deadline=None)
@given(PERSON, st.lists(PERSON, max_size=20), WAYS, PROSE, PROSE)
def test_no_known_name_survives_in_any_way_of_writing(
    person: tuple[str, str], others: list[tuple[str, str]], way: str, before: str, after: str
) -> None:
    known = [("name", " ".join(someone)) for someone in [person, *others]]
    written = way.format(**_forms(*person))
    scrubbed = Scrubber(Lexicon.of(known)).scrub(f"{before} {written} {after}")
    words = set(fold(scrubbed).replace("[", " ").replace("]", " ").split())
    assert not {fold(part) for part in person} & words
    assert fold("".join(person)) not in fold(scrubbed)


def _forms(first: str, last: str) -> dict[str, str]:
    forms = {"first": first, "last": last}
    for name, change in (("lower", str.lower), ("upper", str.upper), ("plain", fold)):
        forms |= {f"{name}_first": change(first), f"{name}_last": change(last)}
    return forms


def _card(digits: str) -> str:
    body = "4" + digits + "000"
    return body + next(d for d in string.digits if luhn_valid(body + d))


def _iban(digits: str) -> str:
    body = (digits * 3)[: IBAN_LENGTHS["DE"] - 4]
    check = 98 - int(body + "131400") % 97
    return f"DE{check:02}{body}"


def _spread(text: str, gap: str) -> str:
    return gap.join(text[i : i + 4] for i in range(0, len(text), 4))


STRUCTURED = st.one_of(
    DIGITS.map(_card),
    DIGITS.map(_card).map(lambda t: _spread(t, " ")),
    DIGITS.map(_card).map(lambda t: _spread(t, "-")),
    DIGITS.map(_iban),
    DIGITS.map(_iban).map(lambda t: _spread(t, " ")),
    st.emails(),
    st.ip_addresses().map(str).filter(lambda t: any(ch not in ":0" for ch in t)),
    st.uuids().map(str),
    DIGITS.map(lambda d: f"+{d}"),
    DIGITS.map(lambda d: f"{d[:3]}-{d[3:7]}-{d[7:]}"),
    st.text(string.ascii_letters + string.digits, min_size=36, max_size=36).map("ghp_{}".format),
    st.text(string.ascii_letters + string.digits, min_size=20, max_size=40).map("sk-{}".format),
    st.text(string.hexdigits.lower(), min_size=40, max_size=40),
    st.text(string.ascii_lowercase, min_size=3, max_size=12).map("/Users/{}/x".format),
    st.text(string.ascii_lowercase, min_size=3, max_size=12).map("https://{}.example/a".format),
)


@settings(max_examples=150, deadline=None)
@given(STRUCTURED, PROSE, PROSE, st.sampled_from([" ", ": ", "\n", " (", ' "', "="]))
def test_no_structured_identifier_survives(planted: str, before: str, after: str, gap: str) -> None:
    scrubbed = Scrubber().scrub(f"{before}{gap}{planted} {after}")
    assert planted not in scrubbed
    # Not even a telling part of it.
    middle = planted[len(planted) // 4 : -len(planted) // 4]
    assert len(middle) < 6 or middle not in scrubbed


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_scrubbed_without_an_error_and_once_is_enough(text: str) -> None:
    scrubber = Scrubber(Lexicon.of([("name", "Ana López"), ("handle", "jdoe42")]))
    once = scrubber.scrub(text)
    assert scrubber.scrub(once) == once
    once.encode()


def test_a_lexicon_of_ten_thousand_people_masks_every_one_of_them() -> None:
    draw = random.Random(5)  # noqa: S311 - names for a test
    syllables = ["ba", "ker", "lin", "mo", "zu", "tre", "vik", "san", "dol", "yam", "rus", "qui"]
    names = ["".join(draw.choices(syllables, k=3)).title() for _ in range(1000)]
    people = [f"{draw.choice(names)} {draw.choice(names)}" for _ in range(10_000)]
    scrubber = Scrubber(Lexicon.of(("name", person) for person in people))
    for person in people[::50]:
        assert scrubber.scrub(f"it was {person.lower()} again") == "it was [NAME_1] again"
