"""Keys under which people are counted: drawn once, used by the database, seen by nobody."""

from __future__ import annotations

import hashlib
import hmac
import random
from datetime import UTC, date, datetime

import psycopg
import pytest
from release_rows import Connection

from analytics_assets.privacy.period_keys import KEY_BYTES, ensure_period_keys, hmac_pads
from analytics_assets.store.database import Database

START = date(2026, 4, 27)
AS_OF = datetime(2026, 5, 20, 13, tzinfo=UTC)
NOISE_KEYS = 1  # of the quarter


def periods(connection: Connection, kind: str) -> list[date]:
    return [
        period
        for (period,) in connection.execute(
            "select period from vault.period_keys where period_kind = %s order by 1", [kind]
        )
    ]


def keyed(connection: Connection, day: date, subjects: list[str]) -> list[tuple[bytes, int, int]]:
    return connection.execute(
        "select * from vault.person_keys('day', %s, %s, %s)",
        [day, subjects, list(range(len(subjects)))],
    ).fetchall()


def test_every_whole_period_since_the_start_has_one_key(pipeline: Connection) -> None:
    assert ensure_period_keys(pipeline, START, AS_OF) == 24 + 4 + 1 + NOISE_KEYS
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
    day_key, noise_key = keys
    assert len(day_key) == len(noise_key) == KEY_BYTES
    subjects = ["p-1", "", "Zoë ✓", "x" * 500]
    got = {leaf: (key, noise) for key, noise, leaf in keyed(pipeline, AS_OF.date(), subjects)}
    for number, subject in enumerate(subjects):
        noise = hmac.digest(noise_key, subject.encode(), hashlib.sha256)
        noise_of_it = int.from_bytes(noise[:8], "big", signed=True)
        assert got[number] == (
            hmac.digest(day_key, subject.encode(), hashlib.sha256),
            noise_of_it,
        )


def test_one_person_has_another_key_in_every_period_and_one_noise_a_quarter(
    pipeline: Connection,
) -> None:
    late = AS_OF.replace(month=7)
    ensure_period_keys(pipeline, START, late)
    rows = pipeline.execute(
        """
        select date_trunc('quarter', period), person_key, noise_key
        from vault.period_keys as keys
        cross join lateral vault.person_keys(period_kind, period, '{p-1}', '{0}')
        where period_kind <> 'noise'
        """
    ).fetchall()
    assert len({key for _, key, _ in rows}) == len(rows) > 80
    assert len({(quarter, noise) for quarter, _, noise in rows}) == 2
    assert len({noise for _, _, noise in rows}) == 2


@pytest.mark.parametrize("kind", ["day", "noise"])
def test_without_a_key_nobody_can_be_counted(pipeline: Connection, kind: str) -> None:
    ensure_period_keys(pipeline, START, AS_OF)
    assert len(keyed(pipeline, START, ["p-1"])) == 1
    pipeline.execute("delete from vault.period_keys where period_kind = %s", [kind])
    assert keyed(pipeline, START, ["p-1"]) == []


def test_a_noise_key_that_was_lost_is_drawn_anew_for_what_is_still_open(
    pipeline: Connection,
) -> None:
    ensure_period_keys(pipeline, START, AS_OF)
    pipeline.execute("delete from vault.period_keys where period_kind = 'noise'")
    assert ensure_period_keys(pipeline, START, AS_OF) == NOISE_KEYS


def test_the_noise_is_no_more_than_6_and_0_on_average(pipeline: Connection) -> None:
    weights = dict(pipeline.execute("select noise, weight from vault.noise_table").fetchall())
    assert set(weights) == set(range(-6, 7))
    assert sum(weights.values()) == 4096
    assert all(weights[noise] == weights[-noise] for noise in weights)
    variance = sum(noise**2 * weight for noise, weight in weights.items()) / 4096
    assert 1.95 < variance**0.5 < 2.05


def test_two_runs_that_draw_at_once_draw_one_key_each_period(privacy_database: Database) -> None:
    with (
        privacy_database.connect("analytics_pipeline") as first,
        privacy_database.connect("analytics_pipeline") as second,
    ):
        ensure_period_keys(first, START, AS_OF)
        second.execute("set local lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            ensure_period_keys(second, START, AS_OF)
        first.rollback()


def test_keys_stand_in_no_statement_that_a_server_could_log(
    privacy_database: Database,
) -> None:
    """Bound parameters are logged with their statement; what COPY is sent never is."""
    from psycopg import sql

    drawn: list[bytes] = []

    def draw(size: int) -> bytes:
        drawn.append(bytes([len(drawn) % 256] * size))
        return drawn[-1]

    with privacy_database.connect_as_admin(privacy_database.name, autocommit=False) as admin:
        admin.execute("set local log_min_duration_statement = 0")
        admin.execute("set local log_parameter_max_length = -1")
        notices: list[str] = []
        admin.add_notice_handler(lambda diagnosis: notices.append(str(diagnosis.message_primary)))
        admin.add_notice_handler(lambda diagnosis: notices.append(str(diagnosis.message_detail)))
        admin.execute("set local client_min_messages = log")
        admin.execute(sql.SQL("select {}").format(sql.Literal("this is told")))
        ensure_period_keys(admin, START, AS_OF, draw)
        admin.rollback()
    told = "\n".join(notices)
    assert "this is told" in told
    assert "copy vault.period_keys" in told
    assert len(drawn) > 20
    for key in drawn:
        for part in (key, *hmac_pads(key)):
            assert part.hex() not in told


def test_a_period_of_which_a_table_has_closed_never_gets_a_new_key(pipeline: Connection) -> None:
    pipeline.execute(
        """
        insert into ops.release_ledger (
            release_table, period_kind, period, state, released_classes, released_people,
            plan_version
        )
        values ('published.event_trends', 'week', '2026-05-04', 'withheld', 0, 0, 'test')
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
        connection.execute("select vault.person_keys('day', '2026-05-01', '{p-1}', '{0}')")
