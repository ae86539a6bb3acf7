"""Who works at the sample company: users with habits, and the servers they install.

Belongs here: everything fixed before the first day. Does not: what happens on a day. Invariant:
arrays are indexed by user number; times are milliseconds relative to the first day's midnight UTC.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics_assets.sources.sample import vocabulary as words
from analytics_assets.sources.sample.draws import (
    COMPANY,
    Bools,
    Floats,
    Ints,
    apportion,
    pick,
    stream,
    zipf_weights,
)

DAY_MS: Final = 86_400_000
NEVER: Final = np.iinfo(np.int64).max
CONSENT_SHARE: Final = 0.82
PERSONA_FOLLOWS_ARCHETYPE: Final = 0.75
PLANTING_FROM_USERS: Final = 20
PERSONAS: Final[tuple[str, ...]] = (
    "prototype_builder", "bug_hunter", "data_storyteller", "process_lead", "automation_engineer",
)  # fmt: skip


@dataclass(frozen=True)
class Company:
    """Users and servers; each array has one entry per user unless said otherwise."""

    user_ids: list[str]
    names: list[str]
    emails: list[str]
    handles: list[str]
    locales: list[str]
    organisation: Ints
    archetype: Ints
    persona: Ints
    role: Ints
    next_role: Ints
    role_change_ms: Ints  # NEVER for those who keep their role
    signup_ms: Ints
    consent: Bools
    consent_end_ms: Ints  # NEVER unless consent is withdrawn during the sample
    internal: Bools
    bot: Bools
    churn_day: Ints  # first day of absence, `days` when the user stays
    gap_start: Ints  # absence and return of users who come back; `days` when there is none
    gap_end: Ints
    presence: Floats  # probability of being active on a working day
    weight: Floats  # share of the sessions, Zipf
    city: Ints
    device: Ints
    cli_share: Floats
    talkativeness: Floats  # conversations per active day
    scores: Floats  # (users, 5): activity, collaboration, diversity, AI savviness, AI percentage
    language: Ints  # modal language, an index of vocabulary.LANGUAGES
    side_language: Ints
    tool: Ints
    side_tool: Ints
    server_ids: list[str]
    server_names: list[str]
    server_category: list[str]
    server_cumulative: Floats  # one entry per server

    def alive(self, day: int) -> Bools:
        """Who has signed up, has not left and is not away on the day."""
        away = (self.gap_start <= day) & (day < self.gap_end)
        return np.asarray(
            (self.signup_ms < (day + 1) * DAY_MS) & (day < self.churn_day) & ~away, dtype=np.bool_
        )

    def role_at(self, user: Ints, at_ms: Ints) -> Ints:
        """The role index of each user at each time."""
        changed = at_ms >= self.role_change_ms[user]
        return np.where(changed, self.next_role[user], self.role[user])


def build_company(users: int, days: int, seed: int) -> Company:
    """The company of a seed: ``users`` people, some of whom sign up, leave or return."""
    rng = stream(seed, COMPANY)
    archetype = _shuffled_shares(rng, users, np.array(words.ARCHETYPE_SHARES))
    persona = np.where(
        rng.random(users) < PERSONA_FOLLOWS_ARCHETYPE, archetype, rng.integers(0, 5, users)
    )
    weight = rng.permutation(zipf_weights(users, 0.8, offset=2.0))
    rank = np.argsort(np.argsort(-weight)) / users
    bot = _some(rng, users, 0.01)
    internal = bot | _some(rng, users, 0.02)
    habit = np.clip(0.86 - 0.45 * rank + rng.normal(0, 0.06, users), 0.1, 0.95)
    presence = np.where(bot, 0.97, habit)
    signup_ms, new = _signups(rng, users, days)
    churn_day, gap_start, gap_end = _absences(rng, users, days, new | bot)
    role = pick(rng, np.cumsum([0.46, 0.24, 0.16, 0.10, 0.0]), users)
    role = np.where(internal, words.ROLES.index("admin"), role)
    city = pick(rng, np.cumsum(zipf_weights(len(words.CITIES), 0.7)), users)
    names, emails, handles, locales, organisation = _people(rng, users, city)
    changing = _some(rng, users, 0.06) & ~internal & (signup_ms < 0)
    moment = rng.integers(1, max(2, days), users) * DAY_MS + rng.integers(0, DAY_MS, users)
    consent = rng.random(users) < CONSENT_SHARE
    withdrawing = consent & _some(rng, users, 0.03) & (signup_ms < 0) & ~changing
    withdrawal = rng.integers(1, max(2, days), users) * DAY_MS + rng.integers(0, DAY_MS, users)
    means = np.array(words.ARCHETYPE_MEANS)[archetype]
    language = pick(rng, np.cumsum(zipf_weights(len(words.LANGUAGES), 1.0)), users)
    tools = np.cumsum(zipf_weights(len(words.AI_TOOLS), 0.9))
    server_ids, server_names, server_category = _servers(users)
    device = pick(rng, np.cumsum(zipf_weights(len(words.DEVICES), 0.8)), users)
    return Company(
        user_ids=_opaque_ids(users, seed),
        names=names,
        emails=emails,
        handles=handles,
        locales=locales,
        organisation=organisation,
        archetype=archetype,
        persona=persona,
        role=role,
        next_role=np.where(changing, (role + rng.integers(1, 4, users)) % 4, role),
        role_change_ms=np.where(changing, moment, NEVER),
        signup_ms=signup_ms,
        consent=consent,
        consent_end_ms=np.where(withdrawing, withdrawal, NEVER),
        internal=internal,
        bot=bot,
        churn_day=churn_day,
        gap_start=gap_start,
        gap_end=gap_end,
        presence=presence,
        weight=weight,
        city=city,
        device=device,
        cli_share=np.array(words.ARCHETYPE_CLI_SHARES)[archetype],
        talkativeness=np.where(bot, 0.0, np.clip(rng.gamma(2.0, 0.1, users), 0.02, 0.8)),
        scores=means + rng.normal(0, 1, (users, 5)) * np.array([6.0, 6.0, 6.0, 6.0, 5.0]),
        language=language,
        side_language=pick(rng, np.cumsum(zipf_weights(len(words.LANGUAGES), 0.6)), users),
        tool=pick(rng, tools, users),
        side_tool=pick(rng, tools, users),
        server_ids=server_ids,
        server_names=server_names,
        server_category=server_category,
        server_cumulative=np.cumsum(zipf_weights(len(server_ids), 1.1, offset=1.0)),
    )


def ascii_slug(text: str) -> str:
    """Lower-case ASCII of a name, as people use it in handles and addresses."""
    plain = text.replace("ß", "ss").replace("Ł", "L").replace("ł", "l").replace("ø", "o")
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode().lower()


def _some(rng: np.random.Generator, users: int, share: float) -> Bools:
    """A random set of about ``share`` of the users; at least one where there are twenty."""
    count = max(round(users * share), 1 if users >= PLANTING_FROM_USERS else 0)
    chosen = np.zeros(users, dtype=np.bool_)
    chosen[rng.permutation(users)[:count]] = True
    return chosen


def _shuffled_shares(rng: np.random.Generator, users: int, shares: Floats) -> Ints:
    """Labels in exact shares, so that a small company has every archetype."""
    return rng.permutation(np.repeat(np.arange(len(shares)), apportion(users, shares)))


def _signups(rng: np.random.Generator, users: int, days: int) -> tuple[Ints, Bools]:
    """Sign-up times, and who signs up during the sample."""
    before = np.minimum(2 + rng.exponential(400, users), 2_500).astype(np.int64)
    time_of_day = rng.integers(7 * 3_600_000, 18 * 3_600_000, users)
    new = _some(rng, users, 0.08)
    day = np.where(new, rng.integers(0, days, users), -before)
    return day * DAY_MS + time_of_day, new


def _absences(
    rng: np.random.Generator, users: int, days: int, excluded: Bools
) -> tuple[Ints, Ints, Ints]:
    """First day of absence of those who leave; start and end of the gap of those who return."""
    leaving = _some(rng, users, 0.10) & ~excluded
    last = rng.integers(max(1, days // 3), days + 1, users)
    churn_day = np.where(leaving, last, days).astype(np.int64)
    start = rng.integers(2, max(3, days - 10), users)
    length = rng.integers(8, 15, users)
    pausing = _some(rng, users, 0.10) & ~excluded & ~leaving & (start + length < days)
    return (
        churn_day,
        np.where(pausing, start, days).astype(np.int64),
        np.where(pausing, start + length, days).astype(np.int64),
    )


def _people(
    rng: np.random.Generator, users: int, city: Ints
) -> tuple[list[str], list[str], list[str], list[str], Ints]:
    """Names, e-mail addresses, handles, locales and organisation numbers."""
    organisation = pick(rng, np.cumsum(zipf_weights(len(words.ORGANISATIONS), 0.6)), users)
    draws = rng.random((users, 2)).tolist()
    names, emails, handles = [], [], []
    locales = [words.CITIES[number].locale for number in city.tolist()]
    for index, (locale, (u, v), org) in enumerate(
        zip(locales, draws, organisation.tolist(), strict=True)
    ):
        firsts, lasts = words.FIRST_NAMES[locale], words.LAST_NAMES[locale]
        first, last = firsts[int(u * len(firsts))], lasts[int(v * len(lasts))]
        names.append(f"{first} {last}")
        given, family = ascii_slug(first), ascii_slug(last)
        emails.append(f"{given}.{family}{index}@{words.ORGANISATIONS[org]}.example")
        handles.append(f"{given[:3]}{family[:6]}{index}")
    return names, emails, handles, locales, organisation


def _opaque_ids(users: int, seed: int) -> list[str]:
    """Distinct ids that tell nothing about the order of sign-up (odd multiplier modulo 2**32)."""
    shift = (seed * 40_503 + 977) % 2**32
    return [f"usr_{(index * 2_654_435_761 + shift) % 2**32:08x}" for index in range(users)]


def _servers(users: int) -> tuple[list[str], list[str], list[str]]:
    """Ids, names and categories of the registry; it grows slowly with the company."""
    count = min(max(users // 5, 24), len(words.TECHNOLOGIES) * len(words.SERVER_SUFFIXES))
    technologies = len(words.TECHNOLOGIES)
    names = [
        f"{words.TECHNOLOGIES[number % technologies]}-mcp"
        f"{words.SERVER_SUFFIXES[number // technologies]}"
        for number in range(count)
    ]
    categories = [
        words.SERVER_CATEGORIES[(number * 5) % len(words.SERVER_CATEGORIES)]
        for number in range(count)
    ]
    return [f"srv_{number + 1:03d}" for number in range(count)], names, categories
