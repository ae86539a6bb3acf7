"""COPY of Arrow tables into Postgres, and finding the rows Postgres cannot store.

Belongs here: moving columns over the wire. Does not: what the columns mean. Invariant: a row that
Postgres refuses is found and reported by its position; all others are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    import pyarrow as pa

# Small slices: a batch is text only while it is sent.
_ROWS_PER_SLICE: Final = 2_000


class Refused(NamedTuple):
    """A row Postgres could not store: its position in the table, and the SQLSTATE."""

    position: int
    sqlstate: str


def copy_table(
    connection: psycopg.Connection[Any], target: sql.Composable, table: pa.Table
) -> None:
    """COPY an Arrow table into the columns of ``target`` that have its column names.

    Every value goes as text; null stays apart from the empty text. Raises psycopg.DataError where
    Postgres refuses a row; the transaction is then to be rolled back.
    """
    statement = sql.SQL("copy {target} ({columns}) from stdin (format csv)").format(
        target=target,
        columns=sql.SQL(", ").join(map(sql.Identifier, table.column_names)),
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in _csv(table):
            copy.write(piece)


def copy_storable(
    connection: psycopg.Connection[Any], target: sql.Composable, table: pa.Table
) -> list[Refused]:
    """COPY the rows Postgres can store and return those it cannot, within one transaction.

    The table is halved until each refused row stands alone, so a few bad rows cost little.
    """
    return list(_halving(connection, target, table, 0))


def _halving(
    connection: psycopg.Connection[Any], target: sql.Composable, table: pa.Table, first: int
) -> Iterator[Refused]:
    rows = table.num_rows
    if not rows:
        return
    refusal: psycopg.DataError | None = None
    with suppress(psycopg.Rollback), connection.transaction():
        try:
            copy_table(connection, target, table)
        except psycopg.DataError as error:
            refusal = error
            raise psycopg.Rollback from None
    if refusal is None:
        return
    if rows == 1:
        yield Refused(first, refusal.sqlstate or "22000")
        return
    half = rows // 2
    yield from _halving(connection, target, table.slice(0, half), first)
    yield from _halving(connection, target, table.slice(half), first + half)


def _csv(table: pa.Table) -> Iterator[memoryview]:
    import io

    from pyarrow import csv

    options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
    for start in range(0, table.num_rows, _ROWS_PER_SLICE):
        buffer = io.BytesIO()
        csv.write_csv(table.slice(start, _ROWS_PER_SLICE), buffer, options)
        yield buffer.getbuffer()
