"""dbt in this process, for those who run it many times: rehearsals of the release, and tests.

Belongs here: one invocation, and the parsed project that invocations share. Does not: what is
built, or where. Invariant: an invocation sees every file as it is; a changed one is parsed again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, cast

from analytics_assets.manifest import PARSED, files_of
from analytics_assets.settings import PROJECT_ROOT, exported

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

SILENT = ("--quiet", "--log-level", "none", "--log-level-file", "none")


def dbt_arguments(
    project: Path,
    command: str,
    *arguments: str,
    folder: Path,
    target: str = "target",
    flags: Sequence[str] = SILENT,
) -> list[str]:
    """The command line of an invocation that writes below ``folder`` only."""
    return [
        *(*flags, command, *arguments),
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *("--target-path", str(folder / target), "--log-path", str(folder / f"{target}-logs")),
    ]


def invoke_dbt(
    project: Path, environment: Mapping[str, str], arguments: Sequence[str]
) -> dbtRunnerResult:
    """One invocation; what went wrong is in its result."""
    from dbt.cli.main import dbtRunner

    parsed = _parse(project, tuple((path, path.stat().st_mtime_ns) for path in files_of(project)))
    if not parsed.success:
        return parsed
    manifest = _pointed_at(cast("Manifest", parsed.result), environment["ANALYTICS_DBT_DBNAME"])
    with exported(dict(environment)):
        return dbtRunner(manifest).invoke(list(arguments))


@lru_cache(maxsize=4)
def _parse(project: Path, state: tuple[tuple[Path, int], ...]) -> dbtRunnerResult:  # noqa: ARG001
    """What ``dbt parse`` makes of a project whose files have this ``state``.

    It begins from the prebuilt one, with which a changed copy shares most files.
    """
    from dbt.cli.main import dbtRunner

    prebuilt = PROJECT_ROOT / "dbt" / "target" / PARSED
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if prebuilt.exists():
            (folder / "target").mkdir()
            copyfile(prebuilt, folder / "target" / PARSED)
        return dbtRunner().invoke(dbt_arguments(project, "parse", folder=folder))


def _pointed_at(parsed: Manifest, database: str) -> Manifest:
    """A copy whose tables are those of ``database``: an invocation writes into what it is given."""
    for node in chain(parsed.nodes.values(), parsed.sources.values()):
        if node.relation_name is not None:
            before, after = f'"{node.database}".', f'"{database}".'
            node.relation_name = after + node.relation_name.removeprefix(before)
        node.database = database
    return cast("Manifest", parsed.deepcopy())  # type: ignore[no-untyped-call]
