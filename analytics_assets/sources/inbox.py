"""The inbox moved into ``raw``: what the collector accepted leaves it in the loading transaction.

Belongs here: taking rows out of ``inbox.entries`` and staging them. Does not: the collector (api/).
Invariant: an entry is in the inbox or in ``raw`` (or its quarantine), never in both or in neither,
whatever is killed; several movers at once share the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.sources.config import TableName
from analytics_assets.sources.contract import CONTRACTS, Column, Contract
from analytics_assets.sources.stages import stage_for
from analytics_assets.sources.staging import (
    LoadRules,
    Origin,
    Outcome,
    PartitionMaker,
    Stage,
    in_transaction,
)
from analytics_assets.store.database import Database

ENTRIES_PER_TRANSACTION: Final = 20_000
ORIGIN: Final = Origin("inbox", "inbox", "inbox ")


def move_inbox(
    database: Database,
    table: TableName,
    rules: LoadRules,
    partitions: PartitionMaker,
    *,
    progress: Callable[[str, str, int], None] | None = None,
) -> Outcome:
    """Move all entries of one kind into ``raw.<table>`` and quarantine."""
    contract = CONTRACTS[table]
    total = Outcome()
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        if not _waiting(connection, contract):
            return total
        stage = stage_for(table, rules, partitions)
        stage.open(connection)
        take = _take_statement(stage)

        def move() -> tuple[int, Outcome]:
            taken = connection.execute(
                take, {"kind": contract.record, "limit": ENTRIES_PER_TRANSACTION}
            ).rowcount
            return taken, stage.promote(connection, ORIGIN)

        while True:
            taken, outcome = in_transaction(connection, partitions, move)
            total.add(outcome)
            if progress:
                progress("inbox", contract.record, total.counts.read)
            if taken < ENTRIES_PER_TRANSACTION:
                return total


def vacuum_inbox(database: Database) -> None:
    """Let the inbox shrink again: looking into an emptied one takes a second otherwise."""
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        connection.execute("vacuum inbox.entries")


def _waiting(connection: psycopg.Connection[Any], contract: Contract) -> bool:
    found = connection.execute(
        "select exists (select from inbox.entries where kind = %s)", [contract.record]
    ).fetchone()
    return found is not None and bool(found[0])


def payload_columns(contract: Contract) -> dict[str, sql.Composable]:
    """How ``payload``, a record as it was sent, fills the columns of a stage."""
    size = sql.SQL(" + ").join(
        sql.SQL("coalesce(octet_length((payload -> {})::text), 0)").format(sql.Literal(name))
        for name in ("event_data", "metadata")
    )
    return {
        **{column.name: _value(column) for column in contract.columns},
        "problem": _problem(contract),
        "byte_size": size,
    }


def _take_statement(stage: Stage) -> sql.Composed:
    """Take entries out and stage them; entries another mover is taking are left to it."""
    columns = payload_columns(stage.contract)
    # What the door could not store as it was sent waits with the reason it gave the sender.
    columns["problem"] = sql.SQL("coalesce(problem, {})").format(columns["problem"])
    return sql.SQL(_TAKE).format(
        staged=stage.staged,
        names=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(columns.values()),
    )


def _value(column: Column) -> sql.Composable:
    name = sql.Literal(column.name)
    if column.kind == "json":
        return sql.SQL("nullif(payload -> {}, 'null')").format(name)
    return sql.SQL("payload ->> {}").format(name)


def _problem(contract: Contract) -> sql.Composable:
    """A record that is no object, or has a structure where a plain value belongs."""
    branches: list[sql.Composable] = [
        sql.SQL(
            "when jsonb_typeof(payload) <> 'object'"
            " then 'not_an_object|the record must be a JSON object'"
        )
    ]
    branches += [
        sql.SQL("when jsonb_typeof(payload -> {}) in ('object', 'array') then {}").format(
            sql.Literal(column.name),
            sql.Literal(f"wrong_type|{column.name} must be a plain value, not a structure"),
        )
        for column in contract.columns
        if column.kind != "json"
    ]
    return sql.SQL("case {} end").format(sql.SQL(" ").join(branches))


_TAKE: Final = """
with taken as (
    delete from inbox.entries
    where seq in (
        select seq
        from inbox.entries
        where kind = %(kind)s
        order by seq
        limit %(limit)s
        for update skip locked
    )
    returning seq, source, payload, problem
)

insert into {staged} (line_no, payload, origin, {names})
select seq, payload, source, {values}
from taken
"""
