"""Groups of users, with a real Postgres, a model on the loopback and the real arithmetic."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from insights_company import FAST, Company, provider_of
from servers.gemini import GeminiServer

from analytics_assets.insights.groups import facet_groups as groups
from analytics_assets.insights.groups import facet_vectors as vectors
from analytics_assets.insights.groups import personas
from analytics_assets.insights.groups.facet_groups import TOO_FEW, group_facets, group_window
from analytics_assets.insights.groups.outcome import GroupsOutcome
from analytics_assets.insights.groups.personas import PersonasOutcome, find_personas, persona_window
from analytics_assets.insights.vectors import workshop
from analytics_assets.insights.vectors.embedding import HASHED_WORDS
from analytics_assets.settings import load_settings
from analytics_assets.windows import Window

LAST = date(2026, 6, 7)
FIRST = LAST - timedelta(days=27)
TOPICS = {
    "debugging": ("fix", "find out why a service crashes in production"),
    "planning": ("write", "write a project brief with a budget"),
    "dashboards": ("analyse_data", "draw a chart of weekly customers"),
}
TABLES = ("use_cases", "feature_requests", "friction_points")


class Talks:
    """Writes facets as if a model (or rules) had read conversations."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.count = 0

    def add(self, user: str, topic: str, *, source: str = "model", **fields: Any) -> None:
        task, wish = TOPICS[topic]
        self.count += 1
        row = {
            "day": FIRST + timedelta(days=self.count % 28),
            "conversation_id": f"c{self.count}",
            "user_id": user,
            "task": task,
            "topic": topic,
            "outcome": "achieved",
            "friction": "none",
            "sentiment": 3,
            "feature_request": "none",
            "summary": f"U wanted to {wish}, way {self.count}.",
            "wish": "",
            "user_messages": 1,
            "source": source,
            "behind_since": None if source == "model" else LAST,
            "text_digest": f"t{self.count}",
            "cache_key": f"k{self.count}",
            "model": "m",
            "prompt_version": "facets-1",
            **fields,
        }
        self.company.conn.execute(
            f"insert into insights.conversation_facets ({', '.join(row)}) "
            f"values ({', '.join(['%s'] * len(row))})".encode(),
            list(row.values()),
        )

    def crowd(self, topic: str, people: int, each: int = 2, **fields: Any) -> None:
        with self.company.conn.transaction():
            for number in range(people):
                user = f"{topic}-{number:02}"
                self.company.user(user)
                for _ in range(each):
                    self.add(user, topic, **fields)

    def withdraw(self, user: str) -> None:
        self.company.conn.execute(
            "update raw.users set insights_consent = false where user_id like %s", [user]
        )

    def group(self, server: GeminiServer | None = None, day: date = LAST) -> GroupsOutcome:
        return group_facets(
            lambda: self.company.database.connect("analytics_pipeline"),
            day,
            provider_of(server) if server else None,
            morning_after(day),
            FAST,
            HASHED_WORDS,
        )

    def personas(self, server: GeminiServer | None = None) -> PersonasOutcome:
        return find_personas(
            lambda: self.company.database.connect("analytics_pipeline"),
            Window(date(2026, 5, 1), date(2026, 6, 1)),
            provider_of(server) if server else None,
            morning_after(LAST),
            FAST,
        )

    def groups(self, table: str = "use_cases", day: date = LAST) -> dict[str, dict[str, Any]]:
        cursor = self.company.conn.execute(
            f"select * from insights.{table} where as_of_day = %s".encode(), [day]
        )
        names = [column.name for column in cursor.description or ()]
        return {row[1]: dict(zip(names, row, strict=True)) for row in cursor}

    def bytes(self) -> list[Any]:
        return [
            self.company.rows(f"select t.*, xmin::text from insights.{table} as t order by 1, 2")
            if table == "group_answers"
            else self.company.rows(f"select * from insights.{table} order by 1, 2, 3, 4")
            for table in (*TABLES, "clusters", "personas", "segments")
        ]


def morning_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(6), tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic in this process, but where a test is about the other one."""
    if "own_process" in request.keywords:
        return

    def work(task: str, values: Any, arrays: Any = None) -> workshop.Work:
        module = importlib.import_module(workshop.TASKS[task])
        return workshop.Work(*module.perform(values, arrays or {}), peak_mib=0)

    for module in (vectors, groups, personas):
        monkeypatch.setattr(module, "work", work)


@pytest.fixture
def talks(company: Company) -> Iterator[Talks]:
    return Talks(company)


def names(text: str) -> dict[str, Any]:
    """A model of little wit: names groups by a word of theirs, and finds every text safe."""
    if "GROUP" in text:
        inside = text.split("OTHERS", maxsplit=1)[0]
        word = next((w for w in ("crashes", "brief", "chart") if w in inside), "export")
        label = {"crashes": "finding causes of crashes", "brief": "writing project briefs",
                 "chart": "drawing charts of customers"}.get(word, "exporting results")  # fmt: skip
        return {"label": label, "description": "Users work on it together with the product."}
    if "persona:" in text:
        return {"description": "People who come for one thing and get it done."}
    return {"score": 5, "doubt": "none"}


def test_groups_of_users_are_named_by_the_closed_lists_without_a_model(talks: Talks) -> None:
    talks.crowd("debugging", 15, friction="slow", source="rules")
    talks.crowd("planning", 20, feature_request="import_export", wish="U asked for import export.",
                source="rules")  # fmt: skip

    outcome = talks.group()

    found = talks.groups()
    assert set(found) == {"fix in debugging", "write in planning"}
    of_kinds = "select distinct kind, far between 0 and 1 from insights.clusters where level = %s"
    assert talks.company.rows(f"{of_kinds} order by kind", "cluster") == [
        (kind, True) for kind in ("feature_request", "friction_point", "use_case")
    ]
    row = found["write in planning"]
    assert (row["value"], row["n_people"], row["n_conversations"]) == ("planning", 20, 40)
    assert (row["label_source"], row["score"], row["description"]) == ("taxonomy", 5, "")
    assert row["share_low"] < row["share"] < row["share_high"]
    assert set(talks.groups("feature_requests")) == {"asks for import export"}
    assert set(talks.groups("friction_points")) == {"slow in debugging"}
    assert outcome.metadata()["people"] == 35
    assert outcome.metadata()["calls"] == 0


def test_nobody_is_told_of_who_is_one_of_few_or_says_most(talks: Talks) -> None:
    talks.crowd("debugging", 30)
    talks.crowd("planning", 9, feature_request="offline", friction="slow")
    for _ in range(40):
        talks.add("planning-00", "planning", feature_request="offline", friction="slow")
    talks.group()
    # Even with the thirty the busiest would have 42 of 118 conversations: the nine are in no group.
    (row,) = talks.groups().values()
    assert (row["value"], row["n_people"]) == ("debugging", 30)
    assert talks.groups("feature_requests") == talks.groups("friction_points") == {}


def test_below_twenty_two_people_nothing_is_grouped_and_the_run_says_why(talks: Talks) -> None:
    talks.crowd("debugging", 21)
    assert talks.group().metadata()["skipped"] == TOO_FEW
    assert talks.groups() == {}


def test_a_model_names_groups_after_lines_of_many_and_an_audit(
    talks: Talks, gemini: GeminiServer
) -> None:
    gemini.rule = names
    for topic in TOPICS:
        talks.crowd(topic, 22, each=4)

    outcome = talks.group(gemini)

    found = talks.groups()
    assert set(found) == {
        "finding causes of crashes", "writing project briefs", "drawing charts of customers",
    }  # fmt: skip
    assert {row["label_source"] for row in found.values()} == {"model"}
    assert outcome.asked.calls == len(gemini.requests)
    naming = [request.text for request in gemini.requests if "GROUP" in request.text]
    assert len({text.split("\n", 1)[1].rpartition("\n")[0] for text in naming}) * 3 == len(naming)
    for request in gemini.requests:
        lines = [line for line in request.text.split("\n") if line.startswith("- ")]
        assert len(lines) <= 40
        for user in ("debugging-", "planning-", "dashboards-"):
            assert user not in request.text
    seeds = {request.body["generationConfig"]["seed"] for request in gemini.requests}
    assert len(seeds) == 3


def test_a_second_run_asks_nothing_and_leaves_the_same_bytes(
    talks: Talks, gemini: GeminiServer
) -> None:
    gemini.rule = names
    for topic in TOPICS:
        talks.crowd(topic, 12)
    talks.group(gemini)
    talks.personas(gemini)
    before = talks.bytes()
    with gemini.fresh_log() as log:
        talks.group(gemini)
        talks.personas(gemini)
    assert log == []
    assert talks.bytes() == before


def test_names_hold_the_next_day_though_people_come_and_go(
    talks: Talks, gemini: GeminiServer
) -> None:
    gemini.rule = names
    for topic in TOPICS:
        talks.crowd(topic, 15)
    talks.group(gemini, LAST - timedelta(days=1))
    talks.company.user("new")
    talks.add("new", "planning")
    with gemini.fresh_log() as log:
        talks.group(gemini, LAST)
    assert log == []
    assert set(talks.groups()) == set(talks.groups(day=LAST - timedelta(days=1)))
    # The model gone, its names stay.
    talks.group(None, LAST)
    assert {row["label_source"] for row in talks.groups().values()} == {"model"}


@pytest.mark.parametrize(
    "answer",
    [
        {"label": "reports for Mara Lindqvist", "description": "Users want reports."},
        {"label": "reports for Heidelberg", "description": "Users want reports."},
        {"label": "stuck services", "description": "U wanted to find out why a service crashes."},
        {"label": "stuck services", "description": "rejected by the auditor"},
    ],
)
def test_what_a_model_should_not_have_said_is_never_kept(
    talks: Talks, gemini: GeminiServer, answer: dict[str, str]
) -> None:
    def rule(text: str) -> dict[str, Any]:
        if "GROUP" in text:
            return answer
        return {"score": 3 if "rejected" in text else 5, "doubt": "none"}

    gemini.rule = rule
    talks.company.user("someone", name="Mara Lindqvist")
    talks.crowd("debugging", 25)
    talks.group(gemini)
    (row,) = talks.groups().values()
    assert row["label_source"] != "model"
    kept = str(talks.company.rows("select label, description from insights.clusters"))
    assert answer["label"] not in kept
    assert "Lindqvist" not in str(talks.company.rows("select answer from insights.group_answers"))


def test_whose_consent_goes_is_in_no_group_no_vector_and_no_question(
    talks: Talks, gemini: GeminiServer
) -> None:
    gemini.rule = names
    talks.crowd("debugging", 24)
    talks.group(gemini, LAST - timedelta(days=1))
    assert talks.company.rows("select count(distinct user_id) from insights.facet_vectors") == [
        (24,)
    ]
    talks.withdraw("debugging-03")
    talks.group(gemini)
    (row,) = talks.groups().values()
    assert row["n_people"] == 23
    assert talks.company.rows(
        "select count(*) from insights.facet_vectors where user_id = 'debugging-03'"
    ) == [(0,)]


def test_who_withdraws_takes_along_what_a_model_said_of_groups_with_them(
    talks: Talks, gemini: GeminiServer
) -> None:
    gemini.rule = names
    talks.crowd("debugging", 30)
    talks.group(gemini, LAST - timedelta(days=1))
    before = talks.company.rows("select answer_key from insights.group_answers")
    talks.withdraw("debugging-03")
    talks.group(gemini)
    after = talks.company.rows("select answer_key from insights.group_answers")
    assert before
    assert not set(before) & set(after)


def test_consent_withdrawn_while_the_model_reads_drops_its_answers_and_asks_no_more(
    talks: Talks, gemini: GeminiServer
) -> None:
    gemini.rule = names
    gemini.on_request = lambda _: talks.withdraw("%-1%")
    for topic in TOPICS:
        talks.crowd(topic, 24)
    outcome = talks.group(gemini)
    assert talks.company.rows("select count(*) from insights.group_answers") == [(0,)]
    assert {row["label_source"] for row in talks.groups().values()} == {"terms"}
    # What was on its way when the first was answered, of nine questions.
    assert len(gemini.requests) <= FAST.concurrency
    assert outcome.asked.failed + outcome.asked.withdrawn == 9


def test_accounts_of_one_human_are_one_person_and_young_ones_do_not_count(talks: Talks) -> None:
    talks.crowd("debugging", 25)
    talks.company.conn.execute(
        "update raw.users set subject = 'one' where user_id < 'debugging-03'"
    )
    talks.company.conn.execute(
        "update raw.users set signup_at = %s where user_id = 'debugging-20'",
        [morning_after(LAST)],
    )
    talks.group()
    (row,) = talks.groups().values()
    assert row["n_people"] == 22


def test_people_of_whom_no_account_is_known_are_grouped_once_they_agree(talks: Talks) -> None:
    talks.crowd("debugging", 30)
    talks.personas()
    personas = talks.company.rows("select persona, n_people from insights.personas")
    talks.company.only_the_ledger()
    outcome = talks.group()
    assert (outcome.skipped, outcome.people) == (None, 30)
    assert sum(row["n_people"] for row in talks.groups().values()) == 30
    talks.personas()
    assert talks.company.rows("select persona, n_people from insights.personas") == personas != []


def test_segments_and_personas_come_from_closed_lists_and_small_ones_are_not_told(
    talks: Talks, gemini: GeminiServer
) -> None:
    gemini.rule = names
    talks.crowd("debugging", 40, each=6)
    talks.crowd("dashboards", 25, each=6)
    talks.crowd("planning", 5, each=6)
    talks.personas(gemini)
    told = {
        row[0]: row[1:]
        for row in talks.company.rows(
            "select persona, n_people, description, label_source from insights.personas"
        )
    }
    assert set(told) == {"debugging", "dashboards"}
    assert told["debugging"][2] == "model"
    kinds = talks.company.rows("select distinct persona from insights.segments order by 1")
    assert {"dashboards", "debugging", "planning"} <= {kind for (kind,) in kinds}
    sent = [request.text for request in gemini.requests if "persona:" in request.text]
    assert sent
    assert not any("debugging-" in text for text in sent)


def test_without_a_key_the_settings_give_groups_and_personas_by_rules(talks: Talks) -> None:
    talks.crowd("debugging", 24)
    settings = load_settings(as_of=morning_after(LAST), start_day=FIRST)
    assert settings.gemini_api_key is None
    outcome = group_window(talks.company.database, Window(FIRST, LAST), settings)
    assert outcome.day == LAST - timedelta(days=1)
    assert {row["value"] for row in talks.groups(day=outcome.day).values()} == {"debugging"}
    persona_window(talks.company.database, Window(FIRST, FIRST + timedelta(days=1)), settings)
    assert talks.company.rows("select persona, label_source from insights.personas") == [
        ("debugging", "rules")
    ]


@pytest.mark.own_process
def test_the_arithmetic_is_done_in_a_process_of_its_own_whose_failure_names_nobody() -> None:
    peak_of_mine = len(b"x" * (400 << 20)) >> 20
    done = workshop.work("embed", {"model": HASHED_WORDS, "texts": ["load a file", "secret"]})
    assert done.arrays["vectors"].shape == (2, 384)
    assert 0 < done.peak_mib < peak_of_mine
    with pytest.raises(workshop.WorkshopError) as error:
        workshop.work("embed", {"model": "no such model", "texts": ["secret"]})
    assert "ValueError" in str(error.value)
    assert "secret" not in str(error.value)
