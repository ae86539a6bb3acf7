"""``analytics-assets bench``: ratios to plain SQL, measured in one run on this machine."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analytics_assets.cli.console import (
    errors,
    notes,
    print_json,
    print_table,
    told_plainly,
)

if TYPE_CHECKING:
    from analytics_assets.benchmarks.measure import Figure

DAYS, USERS = 30, 2_000
TIMES_AT_TEN_TIMES = 11.0


class Benchmark(StrEnum):
    loading = "loading"
    pipeline = "pipeline"
    growth = "growth"
    backfill = "backfill"
    imports = "imports"
    collector = "collector"
    release = "release"


EVERYDAY = (
    Benchmark.imports,
    Benchmark.loading,
    Benchmark.pipeline,
    Benchmark.backfill,
    Benchmark.collector,
    Benchmark.release,
)
MOST_COLLECTED = 200_000


def bench(
    only: Annotated[
        list[Benchmark] | None,
        typer.Option(help="One benchmark; all but growth (ten times the events) without."),
    ] = None,
    events: Annotated[int, typer.Option(min=1_000)] = 1_000_000,
    folder: Annotated[
        Path | None, typer.Option(help="Where scratch data go; the system's folder without.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure this machine; exit code 1 when a limit is missed."""
    from analytics_assets.benchmarks.measure import BenchmarkError

    figures: dict[str, list[Figure]] = {}
    try:
        for name in only or EVERYDAY:
            notes.print(f"{name.value} ...")
            with told_plainly():
                figures[name.value] = _measure(name, events, folder)
            if not as_json:
                _show(name.value, figures[name.value])
    except BenchmarkError as error:
        errors.print(f"error: {error}", style="bold red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    if as_json:
        print_json({name: [asdict(f) for f in found] for name, found in figures.items()})
    if any(f.verdict == "MISSED" for found in figures.values() for f in found):
        raise typer.Exit(1)


def _measure(name: Benchmark, events: int, folder: Path | None) -> list[Figure]:
    from analytics_assets.benchmarks.backfill import backfill, code_location
    from analytics_assets.benchmarks.loading import loading
    from analytics_assets.benchmarks.measure import scratch_platform
    from analytics_assets.benchmarks.pipeline import pipeline

    if name is Benchmark.imports:
        return code_location()
    if name is Benchmark.collector:
        from analytics_assets.benchmarks.collector import collector

        return collector(min(events, MOST_COLLECTED), folder)
    if name is Benchmark.release:
        from analytics_assets.benchmarks.release import release

        return release(folder=folder)
    if name is Benchmark.growth:
        return _growth(events, folder)
    if name is Benchmark.backfill:
        with scratch_platform(events=1_000, days=365, users=20, folder=folder) as platform:
            return backfill(platform)
    with scratch_platform(events=events, days=DAYS, users=USERS, folder=folder) as platform:
        return loading(platform) if name is Benchmark.loading else pipeline(platform)[0]


def _growth(events: int, folder: Path | None) -> list[Figure]:
    """The pipeline at ``events`` and at ten times as many: its SQL and its memory."""
    from analytics_assets.benchmarks.measure import Figure, scratch_platform
    from analytics_assets.benchmarks.pipeline import pipeline

    figures: list[Figure] = []
    seconds = []
    for times in (1, 10):
        size = events * times
        with scratch_platform(events=size, days=DAYS, users=USERS, folder=folder) as platform:
            found, by_hand = pipeline(platform)
        figures.append(Figure("events", size))
        figures += found
        seconds.append(by_hand)
    ratio = seconds[1] / seconds[0]
    figures.append(Figure("SQL at ten times the events", ratio, "x", at_most=TIMES_AT_TEN_TIMES))
    return figures


def _show(title: str, figures: list[Figure]) -> None:
    print_table(
        f"\n{title}",
        ["figure", "value", "unit", "limit", "verdict"],
        [[f.name, float(f.value), f.unit, f.limit, f.verdict] for f in figures],
    )
