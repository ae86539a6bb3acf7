"""Where Dagster keeps its own records: its home folder and its database.

Belongs here: the environment every Dagster process is started with. Does not: starting them (see
cli/). Invariant: Dagster connects as its own role to its own database and to no other.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from analytics_assets.settings import PREFIX, PROJECT_ROOT, Settings
from analytics_assets.store.database import Database

INSTANCE_FILE = "dagster.yaml"
WORKSPACE_FILE = PROJECT_ROOT / "workspace.yaml"
# Writing events one by one costs 20 ms each: a year of days takes minutes without these.
EVENT_BATCHING = {
    "DAGSTER_EVENT_BATCH_SIZE": "500",
    "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1",
}


def dagster_environment(settings: Settings, database: Database) -> dict[str, str]:
    """Variables that dagster.yaml and workspace.yaml refer to, and Dagster's own."""
    parameters = database.parameters("analytics_dagster", dbname=database.dagster_name)
    return {
        "DAGSTER_HOME": str(settings.dagster_home_dir),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        **EVENT_BATCHING,
        f"{PREFIX}HOME": str(settings.home),
        f"{PREFIX}DAGSTER_PG_HOST": str(parameters["host"]),
        f"{PREFIX}DAGSTER_PG_PORT": str(parameters["port"]),
        f"{PREFIX}DAGSTER_PG_USER": str(parameters["user"]),
        f"{PREFIX}DAGSTER_PG_PASSWORD": str(parameters["password"]),
        f"{PREFIX}DAGSTER_PG_DB": str(parameters["dbname"]),
        f"{PREFIX}CODE_SERVER_HOST": settings.code_server_host,
        f"{PREFIX}CODE_SERVER_PORT": str(settings.code_server_port),
        # Dagster and dbt print notes of beta parameters on every load.
        "PYTHONWARNINGS": "ignore",
    }


def prepare_dagster_home(settings: Settings) -> Path:
    """Make Dagster's home and put the instance file there."""
    home = settings.dagster_home_dir
    home.mkdir(parents=True, exist_ok=True)
    source = PROJECT_ROOT / INSTANCE_FILE
    target = home / INSTANCE_FILE
    if not target.exists() or target.read_bytes() != source.read_bytes():
        # Several processes may start at once: none may read half a file.
        scratch = target.with_name(f".{INSTANCE_FILE}.{os.getpid()}")
        shutil.copyfile(source, scratch)
        scratch.replace(target)
    return home


def dagster_command(name: str) -> str:
    """The Dagster program installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))
