"""Content of the marketplace's events: transactions, interactions, reviews and portfolios.

Belongs here: builders of those categories. Does not: sign-ins, profiles, registry
(``payloads_platform``). Invariant: field names and types are those of the shipped catalogue; a
test validates a sample against it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from analytics_assets.sources.sample import vocabulary as words
from analytics_assets.sources.sample.draws import Ints, pick, zipf_weights
from analytics_assets.sources.sample.payloads import Builder, Built, Context

CURRENCIES: Final = ("EUR", "USD", "USD", "GBP", "EUR", "INR", "PLN", "BRL")
METHODS: Final = ("card", "sepa", "card", "paypal", "invoice")
REASONS: Final = ("price", "schedule", "skills", "duplicate")
SECTIONS: Final = ("headline", "skills", "rate", "availability", "about")
FILTERS: Final = ("category", "budget", "language", "rating", "location")
FILTER_VALUES: Final = ("web", "data", "under_500", "remote", "4_and_up", "fixed_price")
REFERRERS: Final = ("search", "dashboard", "notification", "direct", "share")
NOTICES: Final = ("proposal", "milestone", "message", "payment", "digest")


def _project(context: Context, rows: Ints, *, new: bool) -> Built:
    count = len(rows)
    ids = (
        context.entities.create("project", count)
        if new
        else context.entities.existing("project", context.rng, count)
    )
    queries, kinds, skills = words.PROJECT_QUERIES, words.PROJECT_TYPES, words.SKILLS
    data = [
        f'{{"title":"{queries[title].capitalize()}","budget":{budget},"project_type":'
        f'"{kinds[kind % 4]}","is_featured":{"false" if kind // 4 else "true"},'
        f'"skills":["{skills[one]}","{skills[(one + 1 + kind % 11) % 12]}"]}}'
        for title, budget, kind, one in zip(
            context.numbers(rows, 0, len(queries)),
            context.amounts(rows, 1_500),
            context.numbers(rows, 0, 40),
            context.numbers(rows, 0, len(skills)),
            strict=True,
        )
    ]
    return ids, data


def _project_deleted(context: Context, rows: Ints) -> Built:
    ids, data = _project(context, rows, new=False)
    return ids, data


def _proposal(context: Context, rows: Ints, *, new: bool) -> Built:
    count = len(rows)
    projects = context.entities.existing("project", context.rng, count)
    ids = (
        context.entities.create("proposal", count)
        if new
        else context.entities.existing("proposal", context.rng, count)
    )
    data = [
        f'{{"project_id":"{project}","bid_amount":{amount}}}'
        for project, amount in zip(projects, context.amounts(rows, 900), strict=True)
    ]
    return ids, data


def _milestone(context: Context, rows: Ints, *, new: bool) -> Built:
    count = len(rows)
    projects = context.entities.existing("project", context.rng, count)
    ids = (
        context.entities.create("milestone", count)
        if new
        else context.entities.existing("milestone", context.rng, count)
    )
    data = [
        f'{{"project_id":"{project}","amount":{amount}}}'
        for project, amount in zip(projects, context.amounts(rows, 600), strict=True)
    ]
    return ids, data


def _payment(context: Context, rows: Ints, *, new: bool) -> Built:
    count = len(rows)
    ids = (
        context.entities.create("payment", count)
        if new
        else context.entities.existing("payment", context.rng, count)
    )
    data = [
        f'{{"amount":{amount},"currency":"{CURRENCIES[number % 8]}","method":'
        f'"{METHODS[number // 8]}"}}'
        for amount, number in zip(
            context.amounts(rows, 450), context.numbers(rows, 0, 40), strict=True
        )
    ]
    return ids, data


def _profile_viewed(context: Context, rows: Ints) -> Built:
    viewed = context.other_users(len(rows))
    data = [
        f'{{"profile_user_id":"{user}","referrer":"{REFERRERS[number]}"}}'
        for user, number in zip(viewed, context.numbers(rows, 0, 5), strict=True)
    ]
    return viewed, data


def _project_viewed(context: Context, rows: Ints) -> Built:
    ids = context.entities.existing("project", context.rng, len(rows))
    data = [
        f'{{"project_id":"{project}","referrer":"{REFERRERS[number % 5]}",'
        f'"duration_seconds":{number}}}'
        for project, number in zip(ids, context.numbers(rows, 2, 400), strict=True)
    ]
    return ids, data


def _search(context: Context, rows: Ints) -> Built:
    queries = words.PROJECT_QUERIES
    drawn = pick(context.rng, zipf_weights(len(queries), 0.8).cumsum(), len(rows))
    data = [
        f'{{"query":"{queries[query]}","filters":{{"{FILTERS[number % 5]}":'
        f'"{FILTER_VALUES[number % 6]}"}},"results_count":{max(0, results - 6)},'
        f'"search_time_ms":{20 + number}}}'
        for query, number, results in zip(
            drawn.tolist(),
            context.numbers(rows, 0, 480),
            context.numbers(rows, 0, 120),
            strict=True,
        )
    ]
    return None, data


def _filter(context: Context, rows: Ints) -> Built:
    data = [
        f'{{"filter_name":"{FILTERS[number % 5]}","filter_value":"{FILTER_VALUES[number % 6]}",'
        f'"results_count":{number}}}'
        for number in context.numbers(rows, 0, 240)
    ]
    return None, data


def _message(context: Context, rows: Ints) -> Built:
    ids = context.entities.existing("conversation", context.rng, len(rows))
    data = [
        f'{{"conversation_id":"{thread}","recipient_user_id":"{recipient}","message_length":{length},'
        f'"has_attachment":{"true" if length % 9 == 0 else "false"}}}'
        for thread, recipient, length in zip(
            ids, context.other_users(len(rows)), context.numbers(rows, 4, 900), strict=True
        )
    ]
    return ids, data


def _notification(context: Context, rows: Ints) -> Built:
    ids = context.entities.existing("notification", context.rng, len(rows))
    data = [
        f'{{"notification_id":"{notice}","notification_type":"{NOTICES[number % 5]}",'
        f'"channel":"{"in_app" if number // 4 else "email"}"}}'
        for notice, number in zip(ids, context.numbers(rows, 0, 10), strict=True)
    ]
    return ids, data


def _review(context: Context, rows: Ints, *, new: bool) -> Built:
    count = len(rows)
    ids = (
        context.entities.create("review", count)
        if new
        else context.entities.existing("review", context.rng, count)
    )
    data = [
        f'{{"reviewee_user_id":"{user}","reviewee_type":'
        f'"{"freelancer" if number % 3 else "client"}","rating_overall":{2 + number % 4}}}'
        for user, number in zip(
            context.other_users(count), context.numbers(rows, 0, 24), strict=True
        )
    ]
    return ids, data


def _portfolio(context: Context, rows: Ints, *, new: bool) -> Built:
    count = len(rows)
    ids = (
        context.entities.create("portfolio", count)
        if new
        else context.entities.existing("portfolio", context.rng, count)
    )
    queries, skills = words.PROJECT_QUERIES, words.SKILLS
    data = [
        f'{{"title":"{queries[number % 20].capitalize()}","items_count":{1 + number % 14},'
        f'"skills":["{skills[number % 12]}"]}}'
        for number in context.numbers(rows, 0, 840)
    ]
    return ids, data


def _profile_updated(context: Context, rows: Ints) -> Built:
    ids = context.user_ids(rows)
    data = [f'{{"fields_changed":["{SECTIONS[n]}"]}}' for n in context.numbers(rows, 0, 5)]
    return ids, data


def _github(context: Context, rows: Ints) -> Built:
    ids = context.entities.existing("repository", context.rng, len(rows))
    data = [
        f'{{"repositories_count":{1 + number % 60},"commits_count":{number},'
        f'"languages":["{words.LANGUAGES[language]}"]}}'
        for number, language in zip(
            context.numbers(rows, 0, 900),
            context.company.language[context.slab.user[rows]].tolist(),
            strict=True,
        )
    ]
    return ids, data


MARKET_BUILDERS: Final[dict[str, Builder]] = {
    "project.created": partial(_project, new=True),
    "project.updated": partial(_project, new=False),
    "project.deleted": _project_deleted,
    "proposal.submitted": partial(_proposal, new=True),
    "proposal.accepted": partial(_proposal, new=False),
    "proposal.rejected": partial(_proposal, new=False),
    "milestone.created": partial(_milestone, new=True),
    "milestone.approved": partial(_milestone, new=False),
    "milestone.completed": partial(_milestone, new=False),
    "payment.initiated": partial(_payment, new=True),
    "payment.completed": partial(_payment, new=False),
    "payment.failed": partial(_payment, new=False),
    "profile.viewed": _profile_viewed,
    "project.viewed": _project_viewed,
    "search.performed": _search,
    "filter.applied": _filter,
    "message.sent": _message,
    "notification.clicked": _notification,
    "review.posted": partial(_review, new=True),
    "review.updated": partial(_review, new=False),
    "portfolio.created": partial(_portfolio, new=True),
    "portfolio.updated": partial(_portfolio, new=False),
    "profile.updated": _profile_updated,
    "github.synced": _github,
}
