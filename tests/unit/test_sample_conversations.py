"""The sample's conversations, jobs and registers against what was planted in them.

Belongs here: tables that are not events. Does not: event files. Invariant: planted things are
looked for in the text that a reader of the tables sees, not in the generator's memory.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.sources.sample import SampleManifest, generate_sample
from analytics_assets.sources.sample.templates import FEATURE_REQUESTS, FRICTIONS

Row = dict[str, Any]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> SampleManifest:
    return generate_sample(tmp_path_factory.mktemp("company"))


def rows(manifest: SampleManifest, name: str) -> Iterator[Row]:
    with (manifest.destination / name).open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


@pytest.fixture(scope="module")
def messages(company: SampleManifest) -> dict[str, list[Row]]:
    """Messages by conversation, in file order."""
    found: dict[str, list[Row]] = defaultdict(list)
    for message in rows(company, "messages.jsonl"):
        found[message["conversation_id"]].append(message)
    return found


@pytest.fixture(scope="module")
def labels(company: SampleManifest) -> list[Row]:
    return list(rows(company, "truth_conversations.jsonl"))


def test_rows_are_counted_by_table_and_day(
    company: SampleManifest, messages: dict[str, list[Row]]
) -> None:
    truth = company.truth()
    conversations = list(rows(company, "conversations.jsonl"))
    jobs = list(rows(company, "service_jobs.jsonl"))
    assert len(conversations) == company.conversations == truth["rows"]["conversation"] > 500
    assert sum(map(len, messages.values())) == company.messages
    assert len(jobs) == company.service_jobs
    by_day = Counter(row["started_at"][:10] for row in conversations)
    assert dict(by_day) == truth["conversations"]["conversations_by_day"]
    by_day = Counter(row["created_at"][:10] for part in messages.values() for row in part)
    assert dict(by_day) == truth["conversations"]["messages_by_day"]
    by_day = Counter(row["created_at"][:10] for row in jobs)
    assert dict(by_day) == truth["conversations"]["service_jobs_by_day"]


def test_columns_are_those_of_the_raw_tables(company: SampleManifest) -> None:
    expected = {
        "conversations.jsonl": "conversation_id user_id started_at ended_at title channel",
        "messages.jsonl": "message_id conversation_id user_id role content tool_name created_at",
        "service_jobs.jsonl": "job_id user_id conversation_id job_type status created_at"
        " finished_at credits",
        "users.jsonl": "user_id valid_from role signup_at insights_consent is_internal name email"
        " handle",
        "servers.jsonl": "server_id valid_from name category status",
    }
    for name, columns in expected.items():
        assert all(list(row) == columns.split() for row in rows(company, name)), name


def test_a_conversation_spans_its_messages(
    company: SampleManifest, messages: dict[str, list[Row]]
) -> None:
    for row in rows(company, "conversations.jsonl"):
        part = messages[row["conversation_id"]]
        times = [message["created_at"] for message in part]
        assert times == sorted(times)
        assert (times[0], times[-1]) == (row["started_at"], row["ended_at"])
        assert part[0]["role"] == "user"
        assert {message["user_id"] for message in part} == {row["user_id"]}
        for message in part:
            assert (message["role"] == "tool") == (message["tool_name"] is not None)
    ids = [message["message_id"] for part in messages.values() for message in part]
    assert len(ids) == len(set(ids))


def test_planted_identifiers_stand_in_their_message_and_no_others_anywhere(
    messages: dict[str, list[Row]], labels: list[Row], company: SampleManifest
) -> None:
    planted: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for label in labels:
        contents = {row["message_id"]: row["content"] for row in messages[label["conversation_id"]]}
        for item in label["identifiers"]:
            assert item["value"] in contents[item["message_id"]]
            planted[item["value"]].add(label["conversation_id"])
            counts[item["kind"]] += 1
    truth = company.truth()["conversations"]["planted"]["identifier"]
    assert {kind: facts["conversations"] for kind, facts in truth.items()} == dict(counts)
    assert min(counts.values()) > 20, "every kind of identifier is planted often enough to measure"
    said = {key: "\n".join(row["content"] for row in part) for key, part in messages.items()}
    users = list(rows(company, "users.jsonl"))
    known = {row["email"] for row in users} | {row["name"] for row in users}
    for value in known:
        conversations = {key for key, text in said.items() if value in text}
        assert conversations == planted.get(value, set()), "nothing personal is left untold"


@pytest.mark.parametrize(
    ("label", "sentences"), [("feature_request", FEATURE_REQUESTS), ("friction", FRICTIONS)]
)
def test_requests_and_frictions_are_said_where_the_truth_says_so(
    label: str,
    sentences: dict[str, tuple[str, ...]],
    messages: dict[str, list[Row]],
    labels: list[Row],
    company: SampleManifest,
) -> None:
    # The parts of a template before its slot identify it.
    marks = {key: [one.split("{")[0].strip() for one in group] for key, group in sentences.items()}
    counts: Counter[str] = Counter()
    people: dict[str, set[str]] = defaultdict(set)
    for row in labels:
        said = " ".join(
            message["content"]
            for message in messages[row["conversation_id"]]
            if message["role"] == "user"
        )
        found = {key for key, group in marks.items() if any(mark in said for mark in group)}
        assert found == ({row[label]} if row[label] else set())
        if row[label]:
            counts[row[label]] += 1
            people[row[label]].add(row["user_id"])
    assert company.truth()["conversations"]["planted"][label] == {
        key: {"conversations": counts[key], "users": len(people[key])} for key in sorted(counts)
    }
    ranking = [key for key, _ in counts.most_common(3)]
    assert set(ranking) <= set(list(sentences)[:4]), "the planted order shows"


def test_a_persona_is_one_per_user_and_tells_the_topics(
    labels: list[Row], company: SampleManifest
) -> None:
    persona = {row["user_id"]: row["persona"] for row in rows(company, "truth_users.jsonl")}
    topics: dict[str, Counter[str]] = defaultdict(Counter)
    for row in labels:
        assert row["persona"] == persona[row["user_id"]]
        topics[row["persona"]][row["topic"]] += 1
    main = {name: found.most_common(1)[0] for name, found in topics.items()}
    assert len({topic for topic, _ in main.values()}) == 5
    assert all(count > 0.5 * sum(topics[name].values()) for name, (_, count) in main.items())


def test_people_who_leave_complain_more_before(labels: list[Row]) -> None:
    def share(leaving: bool) -> float:
        part = [row["friction"] is not None for row in labels if row["leaving"] is leaving]
        return sum(part) / len(part)

    assert share(leaving=True) > 2 * share(leaving=False)


def test_conversations_and_jobs_belong_to_known_people_after_their_signup(
    company: SampleManifest,
) -> None:
    signup = {row["user_id"]: row["signup_at"] for row in rows(company, "users.jsonl")}
    conversations = set()
    for row in rows(company, "conversations.jsonl"):
        assert row["started_at"] >= signup[row["user_id"]]
        conversations.add(row["conversation_id"])
    statuses: Counter[str] = Counter()
    for row in rows(company, "service_jobs.jsonl"):
        assert row["created_at"] >= signup[row["user_id"]]
        assert row["conversation_id"] is None or row["conversation_id"] in conversations
        finished = row["status"] in {"succeeded", "failed", "cancelled"}
        assert finished == (row["finished_at"] is not None) == (row["credits"] is not None)
        statuses[row["status"]] += 1
    assert {"succeeded", "failed", "cancelled"} < set(statuses)


def test_histories_are_ordered_and_say_something_new(company: SampleManifest) -> None:
    for name, key in (("users.jsonl", "user_id"), ("servers.jsonl", "server_id")):
        before: Row = {}
        changed = 0
        for row in rows(company, name):
            if row[key] == before.get(key):
                assert row["valid_from"] > before["valid_from"]
                assert {**row, "valid_from": ""} != {**before, "valid_from": ""}
                changed += 1
            before = row
        assert changed > 0, name


def test_some_people_do_not_consent_and_some_are_staff(company: SampleManifest) -> None:
    first = {row["user_id"]: row for row in reversed(list(rows(company, "users.jsonl")))}
    truth = company.truth()["users"]
    assert sum(row["insights_consent"] for row in first.values()) == truth["consenting_at_start"]
    assert sum(row["is_internal"] for row in first.values()) == truth["internal"] > 0
    assert 0.7 < truth["consenting_at_start"] / truth["total"] < 0.95
    assert len({row["handle"] for row in first.values()}) == len(first) == 400


def test_the_number_of_conversations_follows_people_not_events(tmp_path: Path) -> None:
    few = generate_sample(tmp_path / "few", users=100, days=7, events=6_000)
    many = generate_sample(tmp_path / "many", users=100, days=7, events=60_000)
    assert many.conversations == few.conversations > 0
