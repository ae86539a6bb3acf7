"""``analytics-assets sample``: write a made-up company's data."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from analytics_assets.cli.console import notes, told_plainly

START_DAY = date(2026, 4, 27)
USERS, DAYS, EVENTS, SEED = 400, 35, 60_000, 7


def sample(
    destination: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path(
        ".analytics/sample"
    ),
    users: Annotated[int, typer.Option(min=1)] = USERS,
    days: Annotated[int, typer.Option(min=1)] = DAYS,
    events: Annotated[int, typer.Option(min=1)] = EVENTS,
    seed: Annotated[int, typer.Option()] = SEED,
    start_day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])] = datetime(  # noqa: DTZ001
        START_DAY.year, START_DAY.month, START_DAY.day
    ),
) -> None:
    """Write a realistic, deterministic company: events, users, conversations and their truth."""
    write_sample(destination, users, days, events, seed, start_day.date())


def write_sample(
    destination: Path,
    users: int = USERS,
    days: int = DAYS,
    events: int = EVENTS,
    seed: int = SEED,
    start_day: date = START_DAY,
) -> Path:
    """Write the sample unless it is there already; returns its sources file."""
    from rich.progress import Progress

    from analytics_assets.sources.sample import generate_sample, load_manifest

    with told_plainly():
        found = load_manifest(destination)
        wanted = {
            "users": users,
            "days": days,
            "events": events,
            "seed": seed,
            "start_day": start_day,
        }
        if found is not None and _matches(found.parameters, wanted):
            notes.print(f"sample is already in {destination}")
            return found.sources_file
        with Progress(console=notes, transient=True) as progress:
            task = progress.add_task("writing the sample", total=None)

            def report(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            manifest = generate_sample(
                destination,
                users=users,
                days=days,
                events=events,
                seed=seed,
                start_day=start_day,
                progress=report,
            )
    notes.print(
        f"wrote {manifest.event_lines:,} event lines and {manifest.messages:,} messages of "
        f"{users:,} users to {destination}"
    )
    return manifest.sources_file


def _matches(parameters: object, wanted: dict[str, object]) -> bool:
    return all(getattr(parameters, name) == value for name, value in wanted.items())
