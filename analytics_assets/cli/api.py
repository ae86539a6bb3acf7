"""``api``: serve the HTTP API.

Belongs here: the server and its processes. Does not: the app. Invariant: requests that were
accepted are committed before the process ends.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from analytics_assets.cli.console import settings_or_exit, told_plainly
from analytics_assets.settings import PREFIX, Settings, export_to_process

DRAIN_SECONDS = 15
BACKLOG = 512


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes.")] = None,
) -> None:
    """Serve the HTTP API until Ctrl-C."""
    settings = settings_or_exit(api_host=host, api_port=port, api_workers=workers)
    serve(settings)


def serve(settings: Settings) -> None:
    """Bring the database up to date and serve the API of ``settings`` in this process."""
    import uvicorn

    from analytics_assets.store.migrate import open_migrated

    with told_plainly():
        open_migrated(settings)
    # Server processes make their app from the environment.
    export_to_process({f"{PREFIX}HOME": str(settings.home)})
    uvicorn.run(
        "analytics_assets.api.app:from_environment",
        factory=True,
        host=settings.api_host,
        port=settings.api_port,
        workers=settings.api_workers,
        **server_options(),
    )


def server_options() -> dict[str, Any]:
    """How uvicorn serves us: our own log lines, no headers that name it, no proxy guessing."""
    return {
        "loop": "uvloop",
        "http": "httptools",
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": BACKLOG,
        "timeout_keep_alive": 30,
        "timeout_graceful_shutdown": DRAIN_SECONDS,
    }
