"""``analytics-assets bench``: ratios to plain SQL, measured in one run on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analytics_assets.cli.console import (
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
    queries = "queries"
    release = "release"
    grouping = "grouping"


EVERYDAY = (
    Benchmark.imports,
    Benchmark.loading,
    Benchmark.pipeline,
    Benchmark.backfill,
    Benchmark.collector,
    Benchmark.release,
    Benchmark.grouping,
)
MOST_COLLECTED = 200_000
USUAL = 1_000_000
EVENTS = {Benchmark.queries: 10_000_000}


def bench(
    only: Annotated[
        list[Benchmark] | None,
        typer.Option(
            help="One benchmark; without, all but growth and queries (ten million events each)."
        ),
    ] = None,
    events: Annotated[
        int | None,
        typer.Option(min=1_000, help="Events; ten million for queries, else a million."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where scratch data go; the system's folder without.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure this machine; exit code 1 when a limit is missed."""
    from analytics_assets.benchmarks.measure import BenchmarkError

    figures: dict[str, list[Figure]] = {}
    for name in only or EVERYDAY:
        notes.print(f"{name.value} ...")
        with told_plainly(BenchmarkError):
            figures[name.value] = _measure(name, events or EVENTS.get(name, USUAL), folder)
        if not as_json:
            _show(name.value, figures[name.value])
    if as_json:
        print_json({name: [asdict(f) for f in found] for name, found in figures.items()})
    if any(f.verdict == "MISSED" for found in figures.values() for f in found):
        raise typer.Exit(1)


def _measure(name: Benchmark, events: int, folder: Path | None) -> list[Figure]:
    from analytics_assets.benchmarks import (
        backfill,
        collector,
        grouping,
        loading,
        measure,
        pipeline,
    )
    from analytics_assets.benchmarks import queries as query_figures
    from analytics_assets.benchmarks import release as release_figures

    def on_a_sample(of: Callable[[measure.Bench], list[Figure]], **size: int) -> list[Figure]:
        with measure.scratch_platform(**size, folder=folder) as platform:
            return of(platform)

    company = {"events": events, "days": DAYS, "users": USERS}
    year = {"events": 1_000, "days": 365, "users": 20}
    measures: dict[Benchmark, Callable[[], list[Figure]]] = {
        Benchmark.imports: backfill.code_location,
        Benchmark.collector: lambda: collector.collector(min(events, MOST_COLLECTED), folder),
        Benchmark.queries: lambda: query_figures.queries(events, folder),
        Benchmark.release: lambda: release_figures.release(folder=folder),
        Benchmark.grouping: grouping.grouping,
        Benchmark.growth: lambda: _growth(events, folder),
        Benchmark.backfill: lambda: on_a_sample(backfill.backfill, **year),
        Benchmark.loading: lambda: on_a_sample(loading.loading, **company),
        Benchmark.pipeline: lambda: on_a_sample(lambda b: pipeline.pipeline(b)[0], **company),
    }
    return measures[name]()


def _growth(events: int, folder: Path | None) -> list[Figure]:
    """The pipeline at ``events`` and at ten times as many: its SQL and its memory."""
    from analytics_assets.benchmarks.measure import Figure, scratch_platform
    from analytics_assets.benchmarks.pipeline import pipeline

    figures: list[Figure] = []
    seconds = []
    for times in (1, 10):
        size = events * times
        with scratch_platform(events=size, days=DAYS, users=USERS, folder=folder) as platform:
            found, hand = pipeline(platform)
        figures.append(Figure("events", size))
        figures += found
        seconds.append(hand.at_rest)
    ratio = seconds[1] / seconds[0]
    figures.append(Figure("SQL at ten times the events", ratio, "x", at_most=TIMES_AT_TEN_TIMES))
    return figures


def _show(title: str, figures: list[Figure]) -> None:
    print_table(
        f"\n{title}",
        ["figure", "value", "unit", "limit", "verdict"],
        [[f.name, float(f.value), f.unit, f.limit, f.verdict] for f in figures],
    )
