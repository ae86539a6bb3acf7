"""Content of the platform's own events: accounts, profile analyses, actions, registry.

Belongs here: builders of those categories. Does not: the marketplace (``payloads_market``).
Invariant: what the truth file says about installs, queries and AI share is observed here, on the
very values that are written.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Final

import numpy as np

from analytics_assets.sources.sample import vocabulary as words
from analytics_assets.sources.sample.draws import Floats, Ints, pick, zipf_weights
from analytics_assets.sources.sample.payloads import Builder, Built, Context

PROVIDERS: Final = ("github", "google", "password", "github", "sso")
CHANNELS: Final = ("link", "email", "slack", "social")
LIMITS: Final = (100, 250, 500, 1_000)
RARE_QUERY_SHARE: Final = 0.12
# The AI share rises by a quarter of a point a day at first and by 20 points in the long run.
AI_RISE_POINTS: Final = 20.0
AI_RISE_DAYS: Final = 80.0
SECOND_LANGUAGE_SHARE: Final = 0.6
SECOND_TOOL_SHARE: Final = 0.4


def _account(context: Context, rows: Ints, *, template: str) -> Built:
    """Events about the acting user; the template takes p (provider), b (boolean), n (number)."""
    data = [
        template % {"p": PROVIDERS[n % 5], "b": "false" if n % 7 // 3 else "true", "n": n}
        for n in context.numbers(rows, 0, 3_500)
    ]
    return context.user_ids(rows), data


def _session(context: Context, rows: Ints, *, ended: bool) -> Built:
    ids = [context.session_ids[number] for number in context.slab.session[rows].tolist()]
    if not ended:
        return ids, [f'{{"entry_page":"/{words.SKILLS[n]}"}}' for n in context.numbers(rows, 0, 12)]
    return ids, [f'{{"duration_seconds":{n}}}' for n in context.numbers(rows, 30, 7_200)]


def _profile_analyzed(context: Context, rows: Ints) -> Built:
    """Scores near the user's own, an AI share that rises slowly, the modal language first."""
    company = context.company
    user = context.slab.user[rows]
    noise = context.rng.normal(0, 1, (len(rows), 5)) * np.array([3.0, 3.0, 3.0, 3.0, 2.0])
    scores = company.scores[user] + noise
    scores[:, 4] += AI_RISE_POINTS * (1 - np.exp(-context.slab.day / AI_RISE_DAYS))
    whole = np.clip(np.round(scores), 0, 100).astype(np.int64)
    count, total = context.observations.ai.get(context.slab.day, (0, 0))
    context.observations.ai[context.slab.day] = (count + len(rows), total + int(whole[:, 4].sum()))
    bilingual = context.rng.random(len(rows)) < SECOND_LANGUAGE_SHARE
    two_tools = context.rng.random(len(rows)) < SECOND_TOOL_SHARE
    data = [
        f'{{"archetype":"{words.ARCHETYPES[archetype]}","activity_score":{activity},'
        f'"collab_score":{collab},"diversity_score":{diversity},"ai_savviness":{savviness},'
        f'"ai_percentage":{share},"languages":{_names(words.LANGUAGES, first, second, more)},'
        f'"tools":{_names(words.AI_TOOLS, tool, side_tool, both)}}}'
        for archetype, (activity, collab, diversity, savviness, share), first, second, tool,
        side_tool, more, both in zip(
            company.archetype[user].tolist(),
            whole.tolist(),
            company.language[user].tolist(),
            company.side_language[user].tolist(),
            company.tool[user].tolist(),
            company.side_tool[user].tolist(),
            bilingual.tolist(),
            two_tools.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    return context.user_ids(rows), data


def _names(names: tuple[str, ...], first: int, second: int, both: bool) -> str:
    if both and first != second:
        return f'["{names[first]}","{names[second]}"]'
    return f'["{names[first]}"]'


def _package(context: Context, rows: Ints) -> Built:
    templates = words.PACKAGE_TEMPLATES
    drawn = pick(context.rng, zipf_weights(len(templates), 0.9).cumsum(), len(rows))
    data = [f'{{"template":"{templates[number]}"}}' for number in drawn.tolist()]
    return context.entities.create("package", len(rows)), data


def _download(context: Context, rows: Ints) -> Built:
    ids = context.entities.existing("media", context.rng, len(rows))
    return ids, [f'{{"media_id":"{media}"}}' for media in ids]


def _share(context: Context, rows: Ints) -> Built:
    ids = context.entities.existing("media", context.rng, len(rows))
    data = [
        f'{{"media_id":"{media}","channel":"{CHANNELS[number]}"}}'
        for media, number in zip(ids, context.numbers(rows, 0, 4), strict=True)
    ]
    return ids, data


def _credit_limit(context: Context, rows: Ints) -> Built:
    data = [
        f'{{"credits_used":{LIMITS[number]},"credits_limit":{LIMITS[number]}}}'
        for number in context.numbers(rows, 0, 4)
    ]
    return context.user_ids(rows), data


@lru_cache(maxsize=1)
def registry_queries() -> tuple[list[str], Floats]:
    """The queries many people type, most frequent first, and their running probabilities."""
    technologies = words.TECHNOLOGIES
    queries = list(technologies) + [
        f"{technology} {subject}" for subject in words.QUERY_SUBJECTS for technology in technologies
    ]
    return queries, np.cumsum(zipf_weights(len(queries), 1.05, offset=0.5))


def _registry_search(context: Context, rows: Ints) -> Built:
    """Zipf queries, and some that hardly two people ever type."""
    queries, cumulative = registry_queries()
    drawn = pick(context.rng, cumulative, len(rows))
    rare = context.rng.random(len(rows)) < RARE_QUERY_SHARE
    context.observations.add(context.observations.queries, queries, drawn[~rare])
    odd = words.RARE_WORDS
    texts = [
        f"{odd[number % 16]} {odd[number // 16 % 16]} {number}" if seldom else queries[query]
        for query, seldom, number in zip(
            drawn.tolist(), rare.tolist(), context.numbers(rows, 1_000, 900_000), strict=True
        )
    ]
    results = np.where(rare, 0, context.rng.integers(1, 60, len(rows))).tolist()
    data = [
        f'{{"query":"{text}","results":{count}}}'
        for text, count in zip(texts, results, strict=True)
    ]
    return None, data


def _install(context: Context, rows: Ints) -> Built:
    ids = context.company.server_ids
    drawn = pick(context.rng, context.company.server_cumulative, len(rows))
    context.observations.add(context.observations.installs, ids, drawn)
    chosen = [ids[number] for number in drawn.tolist()]
    data = [
        f'{{"server_id":"{server}","version":"1.{number % 9}.{number // 9}"}}'
        for server, number in zip(chosen, context.numbers(rows, 0, 36), strict=True)
    ]
    return chosen, data


PLATFORM_BUILDERS: Final[dict[str, Builder]] = {
    "user.login": partial(_account, template='{"provider":"%(p)s","mfa_used":%(b)s}'),
    "user.logout": partial(_account, template='{"session_seconds":%(n)d}'),
    "user.registered": partial(_account, template='{"provider":"%(p)s"}'),
    "session.started": partial(_session, ended=False),
    "session.ended": partial(_session, ended=True),
    "password.changed": partial(_account, template='{"forced":%(b)s}'),
    "mfa.enabled": partial(_account, template='{"method":"totp"}'),
    "mfa.disabled": partial(_account, template='{"method":"totp"}'),
    "profile_analyzed": _profile_analyzed,
    "package_generated": _package,
    "download": _download,
    "share": _share,
    "credit_limit": _credit_limit,
    "search_performed": _registry_search,
    "server_installed": _install,
}
