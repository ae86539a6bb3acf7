"""``analytics-assets doctor``: what is wrong, by name, and what to do about it.

Belongs here: looking. Does not: mending. Invariant: it changes nothing, and exits 1 when
something is wrong.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from analytics_assets.cli.console import print_json, print_table
from analytics_assets.settings import PREFIX, Settings, SettingsError, load_settings


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``state`` is ok, note or wrong."""

    what: str
    state: str
    detail: str


def doctor(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Look at settings, disk, ports, database, manifest, sources and keys."""
    try:
        settings = load_settings()
    except SettingsError as error:
        findings = [Finding("settings", "wrong", str(error))]
    else:
        findings = [_python(), *(look(settings) for look in _LOOKS)]
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        print_table(
            "doctor", ["what", "state", "detail"], [[f.what, f.state, f.detail] for f in findings]
        )
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding("python", "ok" if good else "wrong", f"{version}; 3.11 to 3.13 are supported")


def _disk(settings: Settings) -> Finding:
    place = next(p for p in (settings.home, *settings.home.parents) if p.exists())
    free = shutil.disk_usage(place).free // 2**20
    enough = free >= settings.min_free_disk_mib
    return Finding(
        "disk",
        "ok" if enough else "wrong",
        f"{free:,} MiB free for {settings.home}; {PREFIX}MIN_FREE_DISK_MIB asks for "
        f"{settings.min_free_disk_mib:,}",
    )


def _ports(settings: Settings) -> Finding:
    """Ports of ``up``; where the UI is Dagster's own, the platform runs already."""
    if _is_dagster(settings):
        return Finding("ports", "ok", f"the UI is up on port {settings.ui_port}")
    taken = [
        f"port {port} is in use by another program: stop it, or set {PREFIX}{name} to another port"
        for name, host, port in (
            ("UI_PORT", settings.ui_host, settings.ui_port),
            ("CODE_SERVER_PORT", settings.code_server_host, settings.code_server_port),
        )
        if _answers(host, port)
    ]
    if taken:
        return Finding("ports", "wrong", "; ".join(taken))
    if _answers(settings.api_host, settings.api_port) and not _is_api(settings):
        return Finding(
            "ports",
            "note",
            f"port {settings.api_port} is in use by another program: `up` will not start the HTTP "
            f"API; stop it, or set {PREFIX}API_PORT to another port",
        )
    return Finding("ports", "ok", f"{settings.ui_port} and {settings.code_server_port} are free")


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _is_dagster(settings: Settings) -> bool:
    return "dagster_webserver_version" in _told(settings.ui_host, settings.ui_port, "/server_info")


def _is_api(settings: Settings) -> bool:
    return _told(settings.api_host, settings.api_port, "/healthz") == {"status": "ok"}


def _told(host: str, port: int, path: str) -> dict[str, Any]:
    """What is answered there; empty where that is no JSON object."""
    import httpx

    try:
        told = httpx.get(f"http://{host}:{port}{path}", timeout=2).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _database(settings: Settings) -> Finding:
    from analytics_assets.store.database import Database, DatabaseUnavailable, check_version
    from analytics_assets.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
    from analytics_assets.store.embedded_binaries import locate_binaries
    from analytics_assets.store.migrate import is_migrated

    try:
        if settings.database_url is None:
            server = EmbeddedPostgres(settings.home)
            locate_binaries()
            if not server.is_running():
                return Finding(
                    "database", "note", "the embedded server is down; `make run` starts it"
                )
        database = Database.open(settings)
        with database.connect_as_admin("postgres") as connection:
            check_version(connection)
            version = connection.info.server_version
        if not is_migrated(database):
            return Finding("database", "wrong", "not up to date: run `analytics-assets migrate`")
    except (DatabaseUnavailable, EmbeddedPostgresError) as error:
        return Finding("database", "wrong", str(error))
    return Finding("database", "ok", f"Postgres {version // 10000}, up to date")


def _manifest(settings: Settings) -> Finding:
    from analytics_assets.manifest import manifest_is_current

    current = manifest_is_current(settings)
    return Finding(
        "manifest",
        "ok" if current else "note",
        "current" if current else "stale or missing: the next `make run` rebuilds it",
    )


def _sources(settings: Settings) -> Finding:
    file = settings.sources_file
    if file is None:
        return Finding("sources", "note", "none set; `make run` writes and loads a sample")
    if not file.exists():
        return Finding("sources", "wrong", f"{file} does not exist; set {PREFIX}SOURCES_FILE")
    return Finding("sources", "ok", str(file))


def _model(settings: Settings) -> Finding:
    from analytics_assets.insights.asking.configured import configured

    model = configured(settings)
    if model.provider is None:
        return Finding("model key", "note", f"no LLM insights: {model.why_none}")
    return Finding("model key", "ok", f"{model.provider.model} ({settings.llm_provider})")


def _names(settings: Settings) -> Finding:
    from analytics_assets.insights.scrubbing.ner import NOT_INSTALLED, is_installed

    if settings.scrub_ner == "off":
        return Finding("scrubbing", "note", f"by dictionary and shapes ({PREFIX}SCRUB_NER is off)")
    if is_installed():
        return Finding("scrubbing", "ok", "by dictionary, shapes and recognition of names")
    if settings.scrub_ner == "on":
        return Finding("scrubbing", "wrong", NOT_INSTALLED)
    return Finding(
        "scrubbing",
        "note",
        "by dictionary and shapes; `pip install 'analytics-assets[scrub]'` adds names that no "
        "dictionary holds",
    )


def _clock(settings: Settings) -> Finding:
    pinned = settings.as_of is not None
    return Finding(
        "clock",
        "note" if pinned else "ok",
        f"{'pinned to' if pinned else 'now'} {settings.now():%Y-%m-%d %H:%M} UTC; days from "
        f"{settings.start_day}",
    )


_LOOKS: tuple[Callable[[Settings], Finding], ...] = (
    _clock, _disk, _ports, _database, _manifest, _sources, _model, _names,
)  # fmt: skip
