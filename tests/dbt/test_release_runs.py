"""Releases that are disturbed, repeated, or of a table of the user's own: never a second, different
release of the same period.

People are put straight into the tables the release reads (benchmarks/release_world.py); every test
starts from an empty ledger.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import psycopg
import pytest
from dbt_runs import PROJECT_DIR, DbtBuilder, DbtOutcome
from psycopg.types.json import Jsonb
from raw_rows import RawRows

from analytics_assets.benchmarks.release_world import (
    Profile,
    ReleaseWorld,
    draw_world,
    fill,
    forget,
)
from analytics_assets.privacy.erasure import PersonUnknown, erase
from analytics_assets.privacy.floor import k_floor_violations
from analytics_assets.privacy.forbidden import scan
from analytics_assets.privacy.laplace import ensure_noise
from analytics_assets.privacy.period_keys import ensure_period_keys
from analytics_assets.privacy.plan import PLAN_FILE, load_plan
from analytics_assets.privacy.plan_store import current_entries
from analytics_assets.retention.roll_up import roll_up
from analytics_assets.store.database import Database
from analytics_assets.store.migrate import migrate

TRENDS, EVENTS = "published.event_trends", "anonymous.analytics_events"
ONLY_MODELS = ("--resource-type", "model")
START = date(2026, 4, 27)  # a Monday
Row = tuple[Any, ...]


@dataclass
class Releases:
    """A database whose tables of people stand, and dbt to release from them."""

    database: Database
    builder: DbtBuilder
    connection: psycopg.Connection[Any]
    world: ReleaseWorld

    def start_over(self, world: ReleaseWorld, *, keys: int | None = 5) -> None:
        """Forget all releases; put the world in, and draw keys from the seed where there is one."""
        self.world = world
        forget(self.database)
        self.connection.execute("delete from raw.users")
        fill(self.connection, world)
        if keys is not None:
            self.draw_keys(keys)

    def draw_keys(self, seed: int) -> int:
        source = random.Random(seed)  # noqa: S311
        return ensure_period_keys(
            self.connection, self.world.days[0], self.world.closes_at, source.randbytes
        )

    def run(self, model: str = "event_trends", as_of: datetime | None = None) -> DbtOutcome:
        return self.builder.build(
            self.world.days[0],
            self.world.closes_at.date(),
            select=model,
            as_of=as_of or self.world.closes_at,
            start_day=self.world.days[0],
            extra=ONLY_MODELS,
        )

    def rows(self, table: str = TRENDS) -> list[Row]:
        return sorted(self.query(f"select * from {table}"), key=repr)

    def query(self, statement: str) -> list[Row]:
        return self.connection.execute(statement.encode()).fetchall()

    def ledger(self, table: str = TRENDS) -> dict[tuple[str, date], tuple[str, str | None]]:
        return {
            (kind, period): (state, reason)
            for kind, period, state, reason in self.query(
                "select period_kind, period, state, reason from ops.release_ledger"
                f" where release_table = '{table}'"
            )
        }


@pytest.fixture(scope="module")
def built(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Releases]:
    builder = DbtBuilder(module_database, tmp_path_factory.mktemp("dbt"))
    builder.build(
        START,
        START + timedelta(days=1),
        select="+tag:release",
        extra=(*ONLY_MODELS, "--exclude", "tag:release"),
    ).check()
    with module_database.connect("analytics_pipeline", autocommit=True) as connection:
        yield Releases(module_database, builder, connection, ReleaseWorld(0, (START,)))


@pytest.fixture(scope="module")
def world() -> ReleaseWorld:
    return draw_world(150, days=14, start=START)


def test_a_vault_without_keys_stops_the_release_and_says_what_to_do(
    built: Releases, world: ReleaseWorld
) -> None:
    built.start_over(world, keys=None)
    (message,) = built.run().failed().values()
    assert "ought to close and have no key in vault, the first is day 2026-04-27" in message
    assert "Materialize the release through Dagster" in message
    assert built.rows() == []
    assert built.ledger() == {}
    assert built.draw_keys(5) > 14
    built.run().check()
    assert built.ledger()["day", START] == ("closed", None)


def test_a_table_that_comes_after_the_keys_have_gone_is_withheld(
    built: Releases, world: ReleaseWorld
) -> None:
    """Its period was closed by another table: counted under a new key it might differ."""
    built.start_over(world)
    built.run("tag:release,event_trends").check()
    built.connection.execute("delete from vault.period_keys where period_kind = 'day'")
    built.draw_keys(6)
    built.run("analytics_events").check()
    assert built.ledger(EVENTS)["day", START] == ("withheld", "its keys are gone")
    assert {row[-1].weekday() for row in built.rows(EVENTS)} == {0}, "a week tells of its days"


def test_a_clock_that_jumps_closes_nothing_that_was_not_built_and_nothing_twice(
    built: Releases, world: ReleaseWorld
) -> None:
    built.start_over(world)
    built.run().check()
    rows, ledger = built.rows(), built.ledger()
    assert rows
    for days in (400, -20, 0):
        as_of = world.closes_at + timedelta(days=days)
        ensure_period_keys(built.connection, START, as_of)
        built.run(as_of=as_of).check()
        assert built.rows() == rows
        # Days of the year it jumped over were never built.
        later = {period for _, period in built.ledger().keys() - ledger.keys()}
        assert all(period <= world.closes_at.date() for period in later)


def test_erased_people_and_a_full_refresh_leave_what_was_released(
    built: Releases, world: ReleaseWorld
) -> None:
    built.start_over(world)
    built.run("tag:release").check()
    before = {name: built.rows(name) for name in current_entries(built.connection)}
    for table in ("profile_days", "subject_days", "subject_installs", "subject_searches"):
        built.connection.execute(
            f"delete from marts.int_{table} where subject < 'person-000040'".encode()
        )
    built.builder.build(
        START,
        world.closes_at.date(),
        select="tag:release",
        as_of=world.closes_at,
        start_day=START,
        extra=(*ONLY_MODELS, "--full-refresh"),
    ).check()
    assert {name: built.rows(name) for name in before} == before
    assert k_floor_violations(built.connection) == []


def test_two_runs_that_close_the_same_periods_at_once_release_them_once(
    built: Releases, world: ReleaseWorld
) -> None:
    """The second waits until the first, held up before its insert, has closed them."""
    built.start_over(world)
    built.run().check()
    alone = built.rows()
    built.start_over(world)
    with held_before_the_insert(built) as (first, let_go):
        waiting = threading.Thread(target=_once, args=(built, "advisory", let_go))
        waiting.start()
        built.run().check()
        waiting.join()
        said, _ = first.communicate(timeout=60)
        assert first.returncode == 0, said
    assert built.rows() == alone, "the same keys draw the same noise"
    assert k_floor_violations(built.connection) == []


def test_a_crash_between_noise_and_insert_is_followed_by_the_same_release(
    built: Releases, world: ReleaseWorld
) -> None:
    built.start_over(world)
    built.run().check()
    undisturbed = built.rows()
    built.start_over(world)
    with held_before_the_insert(built) as (run, _):
        # The process first: dbt would come back on a connection of its own.
        run.kill()
        run.wait()
        for pid in _waiting(built, "relation"):
            with built.database.connect_as_admin(built.database.name) as admin:
                admin.execute("select pg_terminate_backend(%s, 5000)", [pid])
    assert built.rows() == []
    assert built.ledger() == {}
    assert built.query("select * from vault.release_counts") == []
    built.run().check()
    assert built.rows() == undisturbed


@contextmanager
def held_before_the_insert(
    built: Releases,
) -> Iterator[tuple[subprocess.Popen[str], Callable[[], None]]]:
    """A release in a process of its own that has counted and drawn, and waits to insert."""
    with built.database.connect_as_admin(built.database.name, autocommit=False) as admin:
        admin.execute("lock table published.event_trends in share mode")
        run = built.builder.start(
            START,
            built.world.closes_at.date(),
            select="event_trends",
            as_of=built.world.closes_at,
            start_day=START,
            extra=ONLY_MODELS,
        )
        try:
            _once(built, "relation", lambda: None, run)
            yield run, admin.rollback
        finally:
            run.kill()


def _once(
    built: Releases,
    event: str,
    act: Callable[[], None],
    run: subprocess.Popen[str] | None = None,
) -> None:
    """Act as soon as a session waits for that kind of lock."""
    deadline = time.monotonic() + 60
    while not _waiting(built, event):
        assert run is None or run.poll() is None, run.communicate()
        assert time.monotonic() < deadline, f"no session ever waited for a lock ({event})"
        time.sleep(0.05)
    act()


def _waiting(built: Releases, event: str) -> list[int]:
    with built.database.connect_as_admin(built.database.name) as admin:
        rows = admin.execute(
            "select pid from pg_stat_activity where datname = current_database()"
            " and wait_event_type = 'Lock' and wait_event = %s and query like '%%event_trends%%'",
            [event],
        ).fetchall()
    return [pid for (pid,) in rows]


def test_accounts_merged_after_their_days_were_built_count_once(built: Releases) -> None:
    """Twenty accounts of ten people, beside twenty people."""
    days = (START,)
    crowd = [f"p-{number}" for number in range(20)]
    accounts = [f"a-{number}" for number in range(20)]
    world = ReleaseWorld(40, days)
    world.events = [(START, "content", "project.created", subject, 1) for subject in crowd]
    world.events += [(START, "transaction", "proposal.submitted", one, 1) for one in accounts]
    built.start_over(world)
    built.connection.execute(
        """
        insert into raw.users (user_id, valid_from, subject, source)
        select 'a-' || number, '2026-01-01', 'human-' || number / 2, 'test'
        from generate_series(0, 19) as number
        """
    )
    built.run().check()
    told = {row[2]: row[4] for row in built.rows() if row[1] == "day"}
    # Ten people never stand: the other class has to hide them.
    assert list(told) == ["any"]
    assert abs(told["any"] - 30) <= 6


def test_a_lone_person_is_hidden_among_enough_others(built: Releases) -> None:
    """Beside five servers of twenty people each; one of them hides hardly more than ten."""
    weeks = [START + timedelta(weeks=number) for number in range(4)]
    world = ReleaseWorld(0, tuple(START + timedelta(days=number) for number in range(28)))
    for week in weeks:
        world.installs.append((week, f"lone-{week}", "rare", 1))
        world.installs += [
            (week, f"p-{week}-{number}", f"server-{number % 5}", 1) for number in range(100)
        ]
    built.start_over(world)
    built.run("install_trends").check()
    told: dict[date, set[str]] = defaultdict(set)
    for period, kind, server, _ in built.rows("published.install_trends"):
        if kind == "week":
            told[period].add(server)
    assert set(told) == set(weeks)
    for servers in told.values():
        assert "any" in servers
        assert "rare" not in servers
        assert len(servers - {"any"}) <= 4, "nobody was taken in to hide the lone one"
    assert min(len(servers) for servers in told.values()) <= 4, "one server is rarely enough"


def test_where_no_day_could_be_told_the_week_is_and_then_the_month(built: Releases) -> None:
    """Days of ten people; in the first week always the same, in the others ever new ones."""
    days = tuple(START + timedelta(days=number) for number in range(21))
    world = ReleaseWorld(0, days)
    template = draw_world(30, days=1, start=START).profiles[0]
    for number, day in enumerate(days):
        first = 0 if number < 7 else 10 * number
        world.profiles += [
            template._replace(day=day, subject=f"p-{person}", archetype="builder")
            for person in range(first, first + 10)
        ]
    built.start_over(world)
    built.run("analytics_events").check()
    ledger = built.ledger(EVENTS)
    assert {state for (kind, _), (state, _) in ledger.items() if kind == "day"} == {"withheld"}
    monday = [START + timedelta(weeks=number) for number in range(3)]
    assert [ledger["week", week][0] for week in monday] == ["withheld", "closed", "closed"]
    assert ledger["month", date(2026, 5, 1)][0] == "withheld", "its weeks tell of it"
    told = Counter(row[-1] for row in built.rows(EVENTS))
    assert set(told) == set(monday[1:])
    assert all(abs(people - 70) <= 6 for people in told.values())
    assert k_floor_violations(built.connection) == []


@pytest.mark.parametrize("people", [120, 400])
def test_what_is_released_still_tells_the_truth(built: Releases, people: int) -> None:
    """Kept person-days, the weekly trend and the shares of archetypes, against the drawn people."""
    world = draw_world(people, days=35, start=START)
    built.start_over(world)
    built.run("tag:release").check()
    assert abs(len(built.rows(EVENTS)) - len(world.profiles)) <= 0.05 * len(world.profiles)
    by_week: dict[date, set[str]] = defaultdict(set)
    by_archetype: dict[str, set[str]] = defaultdict(set)
    for profile in world.profiles:
        by_week[profile.day - timedelta(days=profile.day.weekday())].add(profile.subject)
        if profile.day.month == 5:
            by_archetype[profile.archetype].add(profile.subject)
    weeks = {row[0]: row[2] for row in built.rows("published.ai_usage_trends")}
    off = sum(abs(weeks[week] - len(subjects)) for week, subjects in by_week.items())
    assert off <= 0.10 * sum(map(len, by_week.values()))
    if people < 400:
        return
    told = {row[1]: row[2] for row in built.rows("published.archetype_distribution")}
    everybody = sum(map(len, by_archetype.values()))
    for archetype, subjects in by_archetype.items():
        share = told.get(archetype, 0) / sum(told.values())
        assert abs(share - len(subjects) / everybody) <= 0.03, archetype


def test_an_erased_person_is_in_no_zone_and_in_what_was_released_as_before(
    built: Releases, world: ReleaseWorld
) -> None:
    """By any of the person's accounts."""
    built.start_over(world)
    built.run("tag:release").check()
    before = {name: built.rows(name) for name in current_entries(built.connection)}
    at = datetime(2026, 4, 28, 9, tzinfo=UTC)
    raw = RawRows(built.connection)
    for user, subject in (("person-000001", "human"), ("second", "human"), ("other", "other")):
        raw.history("users", [{"user_id": user, "valid_from": at, "subject": subject}])
        raw.events(
            [
                {
                    "event_category": "content",
                    "event_type": "project.created",
                    "timestamp": at,
                    "user_id": user,
                    "subject": user,
                }
            ]
        )
        talk = {"conversation_id": f"talk of {user}", "user_id": user, "started_at": at}
        raw.table("conversations", [talk], "started_at")
        answer = {"message_id": f"to {user}", "conversation_id": f"talk of {user}"}
        answer |= {"role": "assistant", "content": "Hello.", "created_at": at}
        raw.table("messages", [answer], "created_at")
        built.connection.execute(
            "insert into vault.known_identifiers values (%s, 'name', %s)", [user, user.title()]
        )
        built.connection.execute(
            "insert into inbox.entries (kind, source, payload) values ('user', 'test', %s)",
            [Jsonb({"user_id": user})],
        )
    erasure = erase(built.connection, "second")
    assert erasure.complete
    assert erasure.deleted.keys() >= {
        "inbox.entries",
        "raw.users",
        "raw.platform_events",
        "raw.conversations",
        "raw.messages",
        "vault.known_identifiers",
        "marts.int_profile_days",
        "marts.int_subject_days",
    }
    assert built.query("select message_id from raw.messages") == [("to other",)]
    assert built.query("select distinct day from ops.dirty_days where reason = 'deletion'") == [
        (at.date(),)
    ]
    assert erase(built.connection, "second").deleted == {}
    with pytest.raises(PersonUnknown, match="Nothing was deleted"):
        erase(built.connection, "nobody")
    built.connection.execute("delete from ops.dirty_days")
    built.run("tag:release").check()
    assert {name: built.rows(name) for name in before} == before
    for table in ("inbox.entries", "raw.conversations", "raw.messages", "raw.platform_events"):
        built.connection.execute(f"delete from {table}".encode())


WEEKLY = "  published.ai_usage_trends:\n"
MODEL = """\
{{ config(materialized='release') }}
select closing.period_kind, closing.period, people.subject, people.language
from {{ ref('int_profile_days') }} as people
join {{ closing_days() }} as closing on closing.day = people.day
"""
DESCRIPTION = """\
models:
  - name: languages
    description: People by language.
    columns:
      - {name: period, data_type: date, description: First day of the period.}
      - {name: period_kind, data_type: text, description: day or week.}
      - {name: spoken, data_type: text, description: "The language, its group, or any."}
      - {name: n_people, data_type: integer, description: People.}
"""
ENTRY = """\

  published.languages:
    description: People by language.
    periods: [day, week]
    kind_column: period_kind
    reads: [analytics]
    keep_days: 365
    dimensions:
      spoken: {from: language, hierarchy: languages}
    ladder:
      - {spoken: value}
      - {spoken: group}
"""


def blocks_of(page: Path) -> list[str]:
    """The indented blocks of a page, without the indent that its list gives them."""
    blocks, lines = [], [*page.read_text().splitlines(), "end"]
    block: list[str] = []
    for line in lines:
        if line.startswith("       ") or (block and not line.strip()):
            block.append(line)
        elif block:
            blocks.append(dedent("\n".join(block)).strip() + "\n")
            block = []
    return blocks


@pytest.fixture
def with_own_table(built: Releases, tmp_path: Path) -> Iterator[tuple[Releases, Path]]:
    """A project with a model and a plan entry more, migrated; the plan's file."""
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "models" / "published" / "languages.sql").write_text(MODEL)
    (project / "models" / "published" / "languages.yml").write_text(DESCRIPTION)
    documented = blocks_of(PROJECT_DIR.parent / "docs" / "privacy.md")
    (project / "models" / "published" / "tool_trends.sql").write_text(
        next(block for block in documented if "materialized='release'" in block)
    )
    published = project / "models" / "published" / "published.yml"
    described = next(block for block in documented if block.startswith("- name: tool_trends"))
    published.write_text(published.read_text() + indent(described, "  "))
    entry = next(block for block in documented if block.startswith("published.tool_trends:"))
    plan_file = tmp_path / "plan.yaml"
    shipped = PLAN_FILE.read_text().replace(WEEKLY, f"{WEEKLY}    epsilon: 0.5\n")
    plan_file.write_text(shipped + ENTRY + indent(entry, "  "))
    migrate(built.database, load_plan(plan_file))
    yield (
        replace(built, builder=DbtBuilder(built.database, tmp_path / "target", project)),
        plan_file,
    )
    migrate(built.database)
    with built.database.connect_as_admin("postgres") as admin:
        admin.execute(f"drop database if exists {built.database.dagster_name}".encode())


def test_a_table_of_the_users_own_needs_a_model_and_a_plan_entry(
    with_own_table: tuple[Releases, Path], world: ReleaseWorld
) -> None:
    own, plan_file = with_own_table
    own.start_over(world)
    ensure_noise(own.connection, random.Random(3).randrange)  # noqa: S311
    own.run("languages tool_trends ai_usage_trends").check()
    rows = own.rows("published.languages")
    days = Counter(profile.day for profile in world.profiles)
    for day, people in days.items():
        told = [row for row in rows if row[0] == day and row[1] == "day"]
        assert abs(sum(row[3] for row in told) - people) <= 6 * len(told)
    assert {row[2] for row in rows} >= {"Python", "any"}
    assert k_floor_violations(own.connection) == []
    assert scan(own.connection) == []
    with own.database.connect("analytics_reader") as reader:
        assert reader.execute("select count(*) from published.languages").fetchone() != (0,)
    with pytest.raises(psycopg.errors.CheckViolation, match="or was not counted"):
        own.connection.execute(
            "insert into published.languages values ('2026-06-01', 'week', 'Zig', 40)"
        )

    tools = own.rows("published.tool_trends")
    weeks = {row[0] for row in tools}
    assert len(weeks) == 2
    assert {row[1] for row in tools} >= {"any", "cursor"}
    told_a_week_with_noise_of_its_own(own, world, weeks)

    # A later plan holds for what is still open; what has closed keeps its version.
    plan_file.write_text(plan_file.read_text().replace("      - {spoken: group}\n", ""))
    migrate(own.database, load_plan(plan_file))
    own.run("languages").check()
    assert own.rows("published.languages") == rows
    assert own.query(
        "select version, retired_at is null from ops.release_plan"
        " where release_table = 'published.languages' order by 1"
    ) == [(1, True), (2, True)]


def told_a_week_with_noise_of_its_own(
    own: Releases, world: ReleaseWorld, weeks: set[date]
) -> None:
    """The weekly trend, which the plan of this test gives an epsilon."""
    table = "published.ai_usage_trends"
    told = {row[0]: row[1:] for row in own.rows(table)}
    assert set(told) == weeks
    for week, (mean, count) in told.items():
        shares = defaultdict(list)
        for profile in world.profiles:
            if profile.day - timedelta(days=profile.day.weekday()) == week:
                shares[profile.subject].append(profile.ai_percentage)
        true = sum(sum(own_shares) / len(own_shares) for own_shares in shares.values())
        assert 0 < abs(count - len(shares)) < 70, "noise of 21 buckets, of 13 people or so"
        assert abs(float(mean) - true / len(shares)) < 15
    spent = own.query("select period, epsilon, mechanism from ops.dp_ledger order by 1")
    assert {row[1:] for row in spent} == {(Decimal("0.5"), "discrete Laplace")}
    closed = {period for _, period in own.ledger(table)}
    assert {row[0] for row in spent} == closed > weeks, "looking at an empty week costs as much"
    left = own.query("select distinct period from vault.laplace_noise")
    assert closed.isdisjoint(period for (period,) in left)
    # The noise is gone, the week is told: nothing is spent again, and nothing drawn anew.
    assert ensure_noise(own.connection) == 0
    own.run("ai_usage_trends").check()
    assert {row[0]: row[1:] for row in own.rows(table)} == told


def test_days_past_their_time_become_sums_of_what_was_published(
    with_own_table: tuple[Releases, Path],
) -> None:
    own, _ = with_own_table
    own.start_over(draw_world(60, days=40, start=date(2026, 4, 1)))
    own.run("languages").check()
    table = "published.languages"
    april = Counter[str]()
    for day, kind, spoken, people in own.rows(table):
        if kind == "day" and day.month == 4:
            april[spoken] += people
    kept = [row for row in own.rows(table) if row[1] == "week" or row[0].month == 5]
    # 365 days after 20 May, when all of April is past its time; the second time nothing is.
    year_later = datetime(2027, 5, 20, tzinfo=UTC)
    assert roll_up(own.database, year_later).get(table) == 1
    assert roll_up(own.database, year_later) == {}
    assert own.rows(table) == kept
    months = own.rows(f"{table}_monthly")
    assert {spoken: people for _, spoken, people in months} == april
    assert {month for month, *_ in months} == {date(2026, 4, 1)}
    assert own.ledger(table)["day", date(2026, 4, 20)][0] in ("superseded", "withheld")
    own.run("languages").check()
    assert own.rows(table) == kept, "a day that gave way to its month is not released again"
    assert k_floor_violations(own.connection) == []
    assert scan(own.connection) == []
    with own.database.connect_as_admin(own.database.name) as admin:
        admin.execute(f"drop table {table}_monthly".encode())


def test_a_column_that_the_model_does_not_select_is_named_with_its_line(
    with_own_table: tuple[Releases, Path], world: ReleaseWorld
) -> None:
    own, plan_file = with_own_table
    text = plan_file.read_text().replace("spoken: {from: language,", "spoken: {from: tongue,")
    plan_file.write_text(text)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "tongue" in row)
    migrate(own.database, load_plan(plan_file))
    own.start_over(world)
    (message,) = own.run("languages").failed().values()
    assert f"{plan_file}:{line}: spoken: the model of published.languages selects no column" in (
        message
    )
    assert "tongue; it selects period_kind, period, subject, language" in message
    assert own.ledger("published.languages") == {}


def test_a_released_table_is_never_given_other_columns(
    with_own_table: tuple[Releases, Path],
) -> None:
    from analytics_assets.privacy.plan import PlanError

    own, plan_file = with_own_table
    plan_file.write_text(plan_file.read_text().replace("spoken", "tongue"))
    with pytest.raises(PlanError, match=r"published\.languages stands with the columns period"):
        migrate(own.database, load_plan(plan_file))
    assert "tongue" not in str(current_entries(own.connection))


def test_a_profile_is_of_the_shape_the_release_reads() -> None:
    """The rows these tests put in are those that dbt would make."""
    import re

    sql = (PROJECT_DIR / "models" / "intermediate" / "int_profile_days.sql").read_text()
    selected = re.split(r"\bselect\b", sql)[-1].split("from days")[0]
    assert tuple(re.findall(r"\w+", selected)) == Profile._fields
