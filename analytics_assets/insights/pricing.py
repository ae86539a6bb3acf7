"""What a call costs, in millionths of a dollar.

Belongs here: list prices of the default models and the arithmetic. Invariant: an unknown model
costs None, never 0, so that a sum cannot look complete when it is not.
"""

from __future__ import annotations

from typing import NamedTuple

from analytics_assets.insights.provider import Usage


class Price(NamedTuple):
    """Dollars per million tokens, which are millionths of a dollar per token."""

    input: float
    output: float
    cached: float


# List prices of the paid tier in 2025; a lower or later price only makes the ledger's sum too high.
PRICES = {
    "gemini-2.5-flash-lite": Price(0.10, 0.40, 0.025),
    "gemini-2.5-flash": Price(0.30, 2.50, 0.075),
    "gemini-2.5-pro": Price(1.25, 10.00, 0.31),
}


def cost_micros(model: str, usage: Usage) -> int | None:
    """Cost of ``usage`` by ``model``, rounded up; None where its price is not known."""
    price = PRICES.get(model.removeprefix("models/"))
    if price is None:
        return None
    fresh = max(0, usage.input - usage.cached)
    total = fresh * price.input + usage.cached * price.cached + usage.output * price.output
    return -int(-total // 1)
