"""``analytics-assets``: the list of commands.

Belongs here: wiring. Does not: what commands do. Invariant: listing commands imports nothing heavy.
"""

from __future__ import annotations

import typer

from analytics_assets.cli import (
    api,
    bench,
    doctor,
    insights,
    keys,
    privacy,
    privacy_audit,
    run,
    sample,
    serve,
    sources,
    store,
)

app = typer.Typer(
    name="analytics-assets",
    help="Run and look after the analytics platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.run)
app.command("up")(serve.up)
app.command("exec", context_settings={"ignore_unknown_options": True})(serve.execute)
app.command("sample")(sample.sample)
app.command("migrate")(store.migrate)
app.command("psql")(store.psql)
app.command("stop")(store.stop)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.command("api")(api.api)
app.add_typer(sources.app, name="sources")
app.add_typer(keys.app, name="keys")
privacy.app.command("audit")(privacy_audit.audit)
privacy.app.command("report")(privacy_audit.report)
app.add_typer(privacy.app, name="privacy")
app.add_typer(insights.app, name="insights")


def main() -> None:
    app()
