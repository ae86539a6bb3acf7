"""What asset bodies are given: the platform (settings, database, catalogue) and dbt.

Belongs here: Dagster resources and how they reach the domain packages. Does not: work itself.
Invariant: making a resource opens nothing; connections are opened in asset bodies only.
https://docs.dagster.io/guides/build/external-resources
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject
from packaging.version import Version

from analytics_assets.dbt_environment import environment_of_dbt
from analytics_assets.settings import Settings, exported
from analytics_assets.windows import Window

if TYPE_CHECKING:
    import psycopg

    from analytics_assets.events.catalogue import Catalogue
    from analytics_assets.store.database import Database

PARSED = "partial_parse.msgpack"


class Platform:
    """Settings and what hangs on them, opened on first use.

    A plain object, not a ConfigurableResource: it has no run config, and Dagster would copy it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def database(self) -> Database:
        """The database; the embedded server is started if it is down."""
        from analytics_assets.store.database import Database

        return Database.open(self.settings)

    @cached_property
    def catalogue(self) -> Catalogue:
        from analytics_assets.events.catalogue import load_catalogue

        return load_catalogue(self.settings.catalogue_folders)

    @contextmanager
    def connect(self, role: str = "analytics_pipeline") -> Iterator[psycopg.Connection[Any]]:
        """A connection whose transaction commits on leaving, or rolls back on an error."""
        with self.database.connect(role) as connection:
            yield connection


class Dbt(DbtCliResource):
    """dbt without two costs of the stock resource.

    The stock resource runs ``dbt --version`` before the first command of each process (6.7 s
    measured, and it asks a package index) and builds an adapter to fetch row counts, which we do
    not use. Both versions are pinned, so the version is read from the installed package.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(importlib.metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:  # noqa: ARG002
        return None


def dbt_executable() -> str:
    """The dbt installed beside this interpreter, whatever PATH says."""
    return str(Path(sys.executable).with_name("dbt"))


def dbt_project(settings: Settings) -> DbtProject:
    return DbtProject(project_dir=settings.dbt_project_dir)


def manifest_path(settings: Settings) -> Path:
    return settings.dbt_project_dir / "target" / "manifest.json"


def dbt_environment(settings: Settings, database: Database, window: Window) -> Mapping[str, str]:
    """Environment of one dbt invocation over a window of the deployment."""
    return environment_of_dbt(database, window, as_of=settings.now(), start_day=settings.start_day)


def run_dbt(
    dbt: DbtCliResource,
    platform: Platform,
    context: dg.AssetExecutionContext,
    window: Window,
) -> Iterator[Any]:
    """Build the selected models for a window in one dbt invocation, streaming Dagster's events."""
    folder = platform.settings.home / "dbt"
    target = folder / f"{context.run_id[:8]}-{context.op.name}"
    parsed = folder / PARSED
    if parsed.exists():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parsed, target / PARSED)
    with exported(dict(dbt_environment(platform.settings, platform.database, window))):
        invocation = dbt.cli(["build"], context=context, target_path=target)
    yield from invocation.stream()
    _keep_parsed(target / PARSED, parsed)
    # What a failed invocation leaves is kept to be looked at.
    shutil.rmtree(target, ignore_errors=True)


def _keep_parsed(made: Path, kept: Path) -> None:
    """Keep what dbt parsed with this deployment's connection.

    The prebuilt one was made with another, which alone makes dbt parse all files again.
    """
    if made.exists():
        scratch = made.with_suffix(".partial")
        shutil.copyfile(made, scratch)
        scratch.replace(kept)
