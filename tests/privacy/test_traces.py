"""Whoever is named in Dagster's records or in a log is found, and not named once more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from psycopg import sql

from analytics_assets.checks import build_checks
from analytics_assets.privacy import traces
from analytics_assets.privacy.trace_files import LogFile, platform_logs
from analytics_assets.privacy.trace_texts import phrases_of, texts_of, without_its_day
from analytics_assets.privacy.traces import Scan, scan_traces
from analytics_assets.resources import Platform
from analytics_assets.settings import Settings
from analytics_assets.store.database import Database

REPORT = dg.AssetKey(["retention", "compliance_report"])
PLANTED = ("octavia@mail.example", "Octavia Whitfield", "u_000042", "octo-dev42", "203.0.113.7")


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over a Postgres database of its own, as the platform has it."""
    with database.connect_as_admin("postgres") as admin:
        admin.execute(
            sql.SQL("create database {} owner analytics_dagster").format(
                sql.Identifier(database.dagster_name)
            )
        )
    place = database.parameters("analytics_dagster", dbname=database.dagster_name)
    storage = {
        "hostname": place["host"], "port": place["port"], "db_name": place["dbname"],
        "username": place["user"], "password": place["password"],
    }  # fmt: skip
    overrides = {
        "storage": {"postgres": {"postgres_db": storage}},
        "telemetry": {"enabled": False},
    }
    with dg.DagsterInstance.from_ref(
        InstanceRef.from_dir(str(tmp_path), overrides=overrides)
    ) as made:
        yield made
    with database.connect_as_admin("postgres") as admin:
        admin.execute(
            sql.SQL("drop database {} with (force)").format(sql.Identifier(database.dagster_name))
        )


def know_octavia(database: Database) -> None:
    with database.connect("analytics_pipeline") as connection:
        connection.execute(
            "insert into vault.known_identifiers values ('u_000042', 'handle', 'octo-dev42'),"
            " ('u_000042', 'name', 'Octavia Whitfield')"
        )
        connection.execute(
            "insert into raw.users (user_id, valid_from, source)"
            " values ('u_000042', '2026-01-01', 'test')"
        )


def materialize(
    instance: dg.DagsterInstance, metadata: dict[str, Any], **options: Any
) -> dg.ExecuteInProcessResult:
    @dg.asset(key=["raw", "users"])
    def users() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata=metadata)

    return dg.materialize([users], instance=instance, **options)


def check(instance: dg.DagsterInstance, settings: Settings) -> dg.AssetCheckEvaluation:
    """The platform's own check, on an asset that stands in for the report."""

    @dg.asset(key=REPORT)
    def report() -> None:
        """Stands in for the real one."""

    (guard,) = [c for c in build_checks() if REPORT in {key.asset_key for key in c.check_keys}]
    result = dg.materialize(
        [report, guard],
        instance=instance,
        resources={"platform": Platform(settings)},
        raise_on_error=False,
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_who_is_named_in_a_record_fails_the_check_and_is_not_named_by_it(
    instance: dg.DagsterInstance,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "OVERLAP", 0)
    know_octavia(database)
    materialize(
        instance, {"rows": 3, "path": "/data/in.csv", "at": dg.MetadataValue.url("ftp://x")}
    )
    clean = check(instance, settings)
    assert clean.passed, clean.description

    leak = materialize(instance, {"rows": 3, "asked_by": PLANTED[0], "why": PLANTED[1]})
    tagged = materialize(instance, {"rows": 1}, tags={"who": PLANTED[2], "of/octo-dev42": "x"})
    nested = materialize(
        instance, {"answer": {"a": [{"b": f"from {PLANTED[4]}"}]}, "home": "/home/whitfield/x.csv"}
    )
    found = check(instance, settings)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    told = set((found.description or "").split("; "))
    materialized = 'ASSET_MATERIALIZATION, ["raw", "users"], metadata key'
    assert told >= {
        f"run {leak.run_id}, {materialized} asked_by: an e-mail address",
        f"run {leak.run_id}, {materialized} why: a known identifier",
        f"run {tagged.run_id}, run, tag key who: a user id",
        f"run {tagged.run_id}, run, a key that names somebody: a known identifier",
        f"run {nested.run_id}, {materialized} answer: an IP address",
        f"run {nested.run_id}, {materialized} home: a path into somebody's home",
    }
    assert not any(name in str(found) for name in (*PLANTED, "whitfield"))

    # It stands until it is gone, though it is read once; and then the check passes again.
    assert not check(instance, settings).passed
    for run in (leak, tagged, nested):
        instance.delete_run(run.run_id)
    gone = check(instance, settings)
    assert gone.passed, gone.description
    records = gone.metadata["records_read"].value
    assert isinstance(records, int)
    assert 0 < records < 60, "what was read before is not read again"


def test_events_alike_but_for_their_partition_are_each_named_and_the_partition_is_looked_at(
    instance: dg.DagsterInstance, database: Database
) -> None:
    know_octavia(database)
    days = dg.StaticPartitionsDefinition(["2026-05-01", "2026-05-02", PLANTED[2]])

    @dg.asset(
        key=["raw", "users"],
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def users() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"why": PLANTED[1]})

    both = {
        "dagster/asset_partition_range_start": "2026-05-01",
        "dagster/asset_partition_range_end": "2026-05-02",
    }
    dg.materialize([users], instance=instance, tags=both)
    named = dg.materialize([users], instance=instance, partition_key=PLANTED[2])
    with database.connect("analytics_pipeline") as connection:
        found = [str(trace) for trace in scan_traces(database, connection).findings]
    materialized = 'ASSET_MATERIALIZATION, ["raw", "users"]'
    whys = [told for told in found if told.endswith("metadata key why: a known identifier")]
    assert len([told for told in whys if materialized in told]) == 3
    assert f"run {named.run_id}, {materialized}: a user id" in found


def test_logs_are_read_on_from_where_they_were_and_anew_when_begun_anew(
    database: Database, settings: Settings
) -> None:
    know_octavia(database)
    folder = settings.home / "logs"
    folder.mkdir()
    log = folder / "run.log"

    def scan() -> Scan:
        with database.connect("analytics_pipeline") as connection:
            return scan_traces(
                database,
                connection,
                logs=platform_logs(settings.home, settings.dagster_home_dir),
                own_folders=[settings.home],
            )

    log.write_text(f"12:30:45 Running with dbt=1.11.2 at {settings.home}/x on 127.0.0.1:5432\n")
    assert (scan().log_lines, scan().findings) == (1, [])
    start = log.stat().st_size
    with log.open("a") as file:
        file.write(f"user_id={PLANTED[2]}, handle '{PLANTED[3]}'\n{'word ' * 100}{PLANTED[1]}\n")
    second = scan()
    assert second.log_lines == 2
    end = start + len(f"user_id={PLANTED[2]}, handle '{PLANTED[3]}'\n")
    assert [str(found) for found in second.findings] == [
        f"logs/run.log at byte {start}: a known identifier",
        f"logs/run.log at byte {start}: a user id",
        f"logs/run.log at byte {end}: a known identifier",
    ]
    assert (scan().log_lines, len(scan().findings)) == (0, 3)
    log.write_text("begun anew\n")
    assert (scan().log_lines, scan().findings) == (1, [])
    log.write_text(PLANTED[0])
    assert len(scan().findings) == 1
    log.unlink()
    assert scan().findings == []


def test_every_string_of_a_record_comes_out_and_long_ones_in_pieces_that_overlap() -> None:
    record = {
        "a": ["one", {"tags": {"k": "two"}}],
        "metadata": {"m": {"data": {"deep": ["three"]}}},
        "metadata_entries": [{"label": "l", "entry_data": {"text": "four"}}],
    }
    found = {text.value: text.key for text in texts_of(record)}
    assert {word: found[word] for word in ("one", "two", "three", "four")} == {
        "one": "", "two": "tag key k", "three": "metadata key m", "four": "metadata key l",
    }  # fmt: skip
    words = [f"w{number}" for number in range(200)]
    pieces = [piece.split() for piece in phrases_of(" ".join(words))]
    assert max(map(len, pieces)) <= 32
    for start in range(197):
        name = words[start : start + 4]
        assert any(name == piece[i : i + 4] for piece in pieces for i in range(len(piece)))


def test_an_event_loses_its_time_and_its_day_and_no_other_text() -> None:
    day = "2026-05-01"
    said = f'"timestamp": 5.5 on "{day}" or {day} or "{day}", "timestamp": 1'
    event = {
        "specific": {"partition": day, "tags": {day: "x", "k": said}, "lineage": [said, day]},
        "message": said,
        "timestamp": 1795298482.199146,
    }
    left = without_its_day(json.dumps(event), day)
    texts = {text.value for text in texts_of(json.loads(left))}
    assert texts | {day} == {text.value for text in texts_of(event)} | {""}
    assert day not in texts
    later = json.dumps({**event, "timestamp": 1.7e-9})
    assert without_its_day(later, day) == left
    assert without_its_day(json.dumps(said), None) == json.dumps(said)


def test_a_vanished_log_is_no_error(tmp_path: Path) -> None:
    from analytics_assets.privacy.trace_files import unread_lines

    assert unread_lines(LogFile(tmp_path / "gone.log", "gone.log"), 0, "") is None
