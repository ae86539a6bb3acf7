"""``keys``: make, list, rotate and revoke keys of the HTTP API.

Invariant: a key is printed once, alone on standard output, so that it can be piped where it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analytics_assets.cli.console import (
    notes,
    print_json,
    print_table,
    settings_or_exit,
    told_plainly,
)

if TYPE_CHECKING:
    import psycopg

app = typer.Typer(help="Keys of the HTTP API.", no_args_is_help=True)
_Days = Annotated[int, typer.Option("--expires-in-days", min=1, max=3650, help="Lifetime.")]
_Reference = Annotated[str, typer.Argument(help="A key's id, or its name.")]


@contextmanager
def _store() -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """A connection and the signing secret; failures told plainly."""
    from analytics_assets.api.tokens import ApiKeyError, signing_secret
    from analytics_assets.store.migrate import open_migrated

    settings = settings_or_exit()
    with told_plainly(ApiKeyError):
        database = open_migrated(settings)
        with database.connect("analytics_pipeline", autocommit=True) as connection:
            yield connection, signing_secret(database.secrets_dir)


@app.command("create")
def create(
    scope: Annotated[str, typer.Option(help="What it may do, with commas between.")],
    name: Annotated[str, typer.Option(help="What it is for; the source of what it sends.")],
    developer: Annotated[str | None, typer.Option(help="Whose key it is.")] = None,
    organization: Annotated[str | None, typer.Option(help="For which organization.")] = None,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute.")] = 100,
    origin: Annotated[
        list[str] | None, typer.Option(help="A web page's origin that may use it; repeatable.")
    ] = None,
    days: _Days = 365,
    test: Annotated[bool, typer.Option("--test", help="Name it aa_test_... instead.")] = False,
) -> None:
    """Make a key and print it, once."""
    from analytics_assets.api.tokens import NewKey, create_key

    key = NewKey(
        name=name,
        scopes=tuple(part.strip() for part in scope.split(",") if part.strip()),
        environment="test" if test else "live",
        developer_id=developer,
        organization_id=organization,
        requests_per_minute=rate,
        allowed_origins=tuple(origin or ()),
        lifetime=timedelta(days=days),
    )
    with _store() as (connection, secret):
        key_id, token = create_key(connection, secret, key)
    _show(key_id, token)


@app.command("rotate")
def rotate(
    reference: _Reference,
    grace_hours: Annotated[
        float, typer.Option(min=0, help="How long the old key goes on working.")
    ] = 24,
    days: _Days = 365,
) -> None:
    """Make a new key like an old one, and let the old one expire."""
    from analytics_assets.api.tokens import rotate_key

    with _store() as (connection, secret):
        key_id, token = rotate_key(
            connection,
            secret,
            reference,
            grace=timedelta(hours=grace_hours),
            lifetime=timedelta(days=days),
        )
    _show(key_id, token)


@app.command("revoke")
def revoke(reference: _Reference) -> None:
    """Refuse a key, in all processes within two seconds."""
    from analytics_assets.api.tokens import revoke_key

    with _store() as (connection, _):
        key_id = revoke_key(connection, reference)
    notes.print(f"{key_id} is revoked")


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show all keys; the keys themselves are not kept."""
    from analytics_assets.api.tokens import list_keys

    with _store() as (connection, _):
        found = list_keys(connection)
    if as_json:
        print_json(found)
        return
    columns = ["key_id", "name", "environment", "scopes", "requests_per_minute", "expires_at",
               "revoked_at"]  # fmt: skip
    print_table("keys", columns, [[_cell(row[name]) for name in columns] for row in found])


def _show(key_id: str, token: str) -> None:
    notes.print(f"{key_id}: this is the only time the key is shown", highlight=False)
    print(token)


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
