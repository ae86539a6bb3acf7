"""``insights``: what models were asked and what it cost.

Invariant: costs name nobody; what names or quotes a person says so before it is shown.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from analytics_assets.cli.console import (
    console,
    print_json,
    print_table,
    settings_or_exit,
    told_plainly,
)

app = typer.Typer(help="What models read, said and cost.", no_args_is_help=True)
_MICROS = 1_000_000


@app.callback()
def _group() -> None:
    """What models read, said and cost."""


@app.command()
def costs(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days to look back.")] = 31,
    calls: Annotated[bool, typer.Option("--calls", help="Every call by itself.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --calls: how many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Tokens and dollars by day, stage and model, and what is left of the budget."""
    from analytics_assets.insights import costs as ledger
    from analytics_assets.insights.budget import spent
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    with told_plainly():
        database = open_migrated(settings)
        with database.connect("analytics_pipeline") as connection:
            rows: list[dict[str, Any]] = (
                [asdict(call) for call in ledger.calls(connection, days, limit)]
                if calls
                else [asdict(day) for day in ledger.costs_by_day(connection, days)]
            )
            now = spent(connection)
    caps = {
        "today": (now.today / _MICROS, settings.llm_daily_budget_usd),
        "this_month": (now.this_month / _MICROS, settings.llm_monthly_budget_usd),
    }
    if as_json:
        told = {name: {"spent_usd": used, "cap_usd": cap} for name, (used, cap) in caps.items()}
        print_json({"budget": told, "calls" if calls else "days": rows})
        return
    for row in rows:
        row["usd"] = f"{row.pop('cost_micros') / _MICROS:.6f}"
    if rows:
        print_table("Calls" if calls else "Costs", list(rows[0]), [list(r.values()) for r in rows])
    else:
        console.print("no model was asked in that time")
    for name, (used, cap) in caps.items():
        console.print(f"{name.replace('_', ' ')}: {used:.4f} of {cap:.2f} US dollars")
