"""Asking Postgres what is wrong with records, by the load's own checks.

Belongs here: the question and records that cannot even be asked about. Does not: any rule.
Invariant: every doubtful record leaves either without a problem or with the code and message it
will have in quarantine.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from analytics_assets.api.envelope import Record, as_text
from analytics_assets.events.catalogue import Catalogue
from analytics_assets.settings import Settings
from analytics_assets.sources.config import TableName
from analytics_assets.sources.contract import CONTRACTS
from analytics_assets.sources.problems import REFUSALS, REFUSED, problem_query
from analytics_assets.sources.staging import LoadRules
from analytics_assets.windows import Window


class Arbiter:
    """The checks of one catalogue and deployment."""

    def __init__(self, settings: Settings, catalogue: Catalogue, pool: Any) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._pool = pool
        self._queries: dict[TableName, bytes] = {}

    async def judge(self, table: TableName, records: Sequence[Record]) -> None:
        """Settle the doubtful among the records: their ``problem`` and ``status``."""
        doubtful = [record for record in records if record.doubtful]
        if doubtful:
            latest = self._settings.now() + self._settings.clock_skew
            async with self._pool.connection() as connection:
                await _judge(connection, self._query(table), latest, doubtful)
        for record in records:
            if record.problem is not None:
                record.status = "quarantined"
                # A corrected one may follow under the same id.
                record.event_id = None
                if record.broken:
                    record.payload = as_text(record.payload) if record.doubtful else record.payload

    def _query(self, table: TableName) -> bytes:
        query = self._queries.get(table)
        if query is None:
            settings = self._settings
            today = settings.now().date()
            rules = LoadRules(
                self._catalogue,
                settings.now(),
                settings.clock_skew,
                settings.start_day,
                Window(today, today + timedelta(days=1)),
            )
            query = self._queries[table] = problem_query(CONTRACTS[table], rules)
        return query


async def _judge(
    connection: Any, query: bytes, latest: datetime, records: Sequence[Record]
) -> None:
    try:
        texts = [record.payload.decode() for record in records]
        cursor = await connection.execute(query, {"records": texts, "latest": latest}, prepare=True)
        found = await cursor.fetchall()
    except (psycopg.DataError, psycopg.OperationalError) as error:
        if error.sqlstate not in REFUSALS and not isinstance(error, psycopg.DataError):
            raise
        if len(records) == 1:
            _break(records[0], error.sqlstate)
            return
        # Somewhere in here is one that Postgres cannot even read: find it by halving.
        half = len(records) // 2
        await _judge(connection, query, latest, records[:half])
        await _judge(connection, query, latest, records[half:])
        return
    for number, problem in found:
        records[number - 1].problem = problem


def _break(record: Record, sqlstate: str | None) -> None:
    record.problem = "|".join(REFUSALS.get(sqlstate or "", REFUSED))
    record.broken = True
