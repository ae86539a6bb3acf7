"""The battery: every attack on one release, of a deployment or of generated worlds.

Belongs here: which attack runs on what. Does not: attacks, generating worlds. Invariant: attackers
get the reader's connection and the plan, judges the truth; an attack that cannot run says why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analytics_assets.privacy.audit import access, arrival, counting, linkage, subtraction, traces
from analytics_assets.privacy.audit.outcome import Outcome, not_run
from analytics_assets.privacy.audit.placing import Placed, place
from analytics_assets.privacy.audit.released import Leaf, Released, Slot, finest, read_released
from analytics_assets.privacy.audit.truth import Truth, read_truth
from analytics_assets.privacy.plan import PlannedTable, ReleasePlan

if TYPE_CHECKING:
    import psycopg

    from analytics_assets.privacy.audit.worlds import World, Worlds
    from analytics_assets.store.database import Database

# Enough for every attack on the newest release: a week with its days, and the month.
NEWEST: Final[Mapping[str, int]] = {"day": 7, "week": 1, "month": 1}
PROFILES: Final = "anonymous.analytics_events"
INSTALLS: Final = "published.install_trends"
# Attacks that compare two runs, or need people planted or kept out.
IN_WORLDS_ONLY: Final = {
    "T7": "late rows and replays",
    "T8": "erasure",
    "T11": "membership",
    "T15": "sybil accounts",
}


def audit_deployment(
    database: Database,
    plan: ReleasePlan,
    as_of: datetime,
    *,
    tables: Collection[str] | None = None,
    newest: Mapping[str, int] | None = NEWEST,
    since: date | None = None,
    artifacts: Iterable[Path] | None = (),
) -> list[Outcome]:
    """Attack what a deployment released, with the truth from its own marts.

    ``newest`` periods of each kind since a day, all of them if None. ``artifacts``: folders of
    logs; None leaves out everything that was left outside the tables.
    """
    with (
        database.connect("analytics_reader") as reader,
        database.connect("analytics_pipeline") as pipeline,
    ):
        truth = read_truth(pipeline, plan, as_of, tables=tables, since=since, newest=newest)
        starts = [slot.period for true in truth.tables.values() for slot in true.people]
        first = since if newest is None or not starts else min(starts)
        released = read_released(reader, plan, tables, first)
        placed = place(released, truth)
        weights = noise_weights(pipeline)
        found = [
            *access.identifiers(reader, pipeline, released),
            *(
                traces.traces(database, traces.known_names(pipeline), artifacts)
                if artifacts is not None
                else ()
            ),
            *_attacks(placed, released, truth),
            *counting.noise_soundness(counting.noise_of(placed), weights),
            *_linked(placed, {}),
            *access.order_and_time(reader, released, as_of),
            arrival.order_of_rows(reader, pipeline, placed),
            *access.rights_and_keys(reader, pipeline),
            access.guessed_keys(reader, placed, weights),
            *counting.utility(placed, gate=False),
            *(
                not_run(attack, what, "needs generated worlds: `privacy audit --generated`")
                for attack, what in IN_WORLDS_ONLY.items()
            ),
        ]
    return sorted(found, key=lambda outcome: outcome.order)


def audit_worlds(
    database: Database, worlds: Worlds, plan: ReleasePlan, artifacts: Iterable[Path] = ()
) -> list[Outcome]:
    """Attack the release of generated worlds; seeds and sizes are pooled but for T19."""
    from analytics_assets.privacy.audit.membership import trial_outcomes

    until = worlds.trials.first if worlds.trials else None
    with (
        database.connect("analytics_reader") as reader,
        database.connect("analytics_pipeline") as pipeline,
    ):
        truth = read_truth(pipeline, plan, worlds.closes_at, until=until)
        released = read_released(reader, plan, until=until)
        placed = place(released, truth)
        weights = noise_weights(pipeline)
        planted = {
            world.planted: [Slot("day", day) for day in world.planted_days]
            for world in worlds.worlds
        }
        found = [
            *access.identifiers(reader, pipeline, released, planted=worlds.identifiers()),
            *traces.traces(database, worlds.identifiers(), artifacts),
            *_attacks(placed, released, truth),
            *_linked(placed, {world.name: world for world in worlds.worlds}),
            *linkage.rare_values(placed, planted),
            *access.order_and_time(reader, released, worlds.closes_at),
            arrival.order_of_rows(reader, pipeline, placed),
            *access.rights_and_keys(reader, pipeline),
            access.guessed_keys(reader, placed, weights),
            *(
                outcome
                for people in sorted({world.people for world in worlds.worlds})
                for outcome in _utility(worlds, people, placed)
            ),
        ]
        if worlds.trials is not None:
            trial = read_released(
                reader, plan, [INSTALLS], worlds.trials.first, worlds.trials.after
            )
            found += trial_outcomes(
                trial[INSTALLS], worlds.trials, weights, counting.noise_of(placed)
            )
        else:
            found += counting.noise_soundness(counting.noise_of(placed), weights)
    return sorted(found, key=lambda outcome: outcome.order)


def noise_weights(pipeline: psycopg.Connection[Any]) -> dict[int, int]:
    """The noise table: how often, of 4,096, each noise is drawn."""
    rows = pipeline.execute("select noise, weight from vault.noise_table").fetchall()
    return {int(noise): int(weight) for noise, weight in rows}


def _attacks(placed: Mapping[str, Placed], released: Released, truth: Truth) -> list[Outcome]:
    return [
        *counting.small_classes(placed),
        *subtraction.linked_cells(placed),
        subtraction.nested_cells(placed),
        *subtraction.windows(placed),
        *linkage.homogeneity(released),
        counting.averaging(placed),
        linkage.rare_combinations(released),
        counting.dominance(placed, truth),
    ]


def _linked(placed: Mapping[str, Placed], worlds: Mapping[str, World]) -> list[Outcome]:
    guesses = linkage.Guesses()
    for table in placed.values():
        for sensitive in table.released.plan.sensitive:
            controls = [
                control
                for world in worlds.values()
                for control in controls_of(world, table.released.plan)
            ]
            guesses.add(linkage.link_people(table, sensitive, controls))
    if not guesses.targets:
        return [not_run("T3", "linkage", "no table with a sensitive value has truth")]
    return linkage.linkage_outcomes(guesses)


def controls_of(world: World, plan: PlannedTable) -> list[tuple[Slot, str, Leaf]]:
    """People kept out of a world, in the leaves they would have had."""
    if plan.name != PROFILES:
        return []
    return [
        (
            Slot("day", row.day),
            row.subject,
            tuple(
                finest(dimension, getattr(row, dimension.source)) for dimension in plan.dimensions
            ),
        )
        for row in world.controls
    ]


def _utility(worlds: Worlds, people: int, placed: Mapping[str, Placed]) -> list[Outcome]:
    """T19 of the worlds of one size, in their whole periods."""
    spans = [
        (world.first, max(world.drawn.days)) for world in worlds.worlds if world.people == people
    ]
    within = {name: table.between(spans) for name, table in placed.items()}
    return [
        Outcome(
            outcome.attack, f"{outcome.what}, {people} people", outcome.figure, outcome.limit,
            outcome.verdict, outcome.trials, outcome.note,
        )
        for outcome in counting.utility(within, people=people)
    ]  # fmt: skip


def rehearse(server: Database, plan: ReleasePlan, project_dir: Path, folder: Path) -> list[Outcome]:
    """Release and attack generated worlds in scratch databases on a server, which it leaves.

    Takes minutes. Raises RehearsalError when dbt fails.
    """
    from analytics_assets.privacy.audit.disturbance import disturb, young_accounts
    from analytics_assets.privacy.audit.rehearsal import (
        Rehearsal,
        scratch_database,
    )
    from analytics_assets.privacy.audit.worlds import draw_worlds
    from analytics_assets.store.clone import cloned_database

    worlds, small = draw_worlds(), draw_worlds([400], [1], pairs=0)

    def rehearsal(database: Database, of: Worlds) -> Rehearsal:
        return Rehearsal(database, project_dir, folder, of.start_day, of.closes_at)

    with scratch_database(server, f"{server.name}_audit") as empty:
        found = [young_accounts(rehearsal(empty, small))]
        with cloned_database(empty, f"{server.name}_audit_worlds") as database:
            run = rehearsal(database, worlds)
            run.prepare(worlds)
            run.draw_keys()
            run.release()
            found += audit_worlds(database, worlds, plan, [folder])
        with cloned_database(empty, f"{server.name}_audit_disturbed") as database:
            run = rehearsal(database, small)
            run.prepare(small)
            found += disturb(run, small, plan)
    return sorted(found, key=lambda outcome: outcome.order)
