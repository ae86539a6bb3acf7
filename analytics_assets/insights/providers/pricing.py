"""What a call costs, in millionths of a dollar.

Belongs here: list prices, dated, and the arithmetic. Does not: caps (asking/budget.py). Invariant:
an unknown model costs None, never 0, so that a sum cannot look complete when it is not; a price is
never edited in place: a change is a new row with its date and a new version of the list.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from analytics_assets.insights.providers.protocol import Usage

PRICE_LIST = "list-2025-11"
FROM_SETTINGS = "settings"


class Price(NamedTuple):
    """Dollars per million tokens, which are millionths of a dollar per token.

    ``batch`` is what a batched call costs of an online one; ``version`` says where it stands.
    """

    input: float
    output: float
    cached: float
    batch: float = 1.0
    version: str = PRICE_LIST


class _Listed(NamedTuple):
    model: str
    since: date
    price: Price


# List prices of the paid tier; a later lower price only makes the ledger's sum too high.
_LIST = (
    _Listed("gemini-2.0-flash-lite", date(2025, 2, 25), Price(0.075, 0.30, 0.075, 0.5)),
    _Listed("gemini-2.0-flash", date(2025, 2, 5), Price(0.10, 0.40, 0.025, 0.5)),
    _Listed("gemini-2.5-flash-lite", date(2025, 7, 22), Price(0.10, 0.40, 0.025, 0.5)),
    _Listed("gemini-2.5-flash", date(2025, 6, 17), Price(0.30, 2.50, 0.075, 0.5)),
    _Listed("gemini-2.5-pro", date(2025, 6, 17), Price(1.25, 10.00, 0.31, 0.5)),
)


def price_of(model: str, on: date) -> Price | None:
    """The list price of ``model`` on a day; before its first date the first one holds."""
    rows = sorted(
        (row for row in _LIST if row.model == model.removeprefix("models/")),
        key=lambda row: row.since,
    )
    if not rows:
        return None
    return next((row.price for row in reversed(rows) if row.since <= on), rows[0].price)


def cost_micros(price: Price | None, usage: Usage, *, batched: bool = False) -> int | None:
    """Cost of ``usage`` at ``price``, rounded up; None where the price is not known."""
    if price is None:
        return None
    fresh = max(0, usage.input - usage.cached)
    share = price.batch if batched else 1.0
    # A token the vendor had cached costs in a batch what it costs online.
    cached = min(price.cached, price.input * share)
    total = share * (fresh * price.input + usage.output * price.output) + usage.cached * cached
    return -int(-total // 1)
