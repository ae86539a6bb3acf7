"""Keys under which people are counted: drawn once, used by the database, seen by nobody."""

from __future__ import annotations

import hashlib
import hmac
import random
from datetime import UTC, date, datetime

import psycopg
import pytest
from release_rows import Connection

from analytics_assets.privacy.period_keys import KEY_BYTES, ensure_period_keys
from analytics_assets.store.database import Database

START = date(2026, 4, 27)
AS_OF = datetime(2026, 5, 20, 13, tzinfo=UTC)


def periods(connection: Connection, kind: str) -> list[date]:
    return [
        period
        for (period,) in connection.execute(
            "select period from vault.period_keys where period_kind = %s order by 1", [kind]
        )
    ]


def test_every_whole_period_since_the_start_has_one_key(pipeline: Connection) -> None:
    assert ensure_period_keys(pipeline, START, AS_OF) == 24 + 4 + 1
    assert periods(pipeline, "day")[0] == START
    assert periods(pipeline, "day")[-1] == AS_OF.date()
    assert periods(pipeline, "week") == [
        date(2026, 4, 27),
        *(date(2026, 5, d) for d in (4, 11, 18)),
    ]
    assert periods(pipeline, "month") == [date(2026, 5, 1)]
    assert ensure_period_keys(pipeline, START, AS_OF) == 0


def test_the_database_computes_the_hmac_of_rfc_2104(pipeline: Connection) -> None:
    source = random.Random(3)  # noqa: S311
    keys: list[bytes] = []

    def draw(size: int) -> bytes:
        keys.append(source.randbytes(size))
        return keys[-1]

    ensure_period_keys(pipeline, AS_OF.date(), AS_OF, draw)
    (key,) = keys
    assert len(key) == KEY_BYTES
    for subject in ("p-1", "", "Zoë ✓", "x" * 500):
        (got,) = pipeline.execute(
            "select vault.person_key('day', %s, %s)", [AS_OF.date(), subject]
        ).fetchone() or (None,)
        assert got == hmac.digest(key, subject.encode(), hashlib.sha256)


def test_one_person_has_another_key_in_every_period(pipeline: Connection) -> None:
    ensure_period_keys(pipeline, START, AS_OF)
    rows = pipeline.execute(
        "select vault.person_key(period_kind, period, 'p-1') from vault.period_keys"
    ).fetchall()
    assert len(set(rows)) == len(rows) == 29


def test_without_a_key_nobody_can_be_counted(pipeline: Connection) -> None:
    row = pipeline.execute("select vault.person_key('day', '2026-05-01', 'p-1')").fetchone()
    assert row == (None,)


def test_a_period_of_which_a_table_has_closed_never_gets_a_new_key(pipeline: Connection) -> None:
    pipeline.execute(
        """
        insert into ops.release_ledger values
        ('published.event_trends', 'week', '2026-05-04', 'withheld', 0, 0, null, 'test')
        """
    )
    ensure_period_keys(pipeline, START, AS_OF)
    assert date(2026, 5, 4) not in periods(pipeline, "week")
    assert date(2026, 5, 4) in periods(pipeline, "day")


def test_the_pipeline_sees_which_periods_have_a_key_and_no_key(pipeline: Connection) -> None:
    ensure_period_keys(pipeline, START, AS_OF)
    for statement in (
        "select inner_pad from vault.period_keys",
        "select outer_pad from vault.period_keys",
        "select * from vault.period_keys",
        "update vault.period_keys set inner_pad = outer_pad",
        "delete from vault.period_keys returning inner_pad",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), pipeline.transaction():
            pipeline.execute(statement.encode())


@pytest.mark.parametrize(
    "role",
    ["analytics_api", "analytics_analyst", "analytics_reader", "analytics_retention"],
)
def test_nobody_else_can_turn_a_person_into_a_key(privacy_database: Database, role: str) -> None:
    with (
        privacy_database.connect(role) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("select vault.person_key('day', '2026-05-01', 'p-1')")
