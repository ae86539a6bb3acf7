"""The company's own tables: the history of its users and of its registry of servers.

Belongs here: rows of users and servers, and the truth per user. Does not: what they do. Invariant:
histories are ordered by ``valid_from`` within an id, and a row states everything known from then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from analytics_assets.sources.sample import vocabulary as words
from analytics_assets.sources.sample.company import DAY_MS, NEVER, PERSONAS, Company
from analytics_assets.sources.sample.draws import COMPANY, Ints, stream

RETIRED_SHARE: Final = 0.06
REMOVED_SHARE: Final = 0.3  # of the retired; the rest stays listed as deprecated


def user_rows(company: Company, start_day: date) -> Iterator[dict[str, Any]]:
    """The history of every user: sign-up, then a change of role or of consent."""
    for index, user_id in enumerate(company.user_ids):
        signup = int(company.signup_ms[index])
        row = {
            "user_id": user_id,
            "valid_from": at(start_day, signup),
            "role": words.ROLES[int(company.role[index])],
            "signup_at": at(start_day, signup),
            "insights_consent": bool(company.consent[index]),
            "is_internal": bool(company.internal[index]),
            "name": company.names[index],
            "email": company.emails[index],
            "handle": company.handles[index],
        }
        yield row
        change = int(company.role_change_ms[index])
        if change != NEVER:
            role = words.ROLES[int(company.next_role[index])]
            yield row | {"valid_from": at(start_day, change), "role": role}
        withdrawal = int(company.consent_end_ms[index])
        if withdrawal != NEVER:
            yield row | {"valid_from": at(start_day, withdrawal), "insights_consent": False}


def server_rows(
    company: Company, start_day: date, days: int, seed: int
) -> Iterator[dict[str, Any]]:
    """The history of every server: listed before the sample, a few retired during it."""
    rng = stream(seed, COMPANY, 1)
    count = len(company.server_ids)
    listed = -(rng.integers(30, 900, count) * DAY_MS) + rng.integers(0, DAY_MS, count)
    retired = rng.random(count) < RETIRED_SHARE
    retired[count // 2] = True
    moment = rng.integers(0, days * DAY_MS, count)
    removed = rng.random(count) < REMOVED_SHARE
    for index, server_id in enumerate(company.server_ids):
        row = {
            "server_id": server_id,
            "valid_from": at(start_day, int(listed[index])),
            "name": company.server_names[index],
            "category": company.server_category[index],
            "status": "active",
        }
        yield row
        if retired[index]:
            status = "removed" if removed[index] else "deprecated"
            yield row | {"valid_from": at(start_day, int(moment[index])), "status": status}


def user_truth(
    company: Company, start_day: date, days: int, active_days: Ints, last_day: Ints
) -> Iterator[dict[str, Any]]:
    """What is true of every user: labels, departures and returns, days with events."""

    def day(number: int) -> str | None:
        inside = 0 <= number < days
        return (start_day + timedelta(days=number)).isoformat() if inside else None

    for index, user_id in enumerate(company.user_ids):
        yield {
            "user_id": user_id,
            "archetype": words.ARCHETYPES[int(company.archetype[index])],
            "persona": PERSONAS[int(company.persona[index])],
            "language": words.LANGUAGES[int(company.language[index])],
            "is_internal": bool(company.internal[index]),
            "is_bot": bool(company.bot[index]),
            "signed_up_on": day(int(np.floor_divide(company.signup_ms[index], DAY_MS))),
            "absent_from": day(int(min(company.churn_day[index], company.gap_start[index]))),
            "returned_on": day(int(company.gap_end[index])),
            "active_days": int(active_days[index]),
            "last_active_on": day(int(last_day[index])),
        }


def at(start_day: date, milliseconds: int) -> str:
    """RFC 3339 of a time relative to the first day's midnight UTC."""
    midnight = datetime(start_day.year, start_day.month, start_day.day, tzinfo=UTC)
    moment = midnight + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_row(row: dict[str, Any]) -> str:
    """A row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
