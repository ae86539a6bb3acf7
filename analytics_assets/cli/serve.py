"""``up`` and ``exec``: the platform's processes with its environment.

Belongs here: starting, watching and stopping them. Invariant: a taken port is named before
anything starts, and stopping leaves the database as it was. Without its port the HTTP API is left
out, and the rest serves: another platform on the machine may be the one that collects.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated

import typer

from analytics_assets.cli.console import console, errors, notes, settings_or_exit, told_plainly
from analytics_assets.instance import (
    WORKSPACE_FILE,
    dagster_command,
    dagster_environment,
    prepare_dagster_home,
)
from analytics_assets.settings import PREFIX, Settings, child_environment, exported

CODE_SERVER = "code server"
API = "HTTP API"
START_SECONDS = 120
STOP_SECONDS = 15


def prepare(settings: Settings) -> dict[str, str]:
    """Bring the database up to date and return the environment of Dagster's processes."""
    from analytics_assets.manifest import ensure_manifest
    from analytics_assets.store.migrate import open_migrated

    with told_plainly():
        database = open_migrated(settings)
        ensure_manifest(settings)
    prepare_dagster_home(settings)
    return dagster_environment(settings, database)


def execute(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments.")],
) -> None:
    """Run a command (say `dagster instance info`) with the platform's environment."""
    environment = child_environment(prepare(settings_or_exit()))
    beside = dagster_command(command[0])
    program = beside if os.access(beside, os.X_OK) else shutil.which(command[0])
    if program is None:
        errors.print(f"error: no program named {command[0]}", style="bold red")
        raise typer.Exit(127)
    os.execve(program, [program, *command[1:]], environment)  # noqa: S606


def up() -> None:
    """Serve the Dagster UI, with daemon and code server, and the HTTP API, until Ctrl-C."""
    settings = settings_or_exit()
    _refuse_taken_ports(settings)
    with_api = _can_serve_api(settings)
    environment = prepare(settings)
    children: dict[str, subprocess.Popen[bytes]] = {}
    _on_ending(_interrupt)
    try:
        _bring_records_up_to_date(environment)
        commands = _commands(settings)
        if not with_api:
            del commands[API]
        for name, command in commands.items():
            children[name] = _start(command, child_environment(environment))
            if name == CODE_SERVER:
                # The others would show an error until they ask again, were they first.
                _wait_for_port(settings.code_server_host, settings.code_server_port, children[name])
        if with_api:
            _wait_for_port(settings.api_host, settings.api_port, children[API])
            console.print(f"HTTP API: http://{settings.api_host}:{settings.api_port}")
        console.print(
            f"Dagster UI: http://{settings.ui_host}:{settings.ui_port}  (Ctrl-C stops everything)"
        )
        ended = _first_to_end(children)
        errors.print(
            f"error: the {ended} ended with {children[ended].returncode}; what it said stands "
            "above. `analytics-assets doctor` looks for the cause",
            style="bold red",
        )
        raise typer.Exit(1)
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        _stop(children)


def _bring_records_up_to_date(environment: dict[str, str]) -> None:
    """Migrate Dagster's storage, and end what an earlier, killed platform left under way."""
    import dagster as dg

    from analytics_assets.killed_runs import end_launched_runs

    done = subprocess.run(
        [dagster_command("dagster"), "instance", "migrate"],
        env=child_environment(environment),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        errors.print(
            f"error: Dagster's storage cannot be migrated:\n{done.stderr[-2000:]}",
            style="bold red",
            markup=False,
            highlight=False,
        )
        raise typer.Exit(1)
    with exported(environment), dg.DagsterInstance.get() as instance:
        for run_id in end_launched_runs(instance):
            notes.print(f"run {run_id[:8]} was under way when the platform was stopped: failed")


def _commands(settings: Settings) -> dict[str, list[str]]:
    workspace = ["-w", str(WORKSPACE_FILE)]
    code_server = [
        "code-server", "start", "-h", settings.code_server_host,
        "-p", str(settings.code_server_port), "-m", "analytics_assets.definitions",
    ]  # fmt: skip
    return {
        CODE_SERVER: [dagster_command("dagster"), *code_server],
        "webserver": [
            dagster_command("dagster-webserver"),
            *("-h", settings.ui_host, "-p", str(settings.ui_port)),
            *workspace,
        ],
        "daemon": [dagster_command("dagster-daemon"), "run", *workspace],
        API: [dagster_command("analytics-assets"), "api"],
    }


def _refuse_taken_ports(settings: Settings) -> None:
    for name, host, port in (
        ("UI_PORT", settings.ui_host, settings.ui_port),
        ("CODE_SERVER_PORT", settings.code_server_host, settings.code_server_port),
    ):
        refusal = _refusal(host, port)
        if refusal is not None:
            errors.print(
                f"error: port {port} on {host} cannot be used ({refusal}); stop what "
                f"uses it, or set {PREFIX}{name} to another port",
                style="bold red",
            )
            raise typer.Exit(1)


def _can_serve_api(settings: Settings) -> bool:
    refusal = _refusal(settings.api_host, settings.api_port)
    if refusal is not None:
        errors.print(
            f"port {settings.api_port} on {settings.api_host} cannot be used ({refusal}): the HTTP "
            f"API is not started; stop what uses it, or set {PREFIX}API_PORT to another port, and "
            "start again",
            style="yellow",
        )
    return refusal is None


def _refusal(host: str, port: int) -> str | None:
    """Why nothing can listen there; None where something can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or "refused"
    return None


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches us alone, and we can end a child with its children.
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _wait_for_port(host: str, port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.2)


def _first_to_end(children: Mapping[str, subprocess.Popen[bytes]]) -> str:
    while True:
        for name, child in children.items():
            if child.poll() is not None:
                return name
        time.sleep(0.5)


def _stop(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """End all children and theirs; who does not listen within the grace time is killed."""
    # A second Ctrl-C would leave some of them behind.
    _on_ending(signal.SIG_IGN)
    for child in reversed(list(children.values())):
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    for name, child in children.items():
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            errors.print(f"the {name} does not stop; killing it")
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _on_ending(handler: Callable[..., None] | signal.Handlers) -> None:
    # Hanging up, too: children in sessions of their own do not hear that the terminal was closed.
    # SIGINT by name, because who is started in the background inherits that it is ignored.
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
