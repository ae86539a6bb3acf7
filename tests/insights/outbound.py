"""Conversations full of planted identifiers, and what of them a request's body still tells."""

from __future__ import annotations

import re
from collections.abc import Iterable

from insights_company import Company

from analytics_assets.insights.evaluation import planted_identifiers as planted
from analytics_assets.insights.scrubbing.lexicon import clean, fold

USERS = 12
LEAST_LETTERS = 4


def plant(company: Company) -> list[str]:
    """Give every user a conversation of planted texts; returns what was planted."""
    identifiers, known = planted.known(people=1)
    plants = known + planted.structured(each=1)
    for number in range(USERS):
        company.user(f"usr_{number:04}q")
        for one in plants[number::USERS]:
            company.says(f"usr_{number:04}q", one.text)
    with company.conn.cursor() as cursor:
        cursor.executemany(
            "insert into vault.known_identifiers values ('usr_0000q', %s, %s) "
            "on conflict do nothing",
            identifiers,
        )
    users = [f"usr_{number:04}q" for number in range(USERS)]
    return [*users, *dict.fromkeys(one.surface for one in plants)]


def told(planted: Iterable[str], bodies: Iterable[str]) -> set[str]:
    """What of the planted stands in a body, however it is spelled there."""
    letters = "\n".join(map(_letters, bodies))
    return {
        one for one in planted if len(found := _letters(one)) >= LEAST_LETTERS and found in letters
    }


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", fold(clean(text)))
