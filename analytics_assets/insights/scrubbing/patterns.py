"""Structured personal data and secrets, found by shape and confirmed by checksum.

Belongs here: regular expressions, their checks, nothing that knows a particular person (see
lexicon.py). Invariant: pure, linear in the text (every repeat is bounded), and in doubt a thing is
masked: a lost product name costs an insight, a leaked address costs a person.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

MIN_MASKED_DIGITS = 9
MAX_PHONE_DIGITS = 15
MAX_SCOPE_COLONS = 2
MIN_PHONE_DIGITS = 7


class Span(NamedTuple):
    """A stretch of text to mask: ``[start, end)``, its label, and what makes it the same thing."""

    start: int
    end: int
    label: str
    identity: str


class Pattern(NamedTuple):
    """A shape: ``marker`` must occur in the text (a cheap test), ``group`` is what is masked."""

    label: str
    regex: re.Pattern[str]
    accept: Callable[[str], bool]
    marker: str = ""
    group: int = 0


def _always(_: str) -> bool:
    return True


def _digits(text: str) -> str:
    return "".join(ch for ch in text if ch.isdigit())


def luhn_valid(digits: str) -> bool:
    """Whether a digit string passes the Luhn check of payment cards."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the digit sum of 10..18
    return total % 10 == 0


def iban_valid(compact: str) -> bool:
    """Whether an upper-case IBAN without blanks has its country's length and passes mod 97."""
    if IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(ch, 36)) for ch in moved)) % 97 == 1


def _is_ip(text: str) -> bool:
    candidate = text.split("%", 1)[0].split("/", 1)[0]
    try:
        ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    # "a::b" is an address too, but far more often the name of something in a program.
    return _is_ip(text) and (any(map(str.isdigit, text)) or text.count(":") > MAX_SCOPE_COLONS)


_ISO_DATE = re.compile(r"(?:19|20)\d\d([-/. ])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?!\d)")
_DECIMAL = re.compile(r"\d+\.\d+")
_GROUPED = re.compile(r"[ ()./-]")
_DAY_FIRST_DATE = re.compile(r"\d{1,2}([-/.])\d{1,2}\1(?:19|20)\d\d(?!\d)")


def _without_dates(text: str) -> str:
    """The text after any dates it begins with: a number may follow on a date."""
    while match := _ISO_DATE.match(text) or _DAY_FIRST_DATE.match(text):
        text = text[match.end() :].lstrip(" ./-")
    return text


def _is_phone(text: str) -> bool:
    rest = _without_dates(text)
    enough = MIN_PHONE_DIGITS <= len(_digits(rest)) <= MAX_PHONE_DIGITS + 2
    if rest.startswith(("+", "00", "(")):
        return enough
    if _DECIMAL.fullmatch(rest):
        return False
    return enough and bool(_GROUPED.search(rest))


def _is_long_number(text: str) -> bool:
    return len(_digits(_without_dates(text))) >= MIN_MASKED_DIGITS


def _is_card(text: str) -> bool:
    return luhn_valid(_digits(text))


_TURNS = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_MIN_TURNS = 6


def _looks_random(text: str) -> bool:
    mixed = any(map(str.isdigit, text)) and any(map(str.isupper, text))
    return (mixed and any(map(str.islower, text))) or len(_TURNS.findall(text)) >= _MIN_TURNS


def _is_credential(text: str) -> bool:
    return not (text.isalpha() and text.islower())  # "basic functionality" is prose


def _word_email(text: str) -> bool:
    return not text.startswith("@")


# Top-level domains that are not also file suffixes or common attribute names in code.
_TLDS = (
    "com|org|net|edu|gov|mil|io|dev|ai|co|cloud|internal|corp|lan|intranet|"
    "eu|de|fr|es|nl|uk|us|ca|jp|cn|ru|br|au|ch|pl|cz|dk|fi|pt|gr|ie|kr|mx|za|tech|xyz|online"
)

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "SECRET",
        re.compile(
            r"(?s)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}-----|\Z)"
        ),
        _always,
        "-----BEGIN",
    ),
    Pattern(
        "SECRET",
        re.compile(
            r"(?<![A-Za-z0-9])(?:"
            r"sk-[\w-]{16,256}|[spr]k_(?:live|test)_\w{10,128}|gh[pousr]_[A-Za-z0-9]{20,255}"
            r"|github_pat_\w{20,255}|glpat-[\w-]{16,64}|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,32}"
            r"|AIza[\w-]{30,64}|xox[abeoprs]-[\w-]{8,255}|xapp-[\w-]{8,255}|hf_[A-Za-z0-9]{20,64}"
            r"|npm_[A-Za-z0-9]{30,64}|pypi-[\w-]{20,255}|SG\.[\w-]{16,64}\.[\w-]{16,64}"
            r"|ya29\.[\w-]{20,255}|dop_v1_[a-f0-9]{32,80}|whsec_\w{16,64}"
            r"|eyJ[\w-]{8,2048}\.[\w-]{8,4096}(?:\.[\w-]{0,1024})?)"
        ),
        _always,
    ),
    Pattern(
        "SECRET",
        re.compile(r"(?i)\b(?:bearer|basic)\s{1,3}([\w.~+/=-]{12,4096})"),
        _is_credential,
        group=1,
    ),
    Pattern(
        "SECRET",
        re.compile(
            r"(?i)(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key)"
            r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?([^\s\"',;]{4,512})"
        ),
        _always,
        group=1,
    ),
    Pattern(
        "UUID",
        re.compile(r"(?i)(?<![0-9a-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-z])"),
        _always,
        "-",
    ),
    Pattern(
        "URL", re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s<>\"'`]{1,2048}"), _always, "://"
    ),
    Pattern("URL", re.compile(r"(?i)\bwww\.[^\s<>\"'`]{1,2048}"), _always),
    Pattern("URL", re.compile(r"[\w.-]{1,64}@[\w.-]{1,255}:[\w~./-]{1,512}"), _word_email, "@"),
    Pattern(
        "EMAIL",
        re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}"),
        _word_email,
        "@",
    ),
    Pattern(
        "EMAIL",
        re.compile(
            r"(?i)[\w.+-]{1,64}\s{0,2}[\[({]\s?(?:at|@)\s?[\])}]\s{0,2}[\w-]{1,63}"
            r"(?:\s{0,2}[\[({]\s?(?:dot|\.)\s?[\])}]\s{0,2}[\w-]{1,63}|\.[\w-]{1,63}){1,5}"
        ),
        _always,
    ),
    Pattern(
        "IP",
        re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?!\.?\d)"),
        _is_ip,
        ".",
    ),
    Pattern(
        "IP",
        re.compile(r"(?<![\w:.])[0-9a-fA-F:]{2,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])"),
        _is_ipv6,
        "::",
    ),
    Pattern(
        "IP",
        re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])"),
        _is_ipv6,
        ":",
    ),
    Pattern(
        "MAC",
        re.compile(
            r"(?<![\w:-])[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){4}(?![\w:-])"
        ),
        _always,
    ),
    Pattern("CARD", re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"), _is_card),
    Pattern(
        "PATH",
        re.compile(
            r"(?i)\b[a-z]:[\\/]{1,2}(?:users|documents and settings)[\\/]{1,2}"
            r"(?:[^\\/\r\n:*?\"<>|]{1,64}[\\/]{1,2})?[^\s\"'<>|]{0,512}"
        ),
        _always,
        ":",
    ),
    Pattern("PATH", re.compile(r"(?i)/(?:home|users)/[^\s\"'<>;,)]{1,512}"), _always, "/"),
    Pattern("PATH", re.compile(r"(?<![\w/])~[\w.-]{1,64}/[^\s\"'<>;,)]{0,512}"), _always, "~"),
    Pattern("MENTION", re.compile(r"(?<![\w@])@\w(?:[\w.-]{0,62}\w)?"), _always, "@"),
    Pattern(
        "HOST",
        re.compile(
            r"(?i)(?<![\w.@-])(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:" + _TLDS + r")\b"
            r"(?::\d{1,5})?(?:/[^\s<>\"'`]{0,2048})?"
        ),
        _always,
        ".",
    ),
    Pattern("TOKEN", re.compile(r"(?i)(?<![0-9a-z])[0-9a-f]{32,1024}(?![0-9a-z])"), _always),
    Pattern("TOKEN", re.compile(r"(?i)\bcommit[\s:]{1,3}([0-9a-f]{7,40})\b"), _always, group=1),
    Pattern("TOKEN", re.compile(r"[A-Za-z0-9_-]{24,4096}={0,2}"), _looks_random),
    Pattern(
        "PHONE",
        re.compile(r"(?<!\w)(?<!\d\.)(?:\+|\()?\d(?:[ ()./-]{0,3}\d){6,16}(?!\d)"),
        _is_phone,
    ),
    Pattern("NUMBER", re.compile(r"\d(?:[ -]?\d){8,60}"), _is_long_number),
)

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")


def structured_spans(text: str) -> Iterator[Span]:
    """Every span of ``text`` that has a structured shape; spans may overlap."""
    yield from _iban_spans(text)
    for pattern in PATTERNS:
        if pattern.marker and pattern.marker not in text:
            continue
        for match in pattern.regex.finditer(text):
            found = match.group(pattern.group)
            if found and pattern.accept(found):
                start, end = match.span(pattern.group)
                yield Span(start, end, pattern.label, found.casefold())


def _iban_spans(text: str) -> Iterator[Span]:
    # The shape runs on into the following words, so the country's own length decides its end.
    for match in _IBAN.finditer(text):
        wanted = IBAN_LENGTHS.get(match.group()[:2].upper())
        if wanted is None:
            continue
        compact: list[str] = []
        end = match.start()
        for offset, ch in enumerate(match.group(), start=match.start()):
            if ch.isalnum():
                compact.append(ch.upper())
            if len(compact) == wanted:
                end = offset + 1
                break
        iban = "".join(compact)
        if iban_valid(iban):
            yield Span(match.start(), end, "IBAN", iban)


IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24,
    "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24,
    "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
