"""``insights``: the answers, what models were asked, what it cost, and how good they are.

Invariant: answers and costs name nobody but the owner; what names or quotes a person says so before
it is shown.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from analytics_assets.cli.console import (
    console,
    errors,
    notes,
    print_json,
    print_table,
    settings_or_exit,
    told_plainly,
)

app = typer.Typer(help="Answers about product and users; what models read, said and cost.")


@app.callback(invoke_without_command=True)
def answers(
    context: typer.Context,
    week: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="A day of the week to tell; default: the newest one."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Are users getting value, where do they get stuck, who returns, what to build next."""
    if context.invoked_subcommand is not None:
        return
    from analytics_assets.insights.answers.success_metrics import WEEK, read_answers
    from analytics_assets.insights.answers.success_text import as_record, tables
    from analytics_assets.store.migrate import open_migrated
    from analytics_assets.windows import monday_of

    settings = settings_or_exit()
    monday = None if week is None else monday_of(week.date())
    with told_plainly():
        database = open_migrated(settings)
        with database.connect("analytics_pipeline") as connection:
            found, figures = read_answers(connection, monday)
    if found is None or not figures:
        errors.print(
            "error: there are no answers"
            + (f" for the week of {found}" if found else "")
            + ": nobody was active, or insights/success_metrics was not materialized "
            "(`analytics-assets run`)",
            style="bold red",
        )
        raise typer.Exit(1)
    if as_json:
        print_json({"week": found, "answers": [as_record(figure) for figure in figures]})
        return
    last = found + WEEK - timedelta(days=1)
    console.print(
        f"28 days to {last}; intervals of 95 %; people and conversations are rounded down",
        highlight=False,
    )
    for title, columns, rows in tables(figures):
        print_table(f"\n{title}", columns, rows)


@app.command()
def costs(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days to look back.")] = 31,
    calls: Annotated[bool, typer.Option("--calls", help="Every call by itself.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --calls: how many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Tokens and dollars by day, stage and model, and what is left of the budget."""
    from analytics_assets.insights.asking import costs as ledger
    from analytics_assets.insights.asking.budget import MICROS, spent
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
        "today": (now.today / MICROS, settings.llm_daily_budget_usd),
        "this_month": (now.this_month / MICROS, settings.llm_monthly_budget_usd),
    }
    if as_json:
        told = {name: {"spent_usd": used, "cap_usd": cap} for name, (used, cap) in caps.items()}
        print_json({"budget": told, "calls" if calls else "days": rows})
        return
    for row in rows:
        row["usd"] = f"{row.pop('cost_micros') / MICROS:.6f}"
    if rows:
        print_table("Calls" if calls else "Costs", list(rows[0]), [list(r.values()) for r in rows])
    else:
        console.print("no model was asked in that time")
    for name, (used, cap) in caps.items():
        console.print(f"{name.replace('_', ' ')}: {used:.4f} of {cap:.2f} US dollars")


@app.command()
def preview(
    user: Annotated[str, typer.Option("--user", help="The user's id.")],
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="UTC day; default: the user's last one."),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Put what no model has read yet to the model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Exactly what a model is sent about one consenting user, and the answer. Personal data."""
    from analytics_assets.insights.conversations import preview as previews
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    with told_plainly(previews.PreviewError):
        database = open_migrated(settings)
        shown = previews.preview(database, settings, user, day.date() if day else None, ask=ask)
    notes.print("personal data: for whoever may read this user's conversations, and no one else")
    if as_json:
        print_json([asdict(one) for one in shown])
        return
    print(f"--- instructions\n{shown[0].system}")
    for number, one in enumerate(shown, start=1):
        print(f"--- conversation {number} of {one.day}, as sent\n{one.text}")
        print(f"--- answer ({one.answered_by})")
        for name, value in one.answer.items():
            print(f"{name}: {value}")


@app.command("install-google-generativeai")
def install_google_generativeai() -> None:
    """Make the environment of ANALYTICS_LLM_PROVIDER=google_generativeai (about 170 MB)."""
    from analytics_assets.insights.providers import google_generativeai_setup as setup

    settings = settings_or_exit()
    with told_plainly(setup.SetupFailed):
        python = setup.install(settings.home)
    console.print(
        f"installed for {python}; set ANALYTICS_LLM_PROVIDER=google_generativeai to use it"
    )


@app.command("eval")
def evaluate(
    live: Annotated[
        bool, typer.Option("--live", help="Let the configured model read; this costs money.")
    ] = False,
    conversations: Annotated[
        int, typer.Option(min=50, help="With --live: how many it reads at most.")
    ] = 300,
    users: Annotated[int, typer.Option(min=50, help="Users of the generated company.")] = 400,
    days: Annotated[int, typer.Option(min=7, help="Days of it.")] = 35,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """How well conversations are read and grouped, measured on a company whose truth is known."""
    from analytics_assets.insights.asking.configured import configured
    from analytics_assets.insights.evaluation.report import measured
    from analytics_assets.insights.evaluation.world import generated
    from analytics_assets.insights.providers.pricing import cost_micros
    from analytics_assets.insights.vectors.workshop import WorkshopError

    model = configured(settings_or_exit()) if live else None
    if model is not None and model.provider is None:
        errors.print(f"error: no model can be asked: {model.why_none}", style="bold red")
        raise typer.Exit(1)
    with told_plainly(WorkshopError), tempfile.TemporaryDirectory() as folder:
        world = generated(
            Path(folder),
            users=users,
            days=days,
            provider=model.provider if model else None,
            limits=model.limits if model else None,
            most=conversations if live else None,
        )
        if world.facets:
            found = list(measured(world))
    if not world.facets:
        errors.print("error: the model answered nothing; `insights preview --ask` shows why")
        raise typer.Exit(1)
    cost = cost_micros(model.limits.price, world.usage) if model else None
    if as_json:
        print_json(
            {
                "read_by": world.read_by,
                "conversations": len(world.facets),
                "unread": world.unread,
                "cost_micros": cost,
                "measures": [{**asdict(one), "verdict": one.verdict} for one in found],
            }
        )
    else:
        print_table(
            f"{len(world.facets)} conversations read by {world.read_by}"
            + (f", {cost / 1e6:.4f} US dollars" if cost else ""),
            ["measure", "figure", "limit", "verdict", ""],
            [
                [
                    one.name,
                    "" if one.figure is None else f"{one.figure:.3f}",
                    ""
                    if one.limit is None
                    else ("≥ " if one.better == "higher" else "≤ ") + f"{one.limit:g}",
                    one.verdict,
                    one.note,
                ]
                for one in found
            ],
        )
    if any(one.verdict in ("missed", "not taken") for one in found):
        raise typer.Exit(1)
