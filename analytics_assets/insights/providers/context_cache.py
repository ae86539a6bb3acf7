"""When it pays to have a vendor keep the instructions: its terms, and the arithmetic.

Belongs here: minimum lengths, prices of keeping, the decision. Does not: the wire (gemini.py).
Invariant: only instructions, which are the same for everybody, are ever kept with a vendor; in
doubt nothing is, because a prefix that repeats is mostly cached by itself, and for nothing.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from analytics_assets.insights.providers.pricing import Price

STAGE = "context_cache"
TTL_SECONDS = 3600
# English instructions; a little low, so that a text near the minimum is not offered in vain.
CHARS_PER_TOKEN = 4.5


class Terms(NamedTuple):
    """The fewest tokens that are kept, and dollars for keeping a million of them for an hour."""

    least_tokens: int
    storage: float


# As published in November 2025.
_TERMS = {
    "gemini-2.0-flash": Terms(4096, 1.00),
    "gemini-2.5-flash-lite": Terms(1024, 1.00),
    "gemini-2.5-flash": Terms(1024, 1.00),
    "gemini-2.5-pro": Terms(4096, 4.50),
}


@runtime_checkable
class CachingProvider(Protocol):
    """A model that can be told to keep instructions."""

    async def cache_instructions(self, system: str, seconds: int) -> int | None:
        """Have ``system`` kept; returns its tokens, or None where that was refused."""
        ...


def tokens_of(system: str) -> int:
    return int(len(system) / CHARS_PER_TOKEN)


def keeping_micros(model: str, price: Price, tokens: int) -> int:
    """What it costs to send ``tokens`` once and have them kept for an hour."""
    storage = _TERMS[model.removeprefix("models/")].storage * TTL_SECONDS / 3600
    return -int(-tokens * (price.input + storage) // 1)


def worth_keeping(model: str, price: Price, system: str, questions: int) -> int | None:
    """What keeping would cost at most (millionths of a dollar), or None where it does not pay.

    ``questions`` are asked within the hour. Each saves what its cached tokens are cheaper.
    """
    terms = _TERMS.get(model.removeprefix("models/"))
    tokens = tokens_of(system)
    if terms is None or tokens < terms.least_tokens:
        return None
    saved = questions * tokens * (price.input - price.cached)
    # A token is a byte at least: what is reserved is never too little.
    most = keeping_micros(model, price, len(system.encode()))
    return most if saved > keeping_micros(model, price, tokens) else None
