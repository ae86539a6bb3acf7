"""An erasure ends whole, whatever breaks it off, and nobody is named by what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from analytics_assets.cli.main import app
from analytics_assets.privacy import erasure as erasures
from analytics_assets.privacy.consent import record, statements
from analytics_assets.privacy.erasure import PersonUnknown, erase
from analytics_assets.privacy.suppression import NotSuppressed, readmit
from analytics_assets.settings import Settings, exported
from analytics_assets.store.database import Database
from analytics_assets.store.partitions import ensure_day_partitions, ensure_event_partitions

AT = datetime(2026, 6, 8, tzinfo=UTC)
DAY = datetime(2026, 6, 1, tzinfo=UTC)
Connection = psycopg.Connection[Any]
# Tables with a person that only dbt makes, as it makes them.
MARTS = ("marts.user_days", "insights.user_activity")


# One person's rows in all tables that migrations make.
ROWS = """
insert into raw.users (user_id, valid_from, subject, source, insights_consent)
values (%(who)s, %(day)s, %(subject)s, 'app', true);
insert into raw.platform_events
    (event_category, day, event_id, event_type, "timestamp", user_id, subject, source)
select c, %(day)s, gen_random_uuid(), c, %(day)s, %(who)s, %(subject)s, 'app'
from unnest(array['interaction', 'action']) as c;
insert into raw.conversations (day, conversation_id, user_id, started_at, source)
values (%(day)s, %(talk)s, %(who)s, %(day)s, 'app');
insert into raw.messages
    (day, message_id, conversation_id, role, content, created_at, source)
values (%(day)s, %(who)s, %(talk)s, 'user', '', %(day)s, 'app');
insert into raw.service_jobs
    (day, job_id, conversation_id, job_type, status, created_at, source)
values (%(day)s, %(who)s, %(talk)s, 't', 'running', %(day)s, 'app');
insert into raw.rejected_events
    (received_day, rejected_id, received_at, kind, source, raw_text, processing_status,
     error_code, error_message)
values
    (%(day)s, gen_random_uuid(), %(day)s, 'event', 'app', '{"user_id": "' || %(who)s, 'rejected',
     'not_json', '');
insert into inbox.entries (kind, source, payload) values ('user', 'app', %(payload)s);
insert into vault.known_identifiers values (%(who)s, 'name', %(who)s);
insert into vault.answer_keys (user_id, key) values (%(who)s, decode(repeat('00', 32), 'hex'));
insert into insights.analysis_cache
    (user_id, analysis_date, insights, cache_key, model, prompt_version)
values (%(who)s, %(day)s, '{}', '', '', '');
insert into insights.conversation_facets
    (day, conversation_id, user_id, task, topic, outcome, friction, sentiment, feature_request,
     summary, wish, user_messages, source, text_digest, cache_key, model, prompt_version)
values
    (%(day)s, %(talk)s, %(who)s, '', '', '', '', 3, '', '', '', 1, 'model', '', '', '', '');
insert into marts.user_days values (%(who)s, %(subject)s);
insert into insights.user_activity values (%(who)s, %(subject)s)
"""


@pytest.fixture
def pipeline(database: Database) -> Iterator[Connection]:
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        for table in MARTS:
            connection.execute(f"create table {table} (user_id text, subject text)".encode())
        ensure_event_partitions(connection, {("interaction", DAY.date()), ("action", DAY.date())})
        for table in ("messages", "conversations", "service_jobs"):
            ensure_day_partitions(connection, table, {DAY.date()})
        ensure_day_partitions(connection, "rejected_events", {DAY.date()})
        yield connection


def fill(connection: Connection, *people: str, subject: str | None = None) -> None:
    """A row about each of them in every table there is for it."""
    for who in people:
        given: dict[str, Any] = {"who": who, "subject": subject, "day": DAY, "talk": f"c {who}"}
        given["payload"] = Jsonb({"user_id": who})
        for statement in ROWS.split(";\n"):
            connection.execute(statement.encode(), given)


def rows_about(connection: Connection, who: str) -> dict[str, int]:
    """Rows whose text holds the name, by table: of all tables there are, whatever erasure knows."""
    tables = connection.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p')"
        " and not relispartition"
        " and relnamespace::regnamespace::text = any (%s) and has_table_privilege(oid, 'select')",
        [["inbox", "raw", "vault", "marts", "insights", "ops"]],
    ).fetchall()
    found = {}
    for (table,) in tables:
        row = connection.execute(
            f"select count(*) from {table} as t where to_jsonb(t)::text like %s".encode(),
            [f"%{who}%"],
        ).fetchone()
        if row and row[0]:
            found[table] = row[0]
    return found


def test_nothing_anywhere_is_about_the_erased_and_others_keep_all(pipeline: Connection) -> None:
    fill(pipeline, "octavia", "second-of-o", subject="the person")
    fill(pipeline, "marcus")
    record(pipeline, "octavia", "insights", "v1", "granted", DAY)
    pipeline.execute(
        "insert into insights.group_answers (answer_key, stage, answer, model, used_on)"
        " values ('k', 'name_group', '{}', 'm', %s)",
        [DAY],
    )
    before = rows_about(pipeline, "marcus")
    assert len(rows_about(pipeline, "octavia")) > len(before) > 12
    result = erase(pipeline, "octavia", AT)
    assert (result.complete, result.accounts, result.days) == (True, 3, 1)
    for name in ("octavia", "second-of-o", "the person"):
        assert rows_about(pipeline, name) == {}
    assert rows_about(pipeline, "marcus") == before
    assert pipeline.execute("select from insights.group_answers").rowcount == 0
    assert result.deleted.keys() >= {*MARTS, *before} - {"vault.consent_ledger"}

    again = erase(pipeline, "octavia", AT)
    assert (again.complete, again.deleted, again.days) == (True, {}, 0)
    with pytest.raises(PersonUnknown, match="Nothing was deleted"):
        erase(pipeline, "nobody", AT)
    assert pipeline.execute(
        "select action, complete, cardinality(codes), 'raw.users' = any (tables_checked)"
        " from ops.erasure_receipts order by receipt_id"
    ).fetchall() == [("erased", True, 3, True), ("erased", True, 1, True)]


def test_an_erasure_that_is_killed_is_completed_by_asking_again(
    pipeline: Connection, database: Database
) -> None:
    fill(pipeline, "octavia", "second-of-o", subject="the person")
    parts = len(list(erasures._parts(pipeline)))
    for step in (0, 1, 4, parts - 1):
        assert kill_in_step(database, step)
        assert pipeline.execute(
            "select count(*) from vault.suppressed where kind = 'person'"
        ).fetchone() == (3,)
        assert rows_about(pipeline, "second-of-o"), "there is something left to do"
    assert kill_in_step(database, parts), "all is deleted, and not counted again"
    # All accounts, though only one is named: what ties them together goes last.
    assert erase(pipeline, "octavia", AT).complete
    for name in ("octavia", "second-of-o", "the person"):
        assert rows_about(pipeline, name) == {}
    assert pipeline.execute(
        "select complete, finished_at is not null from ops.erasure_receipts"
    ).fetchall() == [(True, True)]


def kill_in_step(database: Database, step: int) -> bool:
    """Erase in a process of its own, killed in the middle of the given table's transaction, or
    before anything is counted.
    """
    child = os.fork()
    if child == 0:
        try:
            done = iter(range(1000))
            delete = erasures._delete

            def die(*_: Any) -> Any:
                os.kill(os.getpid(), signal.SIGKILL)

            def dying(*arguments: Any) -> Any:
                result = delete(*arguments)
                return die() if next(done) == step else result

            erasures._count = die
            erasures._delete = dying  # type: ignore[assignment]
            with database.connect("analytics_pipeline", autocommit=True) as connection:
                erase(connection, "octavia", AT)
        finally:
            os._exit(1)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_an_erasure_waits_for_loads_and_finds_what_they_brought(
    pipeline: Connection, database: Database
) -> None:
    fill(pipeline, "octavia")
    ended: list[bool] = []

    def run() -> None:
        with database.connect("analytics_pipeline", autocommit=True) as own:
            ended.append(erase(own, "octavia", AT).complete)

    with database.connect("analytics_pipeline") as load:
        load.execute("lock table ops.retention_floor in share mode")
        worker = threading.Thread(target=run)
        worker.start()
        waiting = "select count(*) from pg_locks where not granted and database = ("
        waiting += "select oid from pg_database where datname = current_database())"
        while pipeline.execute(waiting.encode()).fetchone() == (0,):
            time.sleep(0.005)
        load.execute(
            "insert into raw.users (user_id, valid_from, source) values ('octavia', now(), 'app')"
        )
    worker.join()
    assert ended == [True]
    assert rows_about(pipeline, "octavia") == {}


def test_neither_the_key_nor_the_erased_are_ever_forgotten(
    pipeline: Connection, database: Database
) -> None:
    fill(pipeline, "octavia")
    erase(pipeline, "octavia", AT)
    for statement in (
        "select outer_pad from vault.suppression_keys",
        "delete from vault.suppression_keys",
        "delete from vault.suppressed",
        "update vault.consent_ledger set decision = 'granted'",
        "delete from vault.consent_ledger",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pipeline.execute(statement.encode())
    with (
        database.connect("analytics_owner") as owner,
        pytest.raises(psycopg.errors.ForeignKeyViolation),
    ):
        owner.execute("delete from vault.suppression_keys")
    with pytest.raises(NotSuppressed, match="Nothing was changed"):
        readmit(pipeline, ["marcus"], AT)
    assert readmit(pipeline, ["octavia"], AT) == 1
    with pytest.raises(NotSuppressed):
        readmit(pipeline, ["octavia"], AT)
    assert pipeline.execute(
        "select action from ops.erasure_receipts order by receipt_id"
    ).fetchall() == [("erased",), ("readmitted",)]


# --- consent --------------------------------------------------------------------------------------


def consenting(connection: Connection, at: datetime = AT) -> set[str]:
    rows = connection.execute(
        "select user_id from vault.consenting('insights', %s, %s)",
        [[f"u{n}" for n in range(20)], at],
    ).fetchall()
    return {name for (name,) in rows}


HOUR = timedelta(hours=1)
# Statements in order, an hour apart: (source, flag) of raw.users, or a decision of the ledger.
HISTORIES: dict[str, tuple[list[Any], bool]] = {
    "nobody asked": ([("app", False)], False),
    "a source says so": ([("app", True)], True),
    "a source takes it back": ([("app", True), ("app", False)], False),
    "the ledger alone": (["granted"], True),
    "the ledger after the source": ([("app", True), "withdrawn"], False),
    "the ledger grants what a source never did": ([("app", False), "granted"], True),
    "a source repeats itself after a withdrawal": (
        [("app", True), "withdrawn", ("app", True)], False,
    ),
    "another source carries the flag over": (
        [("app", True), "withdrawn", ("directory", True)], False,
    ),
    "one source takes back what another repeats": (
        [("app", True), ("directory", False), ("app", True)], False,
    ),
    "a source that heard of it and grants anew": (
        [("app", True), "withdrawn", ("app", False), ("app", True)], True,
    ),
    "agreed again": (["granted", "withdrawn", "granted"], True),
    "at the same time": (["granted", ("same", "withdrawn")], False),
    "at the same time the other way round": (["withdrawn", ("same", "granted")], False),
    "withdrawn after the clock": (["granted", ("later", "withdrawn")], False),
    "granted after the clock": ([("later", "granted")], False),
    "another purpose": ([("newsletter", "granted")], False),
}  # fmt: skip


def test_the_latest_statement_wins_and_of_two_the_withdrawal(pipeline: Connection) -> None:
    """Every history at once, one user each."""
    expected = set()
    for number, (history, agrees) in enumerate(HISTORIES.values()):
        user, at = f"u{number}", DAY
        expected |= {user} if agrees else set()
        for step in history:
            at += HOUR
            kind, said = step if isinstance(step, tuple) else ("insights", step)
            if isinstance(said, bool):
                pipeline.execute(
                    "update raw.users set valid_to = %s where user_id = %s and valid_to is null",
                    [at, user],
                )
                pipeline.execute(
                    "insert into raw.users (user_id, valid_from, insights_consent, source)"
                    " values (%s, %s, %s, %s)",
                    [user, at, said, kind],
                )
                continue
            at -= HOUR if kind == "same" else timedelta()
            stated = AT + HOUR if kind == "later" else at
            purpose = "newsletter" if kind == "newsletter" else "insights"
            record(pipeline, user, purpose, "v1", said, stated)
    names = list(HISTORIES)
    found = {names[int(user[1:])] for user in consenting(pipeline)}
    assert found == {names[int(user[1:])] for user in expected}


def test_who_withdraws_has_the_days_read_before_made_again(pipeline: Connection) -> None:
    fill(pipeline, "octavia")
    record(pipeline, "octavia", "insights", "v1", "granted", DAY)
    assert (DAY.date(), "consent") not in dirty(pipeline)
    record(pipeline, "octavia", "insights", "v1", "withdrawn", DAY)
    assert (DAY.date(), "consent") in dirty(pipeline)


def dirty(connection: Connection) -> set[Any]:
    return set(connection.execute("select day, reason from ops.dirty_days").fetchall())


def test_internal_or_closed_accounts_do_not_consent_whatever_they_said(
    pipeline: Connection,
) -> None:
    for user, internal, closed in (("u1", True, None), ("u2", False, DAY), ("u3", False, None)):
        pipeline.execute(
            "insert into raw.users (user_id, valid_from, valid_to, is_internal, source)"
            " values (%s, %s, %s, %s, 'app')",
            [user, DAY - HOUR, closed, internal],
        )
        record(pipeline, user, "insights", "v1", "granted", DAY)
    assert consenting(pipeline) == {"u3"}


def test_the_ledger_of_the_erased_keeps_what_was_agreed_and_no_name(pipeline: Connection) -> None:
    fill(pipeline, "octavia")
    record(pipeline, "octavia", "insights", "v1", "granted", DAY)
    record(pipeline, "octavia", "research", "v1", "granted", DAY)
    record(pipeline, "octavia", "research", "v2", "withdrawn", DAY + HOUR)
    erase(pipeline, "octavia", AT)
    # Said by an application that has not noticed: kept under the code, and nothing follows.
    record(pipeline, "octavia", "insights", "v1", "granted", AT + HOUR)
    assert rows_about(pipeline, "octavia") == {}
    told = [
        (s.purpose, s.text_version, s.decision, s.source)
        for s in reversed(statements(pipeline, "octavia"))
    ]
    assert told == [
        ("insights", "v1", "granted", "command line"),
        ("research", "v1", "granted", "command line"),
        ("research", "v2", "withdrawn", "command line"),
        ("insights", "v1", "withdrawn", "erasure"),
        ("insights", "v1", "granted", "command line"),
    ]
    assert statements(pipeline, "marcus") == []
    readmit(pipeline, ["octavia"], AT + 2 * HOUR)
    record(pipeline, "octavia", "insights", "v2", "granted", AT + 3 * HOUR)
    rows = pipeline.execute(
        "select user_id from vault.consenting('insights', array['octavia'], %s)", [AT + 4 * HOUR]
    ).fetchall()
    assert rows == [("octavia",)]


def test_the_commands_erase_readmit_and_keep_the_ledger(
    pipeline: Connection, settings: Settings
) -> None:
    fill(pipeline, "octavia")
    runner = CliRunner()
    assert settings.database_url

    def run(*arguments: str) -> Any:
        return runner.invoke(app, ["privacy", *arguments])

    decision = ("consent", "--user", "octavia", "--purpose", "insights", "--text-version", "v1")
    with exported(
        {
            "ANALYTICS_HOME": str(settings.home),
            "ANALYTICS_DATABASE_URL": settings.database_url.get_secret_value(),
            "ANALYTICS_START_DAY": str(settings.start_day),
            "ANALYTICS_AS_OF": settings.now().isoformat(),
        }
    ):
        assert run("consent", "--list").exit_code == 0
        assert run(*decision).exit_code == 2
        assert run("consent", "--granted").exit_code == 2
        assert run(*decision, "--granted").exit_code == 0
        assert run(*decision, "--withdrawn", "--json").exit_code == 0
        listed = json.loads(run("consent", "--list", "--user", "octavia", "--json").stdout)
        assert [line["decision"] for line in listed] == ["withdrawn", "granted"]
        erased = run("erase", "octavia", "--json")
        assert erased.exit_code == 0, erased.output
        assert json.loads(erased.stdout)["complete"]
        assert "octavia" not in run("consent", "--list").stdout
        assert run("erase", "nobody").exit_code == 1
        assert run("readmit", "nobody").exit_code == 1
        assert json.loads(run("readmit", "octavia", "--json").stdout)["readmitted"] == 1
