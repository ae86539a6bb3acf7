"""Attacks that compare two readings of the same tables: late rows, replays, erasure.

Belongs here: T7, T8. Does not: what happened in between (disturbance.py). Invariant: a snapshot is
what a reader could have copied at the time.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

from analytics_assets.privacy.audit.outcome import Outcome, none_of
from analytics_assets.privacy.audit.released import LEAST, Released, Slot, Values
from analytics_assets.privacy.audit.truth import Truth

if TYPE_CHECKING:
    from analytics_assets.store.database import Database


def differences(before: Released, after: Released) -> tuple[int, int, int]:
    """Cells that changed or went, those of them by 1 to 10 people, and cells compared.

    Cells of periods that were not there before are new, not changed.
    """
    changed = small = cells = 0
    for name, table in before.items():
        for slot, old in table.cells.items():
            new = after[name].cells.get(slot, {}) if name in after else {}
            keys: set[Values] = set(old) | set(new)
            cells += len(keys)
            for values in keys:
                apart = abs(old.get(values, 0) - new.get(values, 0))
                changed += apart > 0
                small += 0 < apart < LEAST
    return changed, small, cells


def digests(database: Database) -> dict[tuple[str, str, date], str]:
    """SHA-256 of the rows of every closed period, as the ledger has it; empty where withheld."""
    with database.connect("analytics_pipeline") as pipeline:
        rows = pipeline.execute(
            "select release_table, period_kind, period, coalesce(rows_sha256, '')"
            " from ops.release_ledger"
        ).fetchall()
    return {(table, kind, period): digest for table, kind, period, digest in rows}


def disturbed(before: Released, after: Released, what: str) -> Outcome:
    """T7: cells that a late row, a replay or a full refresh changed."""
    changed, small, cells = differences(before, after)
    note = f"{small} of them by 1 to 10 people" if changed else ""
    return none_of("T7", f"cells changed by {what}", changed, cells, note)


def late_people(truth: Truth, released: Released, table: str, slot: Slot, late: int) -> Outcome:
    """T7: whether the next coarser period, still open when they came, has the late people."""
    people = len(truth.tables[table].people.get(slot, {}))
    told = sum(released[table].cells.get(slot, {}).values())
    missing = people - told > late // 2
    return none_of("T7", "late people missing from the week", int(missing), max(1, late))


def erased(
    before: Released, after: Released, truth: Truth, people: Collection[str], since: Slot
) -> list[Outcome]:
    """T8: cells changed by an erasure, and erased people who are counted after it."""
    changed, _, cells = differences(before, after)
    counted = sum(
        person in leaves
        for table in truth.tables.values()
        for slot, leaves in table.people.items()
        if slot.period >= since.period
        for person in people
    )
    return [
        none_of("T8", "cells changed by an erasure", changed, cells),
        none_of("T8", "erased people in later periods", counted, len(people)),
    ]
