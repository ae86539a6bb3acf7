"""The prebuilt dbt manifest: whether it is there and current, and building it.

Invariant: definitions never parse dbt; whoever starts Dagster has made the manifest first.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from analytics_assets.settings import Settings, SettingsError, child_environment

WATCHED = ("models", "macros", "tests", "seeds")


def manifest_is_current(settings: Settings) -> bool:
    """Whether the manifest is newer than every file it was made from."""
    project = settings.dbt_project_dir
    manifest = project / "target" / "manifest.json"
    if not manifest.exists() or not (project / "target" / "partial_parse.msgpack").exists():
        return False
    made = manifest.stat().st_mtime
    sources = [project / "dbt_project.yml", project / "profiles.yml"]
    for folder in WATCHED:
        sources += [path for path in (project / folder).rglob("*") if path.is_file()]
    return all(path.stat().st_mtime <= made for path in sources)


def ensure_manifest(settings: Settings) -> None:
    """Build the manifest where it is missing or stale. Raises SettingsError when dbt refuses."""
    if manifest_is_current(settings):
        return
    from analytics_assets.resources import dbt_executable

    project: Path = settings.dbt_project_dir
    done = subprocess.run(
        [dbt_executable(), "--no-send-anonymous-usage-stats", "parse", "--profiles-dir", project],
        cwd=project,
        env=child_environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SettingsError(f"dbt cannot parse {project}:\n{done.stdout[-2000:]}")
