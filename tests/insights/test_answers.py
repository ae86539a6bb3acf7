"""Who returns, who pays, what stands out, and the answers made of it: over one made-up company."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from analytics_assets.cli.main import app
from analytics_assets.insights.answers.metric_anomalies import anomalies_of, build_anomalies
from analytics_assets.insights.answers.payment_signals import build_payment_signals
from analytics_assets.insights.answers.success_metrics import (
    build_success_metrics,
    read_answers,
    weeks_of,
)
from analytics_assets.insights.answers.success_questions import Figure, Question
from analytics_assets.insights.answers.success_text import lines_of
from analytics_assets.insights.returns.predictions import mondays_of, predict_returns
from analytics_assets.insights.summary.daily_summary import build_daily_summary
from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

Connection = psycopg.Connection[Any]
START = date(2026, 3, 2)
DAYS = 63
LAST_WEEK = date(2026, 4, 27)
NOW = datetime(2026, 5, 5, 6, tzinfo=UTC)
WHOLE = Window(START, NOW.date() + timedelta(days=1))
OWNER = "owner"
CONSENTING, SILENT, STAFF = 150, 10, 5
ACTIVITY = """
create table insights.user_activity (
    user_id text, day date, total_conversations int, average_depth numeric,
    tool_usage_pattern jsonb default '{}', jobs int default 0, downloads int default 0,
    shares int default 0, credit_limits int default 0, returned boolean default false,
    primary key (day, user_id)
);
create table marts.daily_metrics (date date, metric_name text, metric_value numeric);
"""


@pytest.fixture(scope="module")
def world(postgres_server: Database) -> Iterator[Database]:
    """Nine weeks: people of different habits, an owner who succeeds, others who get stuck."""
    with cloned_database(postgres_server, "test_answers") as database:
        with database.connect("analytics_pipeline") as conn:
            conn.execute(ACTIVITY)
            _fill(conn)
            conn.commit()
            build_all(conn)
        yield database


def build_all(conn: Connection, window: Window = WHOLE) -> None:
    predict_returns(conn, window, NOW)
    build_payment_signals(conn, window, NOW.date())
    build_anomalies(conn, window, NOW.date())
    build_success_metrics(conn, window, NOW, OWNER)
    conn.commit()


@pytest.fixture
def conn(world: Database) -> Iterator[Connection]:
    """A connection whose changes are undone."""
    with world.connect("analytics_pipeline") as connection:
        yield connection
        connection.rollback()


def _fill(conn: Connection) -> None:
    draw = Random(11)  # noqa: S311
    people = [OWNER, *(f"u{number:03}" for number in range(CONSENTING))]
    others = [f"silent{n}" for n in range(SILENT)] + [f"staff{n}" for n in range(STAFF)]
    habit = {person: draw.uniform(0.05, 0.6) for person in [*people, *others]}
    habit[OWNER] = 0.9
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into raw.users (user_id, valid_from, insights_consent, is_internal, source) "
            "values (%s, '2026-01-01', %s, %s, 'test')",
            [(p, not p.startswith("silent"), p.startswith("staff")) for p in habit],
        )
        activity, facets = [], []
        for offset in range(DAYS):
            day = START + timedelta(days=offset)
            for person, often in habit.items():
                if draw.random() > often:
                    continue
                limits = int(draw.random() < 0.1)
                activity.append((person, day, 1, 4, int(draw.random() < 0.3), limits))
                if person in people:
                    done = person == OWNER or draw.random() < 0.5
                    facets.append(
                        (
                            day,
                            f"c-{person}-{day}",
                            person,
                            "automate" if person == OWNER else draw.choice(["fix", "build"]),
                            "achieved" if done else "not_achieved",
                            "none" if done else draw.choice(["slow", "error"]),
                            4 if done else 2,
                            draw.choice(["integration", "none", "none", "offline"]),
                        )
                    )
        cursor.executemany(
            "insert into insights.user_activity "
            "(user_id, day, total_conversations, average_depth, downloads, credit_limits) "
            "values (%s, %s, %s, %s, %s, %s)",
            activity,
        )
        cursor.executemany(
            "insert into insights.conversation_facets (day, conversation_id, user_id, task, "
            "outcome, friction, sentiment, feature_request, topic, summary, wish, user_messages, "
            "source, text_digest, cache_key, model, prompt_version) values "
            "(%s, %s, %s, %s, %s, %s, %s, %s, 'debugging', '', '', 3, 'model', '', '', 'm', '1')",
            facets,
        )
        cursor.executemany(
            "insert into marts.daily_metrics values (%s, %s, %s)",
            [(day, *rest) for day, *rest in _metrics(draw)],
        )


def _metrics(draw: Random) -> Iterator[tuple[date, str, float]]:
    for offset in range(DAYS):
        day = START + timedelta(days=offset)
        weekend = day.weekday() >= 5
        searches = (200 if weekend else 1000) * draw.uniform(0.95, 1.05)
        yield day, "total_searches", searches * (3 if day == SPIKE else 1)
        yield day, "active_users", (20 if weekend else 60) * draw.uniform(0.95, 1.05)


SPIKE = date(2026, 4, 29)


def rows(conn: Connection, query: str, *parameters: Any) -> list[Any]:
    return conn.execute(query.encode(), parameters).fetchall()


def answers(conn: Connection, question: Question, week: date = LAST_WEEK) -> list[Figure]:
    _, figures = read_answers(conn, week)
    return [figure for figure in figures if figure.question == question]


def one(figures: list[Figure], metric: str, label: str = "") -> Figure:
    (found,) = [f for f in figures if (f.metric, f.label) == (metric, label)]
    return found


# Who will return


def test_predictions_are_made_for_mondays_from_the_days_before_them(conn: Connection) -> None:
    found = rows(
        conn,
        "select as_of_day, count(*), bool_and(calibrated), min(model_version) "
        "from insights.return_predictions group by 1 order by 1",
    )
    assert found[-1][0] == date(2026, 5, 4)
    assert all(day.weekday() == 0 for day, *_ in found)
    assert {version for *_, version in found} <= {"return-1:baseline", "return-1:logistic"}
    assert found[-1][2]
    # The first weeks had nothing to learn from, and say so.
    ((why,),) = rows(conn, "select why_none from insights.return_models order by as_of_day limit 1")
    assert "not enough history" in why
    ((auc, ece),) = rows(
        conn,
        "select auc::float, ece::float from insights.return_models order by as_of_day desc limit 1",
    )
    assert auc > 0.6
    assert ece <= 0.05


def test_only_who_consents_and_is_not_internal_is_predicted_and_withdrawal_deletes(
    conn: Connection,
) -> None:
    people = {
        user for (user,) in rows(conn, "select distinct user_id from insights.return_predictions")
    }
    assert OWNER in people
    assert not [user for user in people if user.startswith(("silent", "staff"))]
    conn.execute("update raw.users set insights_consent = false where user_id = 'u001'")
    # Any window: an old one, in which the user was never predicted, will do.
    predict_returns(conn, Window.of_day(START), NOW)
    left = rows(conn, "select count(*) from insights.return_predictions where user_id = 'u001'")
    assert left == [(0,)]


def test_a_prediction_does_not_depend_on_the_window_nor_on_what_came_after(
    conn: Connection,
) -> None:
    query = "select * from insights.return_predictions where as_of_day = %s order by user_id"
    monday = date(2026, 4, 20)
    before = rows(conn, query, monday)
    assert before
    conn.execute("delete from insights.user_activity where day >= %s and user_id > 'u1'", [monday])
    predict_returns(conn, Window.of_day(monday), NOW)
    assert rows(conn, query, monday) == before


def test_the_mondays_of_a_window_are_those_its_days_decide() -> None:
    wednesday = date(2026, 4, 22)
    assert mondays_of(Window.of_day(wednesday), NOW.date()) == [
        date(2026, 4, 20),
        date(2026, 4, 27),
    ]
    assert mondays_of(Window.of_day(NOW.date()), NOW.date()) == [date(2026, 5, 4)]


# What happens when credits run out


def test_what_follows_a_spent_credit_is_counted_for_seven_days_and_known_when_they_are_over(
    conn: Connection,
) -> None:
    conn.execute("truncate insights.user_activity")
    conn.execute(
        "insert into insights.user_activity (user_id, day, total_conversations, average_depth, "
        "jobs, downloads, shares, credit_limits) values "
        "('back', '2026-04-01', 1, 1, 0, 9, 9, 2), ('back', '2026-04-04', 2, 1, 1, 3, 1, 0), "
        "('back', '2026-04-08', 1, 1, 0, 1, 0, 0), ('back', '2026-04-09', 5, 1, 5, 5, 5, 0), "
        "('gone', '2026-04-01', 1, 1, 0, 0, 0, 1), ('late', '2026-05-03', 1, 1, 0, 0, 0, 1), "
        "('staff1', '2026-04-01', 1, 1, 0, 0, 0, 1)"
    )
    conn.execute("truncate insights.payment_signals")
    april = Window(date(2026, 4, 1), date(2026, 5, 5))
    build_payment_signals(conn, april, NOW.date())
    assert rows(
        conn,
        "select user_id, credit_limits, returned, days_until_return, conversations_after, "
        "jobs_after, downloads_after, shares_after from insights.payment_signals order by 1",
    ) == [
        ("back", 2, True, 3, 3, 1, 4, 1),
        ("gone", 1, False, None, 0, 0, 0, 0),
        ("late", 1, None, None, 0, 0, 0, 0),
    ]
    # What comes in late for a day changes what is said of the week before it.
    conn.execute(
        "insert into insights.user_activity (user_id, day, total_conversations, average_depth) "
        "values ('gone', '2026-04-06', 1, 1)"
    )
    build_payment_signals(conn, Window.of_day(date(2026, 4, 6)), NOW.date())
    assert rows(
        conn, "select returned, days_until_return from insights.payment_signals where user_id = %s",
        "gone",
    ) == [(True, 5)]  # fmt: skip


# What stands out


def test_a_planted_spike_stands_out_and_the_weekend_does_not(conn: Connection) -> None:
    ((day, metric, expected, score),) = rows(
        conn,
        "select day, metric_name, expected::float, score::float from insights.metric_anomalies",
    )
    assert (day, metric) == (SPIKE, "total_searches")
    assert 900 < expected < 1100
    assert score > 3.5
    conn.execute(
        "update marts.daily_metrics set metric_value = 0 "
        "where date = '2026-05-03' and metric_name = 'active_users'"
    )
    build_anomalies(conn, Window.of_day(date(2026, 5, 3)), NOW.date())
    assert rows(
        conn, "select metric_name, sign(score)::int from insights.metric_anomalies "
        "where day = '2026-05-03'"
    ) == [("active_users", -1)]  # fmt: skip


def test_days_that_are_not_over_and_short_histories_are_not_judged() -> None:
    days = [START + timedelta(days=offset) for offset in range(40)]
    steady = dict.fromkeys(days, 100.0)
    spiked = {**steady, days[39]: 900.0, days[20]: 900.0}
    assert [a.day for a in anomalies_of("m", spiked, days)] == [days[39]]
    # Growth is no anomaly, and an earlier outlier moves nothing.
    growing = {day: 100 * 1.01**place for place, day in enumerate(days)}
    assert anomalies_of("m", {**growing, days[30]: 5000.0}, days[31:]) == []
    uneven = {day: 100.0 + 3 * (place % 5) for place, day in enumerate(days)}
    spikes = {days[30]: 5000.0, days[33]: 5000.0, days[39]: 300.0}
    assert days[39] in [a.day for a in anomalies_of("m", {**uneven, **spikes}, days)]
    (found,) = anomalies_of("m", {**steady, days[39]: 0.0}, [days[39]])
    assert found.score < -3.5
    assert found.low <= 100 <= found.high


# The answers


def test_answers_tell_value_with_an_interval_and_evidence(conn: Connection) -> None:
    done = one(answers(conn, Question.VALUE), "got it done")
    assert done.value == pytest.approx(0.5, abs=0.08)
    assert done.low is not None
    assert done.high is not None
    assert done.low < done.value < done.high
    assert done.people % 5 == 0
    assert 100 <= done.people <= CONSENTING + 1
    assert done.conversations > 500
    assert done.confidence == "high"
    tried = answers(conn, Question.TRYING)
    assert {f.label for f in tried if f.metric == "task"} == {"fix", "build"}
    stuck = answers(conn, Question.STUCK)
    assert {f.label for f in stuck if f.metric == "friction"} == {"slow", "error"}
    building = answers(conn, Question.BUILDING)
    assert [f.label for f in building] == ["integration", "offline"]
    (personas,) = answers(conn, Question.PERSONAS)
    assert personas.value is None
    assert personas.note.startswith("personas")


def test_answers_count_who_stayed_who_paid_and_who_will_return(conn: Connection) -> None:
    paying = answers(conn, Question.PAYING)
    assert one(paying, "ran out of credits").value is not None
    both = [
        one(paying, "came back the week after a week", label)
        for label in ("with credits run out", "without")
    ]
    assert all(f.value is not None for f in both)
    assert one(paying, "difference that running out makes", "difference").note
    returning = answers(conn, Question.RETURNING)
    expected = one(returning, "people expected back")
    ((exact,),) = rows(
        conn,
        "select sum(probability)::float from insights.return_predictions "
        "where as_of_day = '2026-05-04'",
    )
    assert expected.value == round(exact)
    assert expected.high is not None
    assert expected.high <= CONSENTING + 1
    churned = one(returning, "churned this week")
    back = one(answers(conn, Question.VALUE), "came back this week")
    if churned.value is not None and back.value is not None:
        assert churned.value + back.value == pytest.approx(1.0)


def test_the_owners_sessions_are_compared_and_hidden_from_analysts(
    world: Database, conn: Connection
) -> None:
    owner = answers(conn, Question.OWNER)
    assert one(owner, "got it done", "the owner").value == 1.0
    assert one(owner, "got it done", "others").value == pytest.approx(0.5, abs=0.08)
    gain = one(owner, "got it done", "difference")
    assert gain.note == "more than chance"
    assert gain.low is not None
    assert gain.low > 0
    with world.connect("analytics_analyst") as analyst:
        seen = rows(analyst, "select question, metric, label, people from insights.success_metrics")
    assert not [row for row in seen if row[2] in ("the owner", "difference") and row[0] == "owner"]
    assert ("owner", "got it done", "others") in [row[:3] for row in seen]


def test_no_answer_is_about_ten_people_or_fewer(conn: Connection) -> None:
    for (people,) in rows(
        conn, "select people from insights.success_metrics where value is not null "
        "and not individual"
    ):  # fmt: skip
        assert people >= 11
    # Ten people with a task of their own: it is not told, however much they talk of it.
    conn.execute(
        "update insights.conversation_facets set task = 'learn', feature_request = 'mobile' "
        "where user_id < 'u010' and user_id <> %s",
        [OWNER],
    )
    build_success_metrics(conn, Window.of_day(LAST_WEEK), NOW, OWNER)
    _, figures = read_answers(conn, LAST_WEEK)
    assert not {"learn", "mobile"} & {f.label for f in figures}
    # Nor is what one person has most of, though fifteen do it.
    conn.execute(
        "update insights.conversation_facets set task = 'write' where user_id < 'u030' "
        "and user_id >= 'u010' and day = '2026-04-28'"
    )
    conn.execute(
        "update insights.conversation_facets set task = 'write' where user_id = %s", [OWNER]
    )
    build_success_metrics(conn, Window.of_day(LAST_WEEK), NOW, OWNER)
    assert "write" not in {f.label for f in answers(conn, Question.TRYING)}
    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(
            "insert into insights.success_metrics (week, question, metric, label, rank, unit, "
            "value, people, conversations, confidence, individual, note) values "
            "(%s, 'value', 'm', '', 1, 'share', 0.5, 10, 20, 'low', false, '')",
            [LAST_WEEK],
        )


def test_who_withdraws_is_in_no_answer_even_before_the_facets_are_deleted(
    conn: Connection,
) -> None:
    before = one(answers(conn, Question.VALUE), "got it done").people
    conn.execute("update raw.users set insights_consent = false where user_id < 'u050'")
    build_success_metrics(conn, Window.of_day(LAST_WEEK), NOW, OWNER)
    after = answers(conn, Question.VALUE)
    assert one(after, "got it done").people <= before - 45
    # What people did needs no reading of theirs.
    assert one(after, "came back this week").people > CONSENTING
    assert "must consent" in answers(conn, Question.OWNER)[0].note


def test_an_answer_says_what_is_missing(conn: Connection) -> None:
    conn.execute("delete from insights.conversation_facets")
    conn.execute("delete from insights.return_predictions")
    build_success_metrics(conn, Window.of_day(LAST_WEEK), NOW, None)
    assert "consent" in answers(conn, Question.VALUE)[0].note
    assert "ANALYTICS_OWNER_USER_ID" in answers(conn, Question.OWNER)[0].note
    assert one(answers(conn, Question.RETURNING), "missing").note
    # Behaviour needs no model: it is still told.
    assert one(answers(conn, Question.PAYING), "ran out of credits").value is not None


def test_answers_use_groups_that_passed_the_gate_where_there_are_any(conn: Connection) -> None:
    conn.execute(
        "insert into insights.personas (month, persona, description, n_people, n_conversations, "
        "top_share, features, label_source, score) values "
        "('2026-04-01', 'automation', 'They automate.', 43, 90, 0.1, '{}', 'rules', 5)"
    )
    build_success_metrics(conn, Window.of_day(LAST_WEEK), NOW, OWNER)
    (persona,) = answers(conn, Question.PERSONAS)
    assert (persona.label, persona.value, persona.note) == ("automation", 40, "They automate.")


def test_a_share_of_a_group_says_what_it_is_a_share_of(conn: Connection) -> None:
    for table, share_of in (("use_cases", "people"), ("feature_requests", "conversations")):
        conn.execute(
            f"insert into insights.{table} values ('2026-04-05', 'load files', 'They load.', 'v', "
            "43, 90, 0.1, 0.16, 0.12, 0.22, 'model', 5, %s)",
            [share_of],
        )
    build_success_metrics(conn, Window.of_day(LAST_WEEK), NOW, OWNER)
    trying = one(answers(conn, Question.TRYING), "use case", "load files")
    building = one(answers(conn, Question.BUILDING), "feature request", "load files")
    assert trying.note == "of people read; They load."
    assert building.note == "of conversations, estimated; They load."
    assert "16 % of conversations, estimated (12 to 22 %)" in "".join(lines_of([building]))
    assert "16 % of people read (12 to 22 %)" in "".join(lines_of([trying]))


def test_a_second_run_of_any_part_leaves_the_same_rows(conn: Connection) -> None:
    def everything() -> list[Any]:
        return [
            rows(conn, f"select t::text from insights.{table} as t order by 1")
            for table in (
                "return_predictions",
                "return_models",
                "payment_signals",
                "metric_anomalies",
                "success_metrics",
            )
        ]

    before = everything()
    predict_returns(conn, Window.of_day(LAST_WEEK), NOW)
    build_payment_signals(conn, Window.of_day(LAST_WEEK), NOW.date())
    build_anomalies(conn, Window.of_day(LAST_WEEK), NOW.date())
    build_success_metrics(conn, Window.of_day(LAST_WEEK), NOW, OWNER)
    assert everything() == before
    assert weeks_of(Window.of_day(LAST_WEEK), NOW.date()) == [LAST_WEEK, date(2026, 5, 4)]


def test_the_summary_tells_what_stood_out_and_the_answers_about_groups(conn: Connection) -> None:
    conn.execute(
        "create table if not exists marts.event_aggregations (event_type text, "
        "event_category text, aggregation_type text, period_start timestamptz, "
        "total_events bigint, unique_users bigint, day date)"
    )
    build_daily_summary(conn, Window.of_day(SPIKE), NOW, why_no_model="no model")
    build_daily_summary(conn, Window.of_day(date(2026, 5, 4)), NOW, why_no_model="no model")
    texts = [t for (t,) in rows(conn, "select markdown from insights.daily_summary order by day")]
    assert "## Out of the ordinary\n- total searches: 2,9" in texts[0].replace("3,0", "2,9")
    assert "on a Wednesday" in texts[0]
    assert "## Answers, 28 days to 2026-05-03\n- Are users getting value? got it done" in texts[1]
    assert "owner" not in texts[1]
    assert "answer to 'Who are they?': personas: none has passed the gate yet" in texts[1]


def test_the_command_shows_the_answers_with_evidence(
    world: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(world.secrets_dir, tmp_path / "secrets")
    monkeypatch.setenv("ANALYTICS_HOME", str(tmp_path))
    monkeypatch.setenv(
        "ANALYTICS_DATABASE_URL",
        f"postgresql://{world.superuser}:{world.admin_password}@{world.host}:{world.port}/{world.name}",
    )
    runner = CliRunner()
    done = runner.invoke(app, ["insights", "--week", "2026-04-29"])
    assert done.exit_code == 0, done.output
    assert "28 days to 2026-05-03" in done.stdout
    for title in ("Are users getting value?", "Will they pay?", "Who are they?"):
        assert title in done.stdout
    assert "got it done: the owner" in done.stdout
    told = json.loads(runner.invoke(app, ["insights", "--json"]).stdout)
    assert told["week"] == "2026-04-27"
    assert told["answers"][0]["title"] == "Are users getting value?"
    none = runner.invoke(app, ["insights", "--week", "2020-01-01"])
    assert none.exit_code == 1
    assert "insights/success_metrics" in none.output
