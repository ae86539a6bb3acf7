"""The prebuilt dbt manifest: whether it is there and current, and building it.

Invariant: definitions never parse dbt; whoever starts Dagster has made the manifest first.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from analytics_assets.settings import Settings, SettingsError, child_environment

WATCHED = ("models", "macros", "tests", "seeds")
MANIFEST, PARSED = "manifest.json", "partial_parse.msgpack"


def manifest_is_current(settings: Settings) -> bool:
    """Whether the manifest is newer than every file it was made from."""
    project = settings.dbt_project_dir
    manifest = project / "target" / MANIFEST
    if not manifest.exists() or not (project / "target" / PARSED).exists():
        return False
    made = manifest.stat().st_mtime
    return all(path.stat().st_mtime <= made for path in files_of(project))


def files_of(project: Path) -> list[Path]:
    """The files of a dbt project from which its manifest is made, in a fixed order."""
    found = [path for folder in WATCHED for path in (project / folder).rglob("*") if path.is_file()]
    return [project / "dbt_project.yml", project / "profiles.yml", *sorted(found)]


def ensure_manifest(settings: Settings) -> None:
    """Build the manifest where it is missing or stale. Raises SettingsError when dbt refuses.

    It is put in place whole: another process that starts meanwhile finds the old one or the new.
    """
    if manifest_is_current(settings):
        return
    project: Path = settings.dbt_project_dir
    target = project / "target"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".parse-", dir=target) as folder:
        if (target / PARSED).exists():
            shutil.copyfile(target / PARSED, Path(folder, PARSED))
        _parse(project, Path(folder))
        for name in (PARSED, MANIFEST):
            Path(folder, name).replace(target / name)


def _parse(project: Path, target: Path) -> None:
    from analytics_assets.resources import dbt_executable

    done = subprocess.run(
        [
            dbt_executable(),
            "--no-send-anonymous-usage-stats",
            "parse",
            "--profiles-dir",
            project,
            "--target-path",
            target,
        ],
        cwd=project,
        env=child_environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SettingsError(f"dbt cannot parse {project}:\n{done.stdout[-2000:]}")
