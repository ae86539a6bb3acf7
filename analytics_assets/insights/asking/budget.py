"""The caps on what models may cost, and what a question can cost at most.

Belongs here: estimates, the caps, reading what was spent. Does not: writing calls down (ledger.py).
Invariant: what is reserved is never less than what the call can be billed, and the sum of
everything reserved or spent never passes a cap, whatever crashes in between.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from analytics_assets.insights.providers.json_schema import schema_of
from analytics_assets.insights.providers.pricing import FROM_SETTINGS, Price, cost_micros, price_of
from analytics_assets.insights.providers.protocol import Request, Usage

if TYPE_CHECKING:
    from analytics_assets.settings import Settings

MICROS = 1_000_000
OVER_DAILY = "daily_budget_spent"
OVER_MONTHLY = "monthly_budget_spent"
_LOCK = "ops.llm_call:budget"
# What a repair adds to the prompt, generously.
_REPAIR_BYTES = 1_000

# Money is spent by the system's clock, whatever day the platform's clock stands at. A call without
# a settled cost counts with what was reserved for it.
_SPENT = """
select
    coalesce(sum(coalesce(cost_micros, reserved_micros)) filter (
        where started_at >= date_trunc('day', clock_timestamp(), 'UTC')
    ), 0)::bigint,
    coalesce(sum(coalesce(cost_micros, reserved_micros)), 0)::bigint
from ops.llm_call
where started_at >= date_trunc('month', clock_timestamp(), 'UTC')
"""


class Spent(NamedTuple):
    """Millionths of a dollar spent or reserved since midnight and since the first, UTC."""

    today: int
    this_month: int


@dataclass(frozen=True)
class Budget:
    """Hard caps in millionths of a dollar, and the price they are reckoned with."""

    price: Price
    daily_micros: int
    monthly_micros: int

    @classmethod
    def from_settings(cls, settings: Settings, model: str) -> Budget | None:
        """The configured caps; None where the model's price is neither listed nor set."""
        price = configured_price(settings, model)
        if price is None:
            return None
        return cls(
            price,
            round(settings.llm_daily_budget_usd * MICROS),
            round(settings.llm_monthly_budget_usd * MICROS),
        )

    def worst_case(self, request: Request, *, batched: bool = False) -> int:
        """The most the question can cost: a token is at least a byte, an answer that was cut is
        asked again with twice the room.
        """
        schema = len(json.dumps(schema_of(request.schema)))
        first = len(request.system.encode()) + len(request.text.encode()) + schema
        repaired = 0 if batched else first + _REPAIR_BYTES
        rounds = 1 if batched else 3
        usage = Usage(first + repaired, rounds * request.config.max_output_tokens)
        return cost_micros(self.price, usage, batched=batched) or 0

    def exceeded(self, conn: psycopg.Connection[Any], wanted: int) -> str | None:
        """Which cap ``wanted`` more would pass, or None. Holds off every other reservation until
        the caller's transaction ends.
        """
        conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LOCK])
        now = spent(conn)
        if now.today + wanted > self.daily_micros:
            return OVER_DAILY
        return OVER_MONTHLY if now.this_month + wanted > self.monthly_micros else None


def spent(conn: psycopg.Connection[Any]) -> Spent:
    """What all stages have spent or reserved."""
    today, this_month = conn.execute(_SPENT).fetchone() or (0, 0)
    return Spent(today, this_month)


def configured_price(settings: Settings, model: str) -> Price | None:
    """The price set by the operator, else the list's."""
    if settings.llm_input_usd_per_million is not None:
        output = settings.llm_output_usd_per_million or 0.0
        fresh = settings.llm_input_usd_per_million
        return Price(fresh, output, fresh, 1.0, FROM_SETTINGS)
    from datetime import UTC, datetime

    return price_of(model, datetime.now(UTC).date())


def why_exceeded(cap: str) -> str:
    """What to tell the operator."""
    period, setting = (
        ("day", "ANALYTICS_LLM_DAILY_BUDGET_USD")
        if cap == OVER_DAILY
        else ("month", "ANALYTICS_LLM_MONTHLY_BUDGET_USD")
    )
    return (
        f"the budget of the {period} is spent; raise {setting} or let a later run go on "
        "(`analytics-assets insights costs` shows where it went)"
    )
