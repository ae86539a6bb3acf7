"""What all commands share: settings, the console, and how a failure is told.

Invariant: expected failures print one sentence that says what to do, never a traceback.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.table import Table

from analytics_assets.settings import Settings, SettingsError, load_settings

# Without a terminal nobody sees where a line would have to break: cells are written whole.
PIPED_WIDTH = 240


def _console(stream: TextIO, *, stderr: bool) -> Console:
    # What is printed holds file names, messages and people's words: brackets and colons in it are
    # no markup.
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(stderr=stderr, width=width, markup=False, emoji=False)


console = _console(sys.stdout, stderr=False)
# Remarks beside the result go where they cannot spoil --json.
notes = errors = _console(sys.stderr, stderr=True)


@contextmanager
def told_plainly(*also: type[Exception]) -> Iterator[None]:
    """Turn the failures we know, and those a command names, into one message and exit code 1."""
    from analytics_assets.events.catalogue import CatalogueError
    from analytics_assets.privacy.plan import PlanError
    from analytics_assets.sources.errors import SourceError
    from analytics_assets.sources.sample.manifest import SampleError
    from analytics_assets.store.database import DatabaseUnavailable
    from analytics_assets.store.embedded import EmbeddedPostgresError

    known: tuple[type[Exception], ...] = (
        SettingsError,
        DatabaseUnavailable,
        EmbeddedPostgresError,
        CatalogueError,
        PlanError,
        SourceError,
        SampleError,
        *also,
    )
    try:
        yield
    except known as error:
        errors.print(f"error: {error}", style="bold red", highlight=False)
        raise typer.Exit(1) from None


def settings_or_exit(**overrides: Any) -> Settings:
    with told_plainly():
        return load_settings(**{k: v for k, v in overrides.items() if v is not None})


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """A table for people; numbers stand to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def print_json(value: Any) -> None:
    print(json.dumps(value, default=str, indent=2))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return str(value)
