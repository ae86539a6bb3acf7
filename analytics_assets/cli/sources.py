"""``analytics-assets sources``: look at sources without loading them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analytics_assets.cli.console import (
    console,
    errors,
    print_json,
    print_table,
    settings_or_exit,
    told_plainly,
)

app = typer.Typer(help="Look at the sources file.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at the sources file."""


@app.command()
def check(
    path: Annotated[Path | None, typer.Argument(help="Sources file; default: the set one.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say what is missing or of the wrong type in each source."""
    from analytics_assets.sources.check import check_sources

    settings = settings_or_exit()
    file = path or settings.sources_file
    if file is None:
        errors.print("error: name a sources file, or set ANALYTICS_SOURCES_FILE", style="bold red")
        raise typer.Exit(2)
    with told_plainly():
        findings = check_sources(file, settings)
    rows = [vars(finding) for finding in findings]
    if as_json:
        print_json(rows)
    elif rows:
        print_table("Sources", list(rows[0]), [list(row.values()) for row in rows])
    else:
        console.print("all sources can be read and have what their tables need")
    if rows:
        raise typer.Exit(1)
