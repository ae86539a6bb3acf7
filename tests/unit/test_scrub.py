"""What the scrubber masks, what it leaves, and how it numbers what it masked."""

from __future__ import annotations

import pytest

from analytics_assets.insights.scrubbing.lexicon import Lexicon, vocabulary_of
from analytics_assets.insights.scrubbing.patterns import iban_valid, luhn_valid
from analytics_assets.insights.scrubbing.scrubber import Placeholders, Scrubber

KNOWN = [
    ("name", "Ana María López"),
    ("name", "Jürgen Müller"),
    ("name", "Will Page"),
    ("name", "Zoë O'Neill"),
    ("name", "田中太郎"),
    ("email", "ana.lopez@acme.example"),
    ("handle", "@jdoe42"),
    ("repository", "acme/widget-api"),
    ("organisation", "Northwind Robotics GmbH"),
    ("host", "db01.acme.internal"),
]


@pytest.fixture(scope="module")
def scrubber() -> Scrubber:
    return Scrubber(Lexicon.of(KNOWN))


@pytest.mark.parametrize(
    "written",
    [
        "Ana María López",
        "ana maria lopez",
        "ANA LOPEZ",
        "López, Ana",
        "ana_lopez",
        "ana-maria.lopez",
        "AnaLopez",
        "analopez",
        "an4lop3z",
        "Lopez's",
        "A. López",
        "alopez",
        "A\u0301na Lo\u0301pez",
        "Ana\u200b Lo\u200bpez",
        "fix_lopez_bug",
        "Jurgen",
        "Juergen Mueller",
        "JMÜLLER",
        "ZOE ONEILL",
        "zoë o\u2019neill",
        "田中太郎さん",
        "jdoe42",
        "JDoe42",
        "jdoe-42",
        "ana.lopez@acme.example",
        "acme/widget-api",
        "widget_api",
        "Northwind Robotics",
        "northwind-robotics",
        "db01",
    ],
)
def test_a_known_identifier_is_masked_however_it_is_written(
    scrubber: Scrubber, written: str
) -> None:
    scrubbed = scrubber.scrub(f"please ask {written} about it")
    rest = scrubbed.lower()
    assert "[" in scrubbed
    for part in ("lopez", "lópez", "müller", "mueller", "jurgen", "neill", "田中", "doe", "acme"):
        assert part not in rest
    for part in ("widget", "northwind", "db01", "lop3z"):
        assert part not in rest
    assert scrubbed.startswith("please ask ")
    assert scrubbed.endswith(" about it")


def test_a_name_that_is_also_a_word_is_masked_only_where_it_is_written_as_a_name(
    scrubber: Scrubber,
) -> None:
    text = "Will you open the page? I asked Will yesterday. Page two will do."
    assert scrubber.scrub(text) == (
        "Will you open the page? I asked [NAME_1] yesterday. Page two will do."
    )
    assert "Page" not in scrubber.scrub("it was written by Will Page")


def test_words_are_not_joined_into_a_handle_across_blanks() -> None:
    scrubber = Scrubber(Lexicon.of([("handle", "therapist")]))
    assert scrubber.scrub("the rapist was sentenced") == "the rapist was sentenced"
    assert scrubber.scrub("ask the-rapist") == "ask [HANDLE_1]"


def test_one_thing_keeps_one_number_through_a_prompt(scrubber: Scrubber) -> None:
    book = Placeholders()
    first = scrubber.scrub("jdoe42 wrote to bob@corp.example", book)
    second = scrubber.scrub("carol@corp.example answered BOB@corp.example and JDoe42", book)
    assert first == "[HANDLE_1] wrote to [EMAIL_1]"
    assert second == "[EMAIL_2] answered [EMAIL_1] and [HANDLE_1]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail bob@corp.example!", "mail [EMAIL_1]!"),
        ("mail bob.k+x@mail.corp.example", "mail [EMAIL_1]"),
        ("mail bob (at) corp (dot) example", "mail [EMAIL_1]"),
        ("see https://a.example/u/bob?x=1#y ok", "see [URL_1] ok"),
        ("postgresql://bob:pw@db:5432/x", "[URL_1]"),
        ("clone git@github.com:bob/secret-repo.git", "clone [URL_1]"),
        ("on github.com/bob/secret-repo now", "on [HOST_1] now"),
        ("at 192.168.0.17 today", "at [IP_1] today"),
        ("at 2001:db8::8a2e:370:7334 today", "at [IP_1] today"),
        ("at 2001:0db8:85a3:0000:0000:8a2e:0370:7334", "at [IP_1]"),
        ("mac 00:1B:44:11:3A:B7", "mac [MAC_1]"),
        ("pay DE89 3704 0044 0532 0130 00 NOW", "pay [IBAN_1] NOW"),
        ("pay gb82west12345698765432 now", "pay [IBAN_1] now"),
        ("card 4111 1111 1111 1111.", "card [CARD_1]."),
        ("card 4111-1111-1111-1111.", "card [CARD_1]."),
        ("call +49 170 1234567 now", "call [PHONE_1] now"),
        ("call (555) 010-9999 now", "call [PHONE_1] now"),
        ("Tel.0170 1234567", "Tel.[PHONE_1]"),
        ("on 2026-01-15 0170 1234567", "on [NUMBER_1]"),
        ("ssn 123-45-6789", "ssn [PHONE_1]"),
        ("customer 123456789", "customer [NUMBER_1]"),
        ("id 7d9f2b1e-3c4a-4e5f-8a6b-1c2d3e4f5a6b.", "id [UUID_1]."),
        ("key sk-proj-abcdefghijklmnop1234", "key [SECRET_1]"),
        ("key ghp_abcdefghijklmnopqrst1234", "key [SECRET_1]"),
        ("key AKIAIOSFODNN7EXAMPLE", "key [SECRET_1]"),
        ("key xoxb-1234567890-abcdef", "key [SECRET_1]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "jwt [SECRET_1]"),
        ("Authorization: Bearer abc.DEF-123456", "Authorization: Bearer [SECRET_1]"),
        ('password = "hunter2!"', 'password = "[SECRET_1]"'),
        ("sha d41d8cd98f00b204e9800998ecf8427e", "sha [TOKEN_1]"),
        ("see commit 3f2a91c", "see commit [TOKEN_1]"),
        ("in /home/bob/project/a.py:3", "in [PATH_1]"),
        ("in /Users/bob/Desktop", "in [PATH_1]"),
        (r"in C:\Users\Bob Jones\x.txt ok", "in [PATH_1] ok"),
        ("in ~bob/src", "in [PATH_1]"),
        ("thanks @bob_k.", "thanks [MENTION_1]."),
    ],
)
def test_a_structured_identifier_is_masked_by_its_shape(text: str, expected: str) -> None:
    assert Scrubber().scrub(text) == expected


def test_a_private_key_is_masked_whole() -> None:
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----"
    assert Scrubber().scrub(f"here: {pem} thanks") == "here: [SECRET_1] thanks"
    assert Scrubber().scrub(f"here: {pem[:40]}") == "here: [SECRET_1]"


@pytest.mark.parametrize(
    "text",
    [
        "I use React, Pandas and Terraform on Python 3.11.7",
        "std::vector<int> v; a::b()",
        "between 2026-01-15 and 2026-02-01, at 10:30:45",
        "it took 3.14159265 s for 12,500 rows and 1024 MB",
        "basic functionality of the bearer token flow",
        "see main.py, os.path and README.md",
        "an error 500 in line 1234 of 99999",
        "[NAME_1] asked [EMAIL_2]",
    ],
)
def test_technical_prose_is_left_alone(text: str) -> None:
    scrubber = Scrubber(Lexicon.of(KNOWN))
    assert scrubber.scrub(text) == text
    assert scrubber.is_clean(text)


def test_overlapping_finds_leave_no_remainder(scrubber: Scrubber) -> None:
    # The local part alone is a known name; the domain must not stay behind.
    assert scrubber.scrub("ana.lopez@elsewhere.example") == "[EMAIL_1]"
    assert scrubber.scrub("https://x.example/ana-lopez/notes") == "[URL_1]"
    # One find begins inside another and ends beyond it.
    partners = Scrubber(Lexicon.of([("organisation", "Corp Partners")]))
    assert partners.scrub("ask bob@corp Partners now") == "ask [ORG_1] now"


def test_the_page_vocabulary_keeps_all_that_matters() -> None:
    texts = ["ask Lopez, the jdoe42 one", "田中太郎 and Mueller's at northwind-robotics"]
    whole = Scrubber(Lexicon.of(KNOWN))
    small = Scrubber(Lexicon.of([*KNOWN, ("name", "Nobody Here")], vocabulary_of(texts)))
    assert [small.scrub(t) for t in texts] == [whole.scrub(t) for t in texts]
    assert len(small.lexicon) < len(whole.lexicon)


def test_checksums_tell_numbers_from_look_alikes() -> None:
    assert luhn_valid("4111111111111111")
    assert not luhn_valid("4111111111111112")
    assert iban_valid("DE89370400440532013000")
    assert not iban_valid("DE89370400440532013001")
    assert not iban_valid("DE8937040044053201300")
    # One that fails its check is still a long number, and masked as such.
    assert Scrubber().scrub("4111 1111 1111 1112") == "[PHONE_1]"
