"""The sample's event files against their own truth: counts, defects, rhythm, determinism.

Belongs here: what the event files and ``truth.json`` promise. Does not: conversations, the
catalogue. Invariant: rows are classified here by code of its own, not by the generator's.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.sources.sample import SampleManifest, generate_sample, load_manifest
from analytics_assets.sources.sample.eventtypes import EVENT_TYPES
from analytics_assets.sources.sample.manifest import SampleError

MONDAY = date(2026, 4, 27)
KNOWN_TYPES = {kind.name for kind in EVENT_TYPES}
ENVELOPE = {
    "event_id", "event_type", "timestamp", "user_id", "session_id", "entity_type", "entity_id",
    "event_data", "metadata", "source", "geo_location", "device_info",
}  # fmt: skip


@dataclass
class Lines:
    """The lines of event files: valid ones in file order, and the number of the others."""

    valid: list[dict[str, Any]] = field(default_factory=list)
    malformed: int = 0

    def distinct(self) -> list[dict[str, Any]]:
        return list({event["event_id"]: event for event in self.valid}.values())


@lru_cache(maxsize=4)
def read_lines(manifest: SampleManifest) -> Lines:
    """Every line of a sample, classified; read once for all tests of it."""
    lines = Lines()
    for path in manifest.event_files:
        for raw in path.read_bytes().splitlines():
            event = parse(raw, manifest)
            if event is None:
                lines.malformed += 1
            else:
                lines.valid.append(event)
    return lines


def parse(raw: bytes, manifest: SampleManifest) -> dict[str, Any] | None:
    """The event of a line, or None when anything is wrong with it."""
    if len(raw) > 32 * 1024:
        return None
    try:
        event = json.loads(raw)
        at = datetime.fromisoformat(event["timestamp"])
    except (ValueError, TypeError):
        return None
    parameters = manifest.parameters
    if not parameters.start_day <= at.astimezone(UTC).date() < parameters.end_day:
        return None
    data = event["event_data"]
    required = {"payment.completed": "amount", "download": "media_id",
                "server_installed": "server_id", "proposal.submitted": "project_id",
                "search_performed": "query"}  # fmt: skip
    wanted = required.get(event["event_type"])
    content = None if wanted is None else data.get(wanted)
    if wanted == "amount":
        plausible = isinstance(content, float)
    else:
        plausible = wanted is None or (isinstance(content, str) and "\0" not in content)
    return event if event["event_type"] in KNOWN_TYPES and plausible else None


def small(destination: Path, **changes: Any) -> SampleManifest:
    wanted: dict[str, Any] = {"users": 40, "days": 7, "events": 2_000, "seed": 7}
    return generate_sample(destination, **wanted | {"start_day": MONDAY} | changes)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleManifest:
    return small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> SampleManifest:
    """The sample that the main command uses by default."""
    return generate_sample(tmp_path_factory.mktemp("company"))


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes(sample: SampleManifest, tmp_path: Path) -> None:
    again = small(tmp_path)
    assert digest(again.destination) == digest(sample.destination)


def test_another_seed_gives_another_company(sample: SampleManifest, tmp_path: Path) -> None:
    before, after = digest(sample.destination), digest(small(tmp_path, seed=8).destination)
    assert {name for name in before if before[name] == after[name]} == {"sources.yaml"}


def test_parts_put_end_to_end_are_the_whole_file(sample: SampleManifest, tmp_path: Path) -> None:
    parts = small(tmp_path, rows_per_file=1_000)
    names = [path.name for path in parts.event_files]
    assert names == ["events-0001.jsonl", "events-0002.jsonl", "events-0003.jsonl"]
    joined = b"".join(path.read_bytes() for path in parts.event_files)
    assert joined == sample.event_files[0].read_bytes()


def test_slabs_of_sessions_do_not_change_what_happens_on_a_day(tmp_path: Path) -> None:
    """A day of several slabs still has the events, people and defects its truth says."""
    manifest = small(tmp_path, users=300, days=1, events=60_000, events_only=True)
    lines = read_lines(manifest)
    day = manifest.truth()["events"]["by_day"][MONDAY.isoformat()]
    distinct = lines.distinct()
    assert (len(distinct), day["events"]) == (60_000, 60_000)
    assert len({event["user_id"] for event in distinct} - {None}) == day["users"]
    assert lines.malformed == manifest.malformed


def test_every_line_is_valid_duplicate_or_malformed(company: SampleManifest) -> None:
    lines = read_lines(company)
    assert len(lines.distinct()) == company.events == 60_000
    assert len(lines.valid) - len(lines.distinct()) == company.duplicates > 0
    assert lines.malformed == company.malformed > 0
    assert company.event_lines == company.events + company.duplicates + company.malformed
    truth = company.truth()["events"]
    assert min(truth["malformed"].values()) > 0, "every kind of defect occurs"
    assert company.duplicates == pytest.approx(0.003 * company.events, rel=0.1)
    assert company.malformed == pytest.approx(0.001 * company.events, rel=0.1)


def test_duplicates_repeat_the_whole_event(company: SampleManifest) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for event in read_lines(company).valid:
        assert seen.setdefault(event["event_id"], event) == event


def test_late_rows_stand_behind_rows_of_later_days(company: SampleManifest) -> None:
    first_position: dict[str, int] = {}
    counts: Counter[str] = Counter()
    copies: set[str] = set()
    latest = ""
    for position, event in enumerate(read_lines(company).valid):
        day = event["timestamp"][:10]
        if event["event_id"] not in first_position:
            first_position[event["event_id"]] = position
            counts[day] += day < latest
        else:
            copies.add(event["event_id"])
        latest = max(latest, day)
    # A row that is released first on its day moves the day on a little early.
    assert sum(counts.values()) == pytest.approx(company.late, abs=3)
    assert company.late == pytest.approx(0.005 * company.events, rel=0.1)
    assert company.parameters.end_day - timedelta(days=1) not in counts


def test_truth_counts_events_people_and_hours_by_day(company: SampleManifest) -> None:
    events: Counter[str] = Counter()
    hours: Counter[tuple[str, int]] = Counter()
    types: Counter[tuple[str, str]] = Counter()
    people: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in read_lines(company).distinct():
        day, hour = event["timestamp"][:10], int(event["timestamp"][11:13])
        events[day] += 1
        hours[day, hour] += 1
        types[day, event["event_type"]] += 1
        if event["user_id"] is not None:
            people[day, ""].add(event["user_id"])
            people[day, event["event_type"]].add(event["user_id"])
    truth = company.truth()["events"]["by_day"]
    assert {day: facts["events"] for day, facts in truth.items()} == dict(events)
    for day, facts in truth.items():
        assert facts["by_hour"] == [hours[day, hour] for hour in range(24)]
        assert facts["users"] == len(people[day, ""])
        for name, figures in facts["types"].items():
            assert figures["events"] == types[day, name]
            assert figures["users"] == len(people[day, name])


@pytest.mark.parametrize("days", [35, 10])
def test_truth_counts_people_by_week_and_month_and_installs(days: int, tmp_path: Path) -> None:
    """35 days end with a week and a month, 10 days within both."""
    company = small(tmp_path, days=days, users=100, events=9_000)
    weeks: dict[str, set[str]] = defaultdict(set)
    months: dict[str, set[str]] = defaultdict(set)
    installs: Counter[str] = Counter()
    for event in read_lines(company).distinct():
        year, week, _ = date.fromisoformat(event["timestamp"][:10]).isocalendar()
        if event["user_id"] is not None:
            weeks[f"{year}-W{week:02d}"].add(event["user_id"])
            months[event["timestamp"][:7]].add(event["user_id"])
        if event["event_type"] == "server_installed":
            installs[event["event_data"]["server_id"]] += 1
    truth = company.truth()["events"]
    assert {key: facts["users"] for key, facts in truth["by_iso_week"].items()} == {
        key: len(people) for key, people in weeks.items()
    }
    assert {key: facts["users"] for key, facts in truth["by_month"].items()} == {
        key: len(people) for key, people in months.items()
    }
    assert truth["installs_by_server"] == dict(sorted(installs.items()))


def test_every_event_type_occurs_even_in_a_small_sample(sample: SampleManifest) -> None:
    found = Counter(event["event_type"] for event in read_lines(sample).distinct())
    assert set(found) == KNOWN_TYPES
    truth = {name: count for name, count in sample.truth()["events"]["by_type"].items() if count}
    assert truth == dict(found)


def test_every_event_has_the_whole_envelope(sample: SampleManifest) -> None:
    for event in read_lines(sample).valid:
        assert set(event) == ENVELOPE
        assert event["timestamp"].endswith("Z")
        assert set(event["geo_location"]) == {"country", "region", "city"}
        assert set(event["device_info"]) - {"browser"} == {"device_type", "os"}
        assert event["source"] in {"web", "cli", "api"}


def test_roles_are_those_of_the_history_at_the_time_of_the_event(company: SampleManifest) -> None:
    history: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for line in (company.destination / "users.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        history[row["user_id"]].append((datetime.fromisoformat(row["valid_from"]), row["role"]))
    roles: Counter[str] = Counter()
    for event in read_lines(company).distinct():
        if event["user_id"] is not None:
            at = datetime.fromisoformat(event["timestamp"])
            known = [role for start, role in history[event["user_id"]] if start <= at]
            assert known, "no event before the sign-up"
            roles[known[-1]] += 1
    truth = company.truth()["events"]["by_role_at_event_time"]
    assert {role: count for role, count in truth.items() if count} == dict(roles)
    assert sum(len(rows) > 1 for rows in history.values()) > 10, "some histories have a change"


def test_the_company_has_a_week_a_working_day_and_archetypes(company: SampleManifest) -> None:
    truth = company.truth()["events"]
    days = truth["by_day"]
    monday, sunday = days["2026-05-11"], days["2026-05-17"]
    assert monday["events"] > 2 * sunday["events"]
    assert monday["by_hour"][14] > 2 * monday["by_hour"][4]
    archetypes = truth["by_month"]["2026-05"]["analyzed_users_by_archetype"]
    assert all(people > 10 for people in archetypes.values())
    shares = [day["sum"] / day["analyses"] for day in truth["ai_percentage_by_day"].values()]
    assert sum(shares[-7:]) / 7 > sum(shares[:7]) / 7 + 2, "the AI share rises"
    analysed = [day["types"]["profile_analyzed"]["users"] / day["users"] for day in days.values()]
    assert sum(analysed) / len(analysed) == pytest.approx(0.25, abs=0.03)
    for day in days.values():
        people = day["types"]["profile_analyzed"]
        assert people["users"] == people["events"], "one analysis per person and day"


def test_people_sign_up_leave_and_return(company: SampleManifest) -> None:
    last_seen: dict[str, str] = {}
    first_seen: dict[str, str] = {}
    for event in read_lines(company).distinct():
        if event["user_id"] is not None:
            day = event["timestamp"][:10]
            last_seen[event["user_id"]] = max(last_seen.get(event["user_id"], ""), day)
            first_seen[event["user_id"]] = min(first_seen.get(event["user_id"], "9"), day)
    left = returned = joined = 0
    for line in (company.destination / "truth_users.jsonl").read_text("utf-8").splitlines():
        user = json.loads(line)
        assert user["last_active_on"] == last_seen.get(user["user_id"])
        if user["signed_up_on"]:
            assert first_seen[user["user_id"]] == user["signed_up_on"]
            joined += 1
        elif user["returned_on"]:
            assert last_seen[user["user_id"]] >= user["returned_on"] > user["absent_from"]
            returned += 1
        elif user["absent_from"]:
            assert last_seen.get(user["user_id"], "") < user["absent_from"]
            left += 1
    assert min(joined, returned, left) > 10


@pytest.mark.parametrize("event_format", ["csv", "parquet"])
def test_other_formats_hold_the_same_valid_events(
    event_format: Any, sample: SampleManifest, tmp_path: Path
) -> None:
    import duckdb

    other = small(tmp_path, format=event_format)
    relation = (
        f"read_csv('{other.event_files[0]}', all_varchar=true)"
        if event_format == "csv"
        else f"read_parquet('{other.event_files[0]}')"
    )
    rows = duckdb.sql(f"select * from {relation}").fetchall()
    assert len(rows) == other.event_lines
    found = {
        row[0]: (row[1], row[2], row[3], json.loads(row[7])) for row in rows if row[7][-1] == "}"
    }
    for event in read_lines(sample).distinct():
        key = (event["event_type"], event["timestamp"], event["user_id"], event["event_data"])
        assert found[event["event_id"]] == key
    assert "invalid_utf8" not in other.truth()["events"]["malformed"]


def test_sources_file_names_a_file_for_every_table(sample: SampleManifest) -> None:
    import yaml

    sources = yaml.safe_load(sample.sources_file.read_text("utf-8"))["sources"]
    assert [source["table"] for source in sources] == [
        "platform_events", "users", "servers", "conversations", "messages", "service_jobs",
    ]  # fmt: skip
    for source in sources:
        assert list(sample.destination.glob(source["path"])), source["name"]


def test_a_finished_sample_is_recognised_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    assert load_manifest(tmp_path) is None
    manifest = small(tmp_path)
    assert load_manifest(tmp_path) == manifest
    with manifest.event_files[0].open("ab") as file:
        file.write(b"one more line\n")
    assert load_manifest(tmp_path) is None


def test_generating_again_leaves_no_part_of_an_earlier_sample(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("mine")
    small(tmp_path, rows_per_file=1_000)
    manifest = small(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("events*")) == ["events.jsonl"]
    assert (tmp_path / "notes.jsonl").read_text() == "mine"
    assert load_manifest(tmp_path) == manifest


def test_leaving_out_conversations_changes_no_event(sample: SampleManifest, tmp_path: Path) -> None:
    other = small(tmp_path, events_only=True)
    assert other.event_files[0].read_bytes() == sample.event_files[0].read_bytes()
    assert (other.conversations, other.messages, other.service_jobs) == (0, 0, 0)


def test_importing_the_generator_imports_no_numpy() -> None:
    """The command line imports it on every start, also when no sample is wanted."""
    code = "import sys, analytics_assets.sources.sample; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_progress_ends_at_the_number_of_events(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    small(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (2_000, 2_000)
    assert calls == sorted(calls)


@pytest.mark.parametrize(
    "change", [{"users": 0}, {"days": 0}, {"events": 3}, {"seed": -1}, {"format": "xml"}]
)
def test_impossible_parameters_are_named(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=next(iter(change))):
        small(tmp_path, **change)


@pytest.mark.parametrize(
    ("users", "days", "events"), [(1, 1, 1), (1, 30, 30), (3, 2, 2_000), (500, 3, 60)]
)
def test_extreme_shapes_still_count_right(
    users: int, days: int, events: int, tmp_path: Path
) -> None:
    manifest = small(tmp_path, users=users, days=days, events=events)
    lines = read_lines(manifest)
    assert len(lines.distinct()) == events
    assert lines.malformed == manifest.malformed
