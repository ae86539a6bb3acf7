"""``privacy audit`` and ``privacy report``: attacks on what was released, and the officer's page.

Invariant: figures are rates and numbers of cells, never counts of people; an attack that succeeded
ends with exit code 1.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from analytics_assets.privacy.audit.outcome import Outcome

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def audit(
    everything: Annotated[
        bool, typer.Option("--all", help="Every period there is truth for, not only the newest.")
    ] = False,
    generated: Annotated[
        bool,
        typer.Option(
            "--generated",
            help="Attack releases of generated people in scratch databases instead (minutes).",
        ),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Attack what was released: attack, figure, limit, verdict. Exit code 1 if one succeeded."""
    from analytics_assets.privacy.audit.battery import NEWEST, audit_deployment, rehearse
    from analytics_assets.privacy.audit.outcome import broken
    from analytics_assets.privacy.audit.rehearsal import RehearsalError
    from analytics_assets.privacy.audit.traces import folders_of
    from analytics_assets.privacy.plan import shipped_plan
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    with told_plainly(RehearsalError):
        database = open_migrated(settings)
        if generated:
            notes.print("releasing generated worlds; this takes minutes")
            with tempfile.TemporaryDirectory(prefix="analytics-audit-") as folder:
                found = rehearse(database, shipped_plan(), settings.dbt_project_dir, Path(folder))
        else:
            found = audit_deployment(
                database,
                shipped_plan(),
                settings.now(),
                newest=None if everything else NEWEST,
                artifacts=folders_of(settings),
            )
    if as_json:
        print_json([asdict(outcome) for outcome in found])
    else:
        print_table(
            "attacks on what was released",
            ["attack", "what", "figure", "limit", "verdict", "trials", "note"],
            [row_of(outcome) for outcome in found],
        )
    lost = broken(found)
    if lost:
        errors.print(
            f"{len(lost)} attacks succeeded: stop reading the tables out to others and see "
            "docs/privacy.md, How to read the audit",
            style="bold red",
        )
        raise typer.Exit(1)


def report(
    as_json: _Json = False,
    audited: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Attack the newest release for it, too.")
    ] = True,
) -> None:
    """Print the privacy report: Markdown, or JSON."""
    from analytics_assets.events.catalogue import load_catalogue
    from analytics_assets.privacy.compliance import as_markdown, make_report
    from analytics_assets.privacy.plan import shipped_plan
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    with told_plainly():
        made = make_report(
            open_migrated(settings),
            load_catalogue(settings.catalogue_folders),
            shipped_plan(),
            settings.now(),
            audited=audited,
        )
    if as_json:
        print_json(made)
    else:
        console.print(as_markdown(made), highlight=False, soft_wrap=True)


def row_of(outcome: Outcome) -> list[str]:
    figure = "" if outcome.figure is None else f"{outcome.figure:g}"
    trials = f"{outcome.trials:,}"
    return [
        outcome.attack, outcome.what, figure, outcome.limit, outcome.verdict, trials, outcome.note
    ]  # fmt: skip
