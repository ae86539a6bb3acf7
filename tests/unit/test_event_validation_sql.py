"""What the compiled checks say about events that are wrong in one way each, in a real Postgres."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from staged_events import AS_OF, RULES, Problem, connected, event, problems_of

from analytics_assets.events.catalogue import Catalogue, load_catalogue
from analytics_assets.events.envelope import JUNK_USER_IDS, MAX_EVENT_BYTES, MAX_USER_ID_BYTES
from analytics_assets.events.validation import problem_expression
from analytics_assets.store.database import Database

SECRET = "Marlene Dietrich"
EVERYTHING = """
category: everything
retention: 10 days
events:
  test.limits:
    fields:
      level: {type: string, enum: [low, "50%", "it's"]}
      grade: {type: number, enum: [1, 1.5, 2]}
      share: {type: number, minimum: 0.5, maximum: 1}
      debt: {type: number, maximum: 0}
      count: {type: integer}
      nick: {type: string, max_length: 5}
      numbers: {type: array, items: integer}
      flags: {type: array, items: boolean}
      things: {type: array, items: object}
  test.bare:
"""


@pytest.fixture(scope="module")
def connection(postgres_server: Database) -> Iterator[psycopg.Connection[Any]]:
    with connected(postgres_server, "test_event_validation_sql") as opened:
        yield opened


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    (tmp_path / "everything.yaml").write_text(EVERYTHING)
    return load_catalogue([tmp_path])


@pytest.fixture
def problem(connection: psycopg.Connection[Any], catalogue: Catalogue) -> Any:
    def check(event_type: str | None, *data: Any, **changes: Any) -> Problem:
        return problems_of(connection, catalogue, [event(event_type, *data, **changes)])[0]

    return check


def test_a_complete_event_and_one_with_only_required_fields_pass(problem: Any) -> None:
    title = {"title": "Rebuild the shop"}
    assert problem("project.created", title) is None
    assert problem("project.created", {**title, "budget": 10, "skills": ["sql"]}) is None


def test_an_optional_field_may_be_null_and_unknown_fields_may_come_along(problem: Any) -> None:
    data = {"title": "x", "budget": None, "skills": None, "colour": [1, {"a": 2}]}
    assert problem("project.created", data) is None


def test_an_event_without_data_passes_where_nothing_is_required(problem: Any) -> None:
    assert problem("user.login") is None
    assert problem("test.bare") is None
    assert problem("download") == ("missing_field", "event_data.media_id is required by download")


@pytest.mark.parametrize("event_type", [None, ""])
def test_a_missing_event_type(problem: Any, event_type: str | None) -> None:
    expected = ("missing_event_type", "event_type is missing; send the name of a type")
    assert problem(event_type) == expected


def test_an_unknown_event_type_says_what_to_do(problem: Any) -> None:
    assert problem("projct.created") == (
        "unknown_event_type",
        (
            "'projct.created' is not in the catalogue; correct the name, or add it to a "
            "catalogue file, then replay"
        ),
    )


@pytest.mark.parametrize("spelling", ["projectCreated", "Project.Created", "project-created"])
def test_an_event_type_spelled_otherwise_is_recognised(problem: Any, spelling: str) -> None:
    assert problem(spelling) == (
        "unknown_event_type",
        f"'{spelling}' is not in the catalogue; did you mean 'project.created'?",
    )


def test_an_ambiguous_spelling_names_both_types(problem: Any) -> None:
    code, message = problem("SearchPerformed")
    assert code == "unknown_event_type"
    assert message.endswith("did you mean 'search.performed' or 'search_performed'?")


def test_what_does_not_look_like_a_type_is_not_repeated(problem: Any) -> None:
    mail = "marlene" * 10 + "@example.org"
    for name in ("marlene@example.org", mail, SECRET, "ключ", "1.2.3.4"):
        code, message = problem(name)
        assert code == "unknown_event_type"
        assert message.startswith("this event type is not in the catalogue; ")
        assert name[:7] not in message
    _, message = problem("a" * 1000)
    assert message.startswith(f"'{'a' * 64}' is not")


def test_an_event_needs_an_id_that_is_a_uuid_of_its_own(problem: Any) -> None:
    def code(event_id: str | None) -> str | None:
        found: Problem = problem("user.login", {}, event_id_text=event_id)
        return found[0] if found else None

    assert code("0B7D1C1E-5A0E-4A53-9D3C-2F1D1F0A9B11") is None
    assert code(None) == "missing_event_id"
    assert code("00000000-0000-0000-0000-000000000000") == "invalid_event_id"
    for wrong in (
        "", "17", "0b7d1c1e5a0e4a539d3c2f1d1f0a9b11", "{0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b11}",
        "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b1g", "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b1-",
        "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b11 ", "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b1\u0661",
    ):  # fmt: skip
        assert code(wrong) == "invalid_event_id", wrong


def test_a_timestamp_must_be_there_and_be_one(problem: Any) -> None:
    missing = ("missing_timestamp", "timestamp is missing; send when the event happened")
    assert problem("user.login", ts_text=None) == missing
    assert problem("user.login", ts_text="") == missing
    assert problem("user.login", ts_text="2026-02-30T10:00:00Z") == (
        "invalid_timestamp",
        "timestamp is no RFC 3339 time; send one such as 2026-01-31T12:34:56Z",
    )


def test_time_runs_from_the_start_day_to_the_clock_and_its_skew(problem: Any) -> None:
    latest = AS_OF + RULES.clock_skew
    assert problem("user.login", ts_text=latest.isoformat()) is None
    assert problem("user.login", ts_text=(latest + timedelta(milliseconds=1)).isoformat()) == (
        "future_timestamp",
        (
            "timestamp is more than 300 seconds ahead of the platform's clock; set the sender's "
            "clock right, then replay"
        ),
    )
    assert problem("user.login", ts_text="2026-04-27T00:00:00Z") is None
    assert problem("user.login", ts_text="2026-04-27T01:59:59+02:00") == (
        "before_start_day",
        (
            "timestamp is before 2026-04-27, the first day of this deployment "
            "(ANALYTICS_START_DAY); correct the sender, or set an earlier day and replay"
        ),
    )


def test_placeholders_are_no_user_ids(problem: Any) -> None:
    junk = [*JUNK_USER_IDS, "NULL", "Undefined", "NaN", "[object Object]", "  ", "\tnull\n"]
    for user_id in junk:
        assert problem("user.login", user_id=user_id)[0] == "junk_user_id", user_id
    for accepted in (None, "0", "nullable", "Nancy", "user none"):
        assert problem("user.login", user_id=accepted) is None, accepted


def test_a_user_id_fits_into_an_index(problem: Any) -> None:
    assert problem("user.login", user_id="x" * MAX_USER_ID_BYTES) is None
    assert problem("user.login", user_id="ж" * MAX_USER_ID_BYTES) == (
        "too_long",
        "user_id must have at most 256 bytes; send a short id",
    )


@pytest.mark.parametrize("column", ["event_data", "metadata"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), ([1], "array"), (SECRET, "string"), (5, "number"), (True, "boolean")],
)
def test_data_and_metadata_are_objects(problem: Any, column: str, value: Any, kind: str) -> None:
    assert problem("user.login", **{column: Jsonb(value)}) == (
        "not_an_object",
        f"{column} must be a JSON object, or be left out; got {kind}",
    )
    assert problem("user.login", **{column: None}) is None


def test_an_oversized_event(problem: Any) -> None:
    assert problem("user.login", byte_size=MAX_EVENT_BYTES) is None
    assert problem("user.login", byte_size=MAX_EVENT_BYTES + 1) == (
        "oversized",
        (
            "event_data and metadata together take more than 32 KB; send less, or a reference to "
            "the content"
        ),
    )


def test_too_many_properties(problem: Any) -> None:
    shortest = {chr(0x4E00 + number): 0 for number in range(100)}
    assert problem("user.login", shortest) is None
    assert problem("user.login", {**shortest, "x": 0}) == (
        "too_many_properties",
        "event_data has more than 100 properties; send those that are used",
    )


def test_too_many_properties_are_seen_in_the_smallest_possible_event(problem: Any) -> None:
    names = [chr(33 + number) for number in range(94) if chr(33 + number) not in '"\\']
    smallest = dict.fromkeys([*names, *(f"a{digit}" for digit in range(9))], 0)
    assert len(smallest) == 101
    size = len(json.dumps(smallest, separators=(",", ":")))
    assert problem("user.login", smallest, byte_size=size)[0] == "too_many_properties"


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]])
def test_nesting_ends_at_five_levels(problem: Any, wrap: Any) -> None:
    inner: Any = 1
    for _ in range(4):
        inner = wrap(inner)
    assert problem("user.login", {"a": inner}) is None
    assert problem("user.login", {"a": wrap(inner)}) == (
        "too_deep",
        "event_data is nested more than 5 levels deep; send flat properties",
    )


@pytest.mark.parametrize("data", [{}, {"title": None}])
def test_a_missing_field(problem: Any, data: dict[str, None]) -> None:
    assert problem("project.created", data) == (
        "missing_field",
        "event_data.title is required by project.created",
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("title", 7, "must be a string, got number"),
        ("budget", SECRET, "must be a number, got string"),
        ("is_featured", "true", "must be a boolean, got string"),
        ("skills", "sql", "must be an array, got string"),
        ("skills", {"a": 1}, "must be an array, got object"),
    ],
)
def test_a_wrong_type(problem: Any, field: str, value: Any, message: str) -> None:
    data = {"title": "x", field: value}
    assert problem("project.created", data) == ("wrong_type", f"event_data.{field} {message}")


def test_an_integer_has_no_decimals(problem: Any) -> None:
    assert problem("test.limits", {"count": 5.0}) is None
    assert problem("test.limits", {"count": 5.5}) == (
        "wrong_type",
        "event_data.count must be an integer, got a number with decimals",
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"share": 0.49}, "share must be between 0.5 and 1"),
        ({"share": 1.01}, "share must be between 0.5 and 1"),
        ({"debt": 0.01}, "debt must be at most 0"),
        ({"count": 2**53}, "count must be between -9007199254740991 and 9007199254740991"),
    ],
)
def test_a_number_out_of_range(problem: Any, data: dict[str, Any], message: str) -> None:
    assert problem("test.limits", data) == ("out_of_range", f"event_data.{message}")


def test_limits_are_inclusive(problem: Any) -> None:
    for data in ({"share": 0.5}, {"share": 1}, {"debt": 0}, {"count": 2**53 - 1}):
        assert problem("test.limits", data) is None, data


def test_a_value_that_is_not_in_its_list(problem: Any) -> None:
    for data in ({"level": "50%"}, {"level": "it's"}, {"grade": 1.50}, {"grade": 2}):
        assert problem("test.limits", data) is None, data
    assert problem("test.limits", {"level": SECRET}) == (
        "not_in_enum",
        "event_data.level must be one of low, 50%, it's",
    )
    assert problem("test.limits", {"grade": 3}) == (
        "not_in_enum",
        "event_data.grade must be one of 1, 1.5, 2",
    )


def test_a_text_that_is_too_long_is_counted_in_characters(problem: Any) -> None:
    assert problem("test.limits", {"nick": "жжжжж"}) is None
    assert problem("test.limits", {"nick": "жжжжжж"}) == (
        "too_long",
        "event_data.nick must have at most 5 characters",
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"numbers": [1, 2.5]}, "an integer"),
        ({"numbers": [1, "2"]}, "an integer"),
        ({"numbers": [[1]]}, "an integer"),
        ({"numbers": [None]}, "an integer"),
        ({"flags": [True, 1]}, "a boolean"),
        ({"things": [{}, []]}, "an object"),
    ],
)
def test_items_of_the_wrong_type(problem: Any, data: dict[str, Any], kind: str) -> None:
    name = next(iter(data))
    assert problem("test.limits", data) == (
        "wrong_type",
        f"every item of event_data.{name} must be {kind}",
    )


def test_empty_and_well_typed_arrays_pass(problem: Any) -> None:
    data: dict[str, Any]
    for data in ({"numbers": []}, {"numbers": [1, 2.0]}, {"flags": [False]}, {"things": [{}]}):
        assert problem("test.limits", data) is None, data


def test_the_first_problem_wins(problem: Any) -> None:
    broken = {"budget": "x", "is_featured": 1}
    assert problem("project.created", broken)[0] == "missing_field"
    assert problem("nonsense", byte_size=10**6, user_id="null", ts_text="never")[0] == (
        "invalid_timestamp"
    )


def test_no_message_repeats_a_value_of_the_event(
    connection: psycopg.Connection[Any], catalogue: Catalogue
) -> None:
    wrong: list[dict[str, Any]] = [
        event("project.created", {"title": {"name": SECRET}}),
        event("project.created", {"title": [SECRET]}),
        event("test.limits", {"level": SECRET}),
        event("test.limits", {"nick": SECRET}),
        event("test.limits", {"flags": [SECRET]}),
        event("test.limits", {"share": SECRET}),
        event(SECRET),
        event("user.login", event_id_text=SECRET),
        event("user.login", ts_text=SECRET),
        event("user.login", user_id=SECRET * 100),
        event("user.login", event_data=Jsonb(SECRET)),
        event("user.login", metadata=Jsonb([SECRET])),
    ]
    for found in problems_of(connection, catalogue, wrong):
        assert found is not None
        assert "Marlene" not in found[1]


def test_the_compiled_checks_can_stand_in_a_statement_with_parameters(
    catalogue: Catalogue,
) -> None:
    assert "%" not in problem_expression(catalogue, RULES).as_string()


@pytest.mark.parametrize("column", ["event_data", "metadata"])
@pytest.mark.parametrize(
    "text", ['{"x": 1e100000}', '{"x": -1e31}', '{"x": {"y": [1, {"z": 2e30}]}}']
)
def test_numbers_nobody_can_read_back_are_refused_wherever_they_are(
    problem: Any, column: str, text: str
) -> None:
    assert problem("user.login", **{column: text}) == (
        "out_of_range",
        f"{column} has a number beyond 1e30; send it as text",
    )


def test_numbers_within_reach_are_judged_and_never_raise(problem: Any) -> None:
    assert problem("user.login", event_data='{"x": 1e30, "y": -1e30, "z": "1e99"}') is None
    assert problem("test.limits", event_data='{"debt": -1e-9000}') is None
    assert problem("test.limits", event_data='{"count": 1e-9000}')[0] == "wrong_type"
    assert problem("test.limits", event_data='{"count": -1e29}')[0] == "out_of_range"


def test_types_are_told_apart_however_many_there_are(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    lines = [f"  many.t{number}: {{fields: {{f{number}: {{type: string, required: true}}}}}}"
             for number in range(300)]  # fmt: skip
    head = "category: many\nretention: 1 day\nevents:\n"
    (tmp_path / "many.yaml").write_text(head + "\n".join(lines))
    catalogue = load_catalogue([tmp_path])
    good = [event(f"many.t{number}", {f"f{number}": "x"}) for number in range(300)]
    bad = [event(f"many.t{number}", {f"f{number + 1}": "x"}) for number in range(300)]
    assert problems_of(connection, catalogue, good) == [None] * 300
    assert problems_of(connection, catalogue, bad) == [
        ("missing_field", f"event_data.f{number} is required by many.t{number}")
        for number in range(300)
    ]
