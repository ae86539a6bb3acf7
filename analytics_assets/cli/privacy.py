"""``privacy``: what an officer asks of the platform.

Invariant: nothing printed names a person but the consent ledger, which says so; a request that was
not fulfilled ends with exit code 1.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

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

app = typer.Typer(help="Requests of people, and what the platform keeps.", no_args_is_help=True)


@app.callback()
def privacy() -> None:
    """Requests of people, and what the platform keeps."""


@app.command("erase")
def erase(
    person: Annotated[str, typer.Argument(help="User id or subject, as the source declares it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove a person and keep them out of every load; what was released stays."""
    from analytics_assets.privacy.erasure import PersonUnknown
    from analytics_assets.privacy.erasure import erase as erase_person
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    with (
        told_plainly(PersonUnknown),
        open_migrated(settings).connect("analytics_pipeline", autocommit=True) as connection,
    ):
        erasure = erase_person(connection, person, settings.now())
    if as_json:
        print_json({**asdict(erasure), "complete": erasure.complete})
    else:
        print_table(
            "rows deleted", ["table", "rows"], [list(row) for row in erasure.deleted.items()]
        )
        console.print(
            f"{erasure.accounts} user ids and subjects; {erasure.days} days are rebuilt by the "
            "next run. Loads leave the person's rows out from now on, also where a source still "
            "sends them. Archives and warehouses are not reached from here."
        )
    if not erasure.complete:
        left = ", ".join(f"{table}: {rows}" for table, rows in erasure.survivors.items())
        errors.print(
            f"error: rows came while they were deleted ({left}); run it again once no load is on",
            style="bold red",
        )
        raise typer.Exit(1)


@app.command("readmit")
def readmit(
    names: Annotated[list[str], typer.Argument(help="User ids and subjects the person has now.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let an erased person who came back in again: rows from now on, none from before."""
    from analytics_assets.privacy.suppression import NotSuppressed
    from analytics_assets.privacy.suppression import readmit as readmit_names
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    with (
        told_plainly(NotSuppressed),
        open_migrated(settings).connect("analytics_pipeline") as connection,
    ):
        count = readmit_names(connection, names, settings.now())
    if as_json:
        print_json({"readmitted": count, "from": settings.now()})
        return
    console.print(
        f"{count} of {len(names)} readmitted: rows of {settings.now():%Y-%m-%d %H:%M} UTC and "
        "later are loaded again. Consent does not come back with them: ask for it anew."
    )


@app.command("consent")
def consent(
    user: Annotated[str | None, typer.Option("--user", help="The user's id.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What for, such as insights.")] = None,
    text_version: Annotated[
        str | None, typer.Option(help="Version of the text that was agreed to.")
    ] = None,
    granted: Annotated[
        bool | None, typer.Option("--granted/--withdrawn", help="What the person decided.")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show what was stated. Personal data.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Record a person's decision, or list the ledger."""
    from analytics_assets.privacy.consent import ConsentError, Decision, record, statements
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    if listed == (granted is not None):
        errors.print("error: give --granted, --withdrawn or --list", style="bold red")
        raise typer.Exit(2)
    if not listed and None in (user, purpose, text_version):
        errors.print(
            "error: a decision needs --user, --purpose and --text-version", style="bold red"
        )
        raise typer.Exit(2)
    with (
        told_plainly(ConsentError),
        open_migrated(settings).connect("analytics_pipeline") as connection,
    ):
        if not listed:
            decision: Decision = "granted" if granted else "withdrawn"
            number = record(
                connection, str(user), str(purpose), str(text_version), decision, settings.now()
            )
        else:
            found = statements(connection, user, purpose)
    if not listed:
        if as_json:
            print_json({"consent_id": number, "decision": decision})
        else:
            console.print(f"recorded as number {number}: {decision}")
        return
    notes.print("personal data: for whoever may see who agreed to what, and no one else")
    rows = [asdict(statement) for statement in found]
    if as_json:
        print_json(rows)
    elif rows:
        print_table("statements, newest first", list(rows[0]), [list(r.values()) for r in rows])
    else:
        console.print("nothing was stated")
