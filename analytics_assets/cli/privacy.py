"""``privacy``: what an officer asks of the platform.

Invariant: nothing printed names a person; a request that was not fulfilled ends with exit code 1.
"""

from __future__ import annotations

from dataclasses import asdict
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

app = typer.Typer(help="Requests of people, and what the platform keeps.", no_args_is_help=True)


@app.callback()
def privacy() -> None:
    """Requests of people, and what the platform keeps."""


@app.command("erase")
def erase(
    person: Annotated[str, typer.Argument(help="User id or subject, as the source declares it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove a person from raw, vault, marts and insights; what was released stays."""
    from analytics_assets.privacy.erasure import PersonUnknown
    from analytics_assets.privacy.erasure import erase as erase_person
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    with (
        told_plainly(PersonUnknown),
        open_migrated(settings).connect("analytics_pipeline", autocommit=True) as connection,
    ):
        erasure = erase_person(connection, person)
    if as_json:
        print_json({**asdict(erasure), "complete": erasure.complete})
    else:
        print_table(
            "rows deleted", ["table", "rows"], [list(row) for row in erasure.deleted.items()]
        )
        console.print(
            f"{erasure.accounts} user ids and subjects; {erasure.days} days are rebuilt by the "
            "next run. Sources that still send the person bring the rows back: remove them there "
            "first. Archives and warehouses are not reached from here."
        )
    if not erasure.complete:
        left = ", ".join(f"{table}: {rows}" for table, rows in erasure.survivors.items())
        errors.print(
            f"error: rows came while they were deleted ({left}); run it again once no load is on",
            style="bold red",
        )
        raise typer.Exit(1)
