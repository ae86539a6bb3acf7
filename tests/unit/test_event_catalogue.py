"""The shipped catalogue, and what happens to a user's files, right or wrong."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from analytics_assets.events.catalogue import (
    SHIPPED_FOLDER,
    Catalogue,
    CatalogueError,
    Field,
    load_catalogue,
)
from analytics_assets.sources.sample.eventtypes import EVENT_TYPES

RETENTION_DAYS = {
    "transaction": 7 * 365,
    "interaction": 365,
    "user_activity": 2 * 365,
    "content": 7 * 365,
    "analytics": 45,
    "action": 365,
    "registry": 365,
}
# Event type -> the fields it must at least have.
TYPES: dict[str, dict[str, str]] = {
    "transaction": {
        "project.created": "title budget project_type is_featured skills",
        "project.updated": "title budget project_type is_featured skills",
        "project.deleted": "title budget project_type is_featured skills",
        "proposal.submitted": "project_id bid_amount",
        "proposal.accepted": "project_id bid_amount",
        "proposal.rejected": "project_id bid_amount",
        "milestone.created": "project_id amount",
        "milestone.approved": "project_id amount",
        "milestone.completed": "project_id amount",
        "payment.initiated": "amount currency method",
        "payment.completed": "amount currency method",
        "payment.failed": "amount currency method",
    },
    "interaction": {
        "profile.viewed": "",
        "project.viewed": "",
        "search.performed": "query filters results_count search_time_ms",
        "filter.applied": "",
        "message.sent": "",
        "notification.clicked": "",
    },
    "user_activity": {
        "user.login": "provider mfa_used",
        "user.logout": "",
        "user.registered": "",
        "session.started": "",
        "session.ended": "",
        "password.changed": "",
        "mfa.enabled": "",
        "mfa.disabled": "",
    },
    "content": {
        "review.posted": "reviewee_user_id reviewee_type rating_overall",
        "review.updated": "reviewee_user_id reviewee_type rating_overall",
        "portfolio.created": "",
        "portfolio.updated": "",
        "profile.updated": "",
        "github.synced": "",
    },
    "analytics": {
        "profile_analyzed": (
            "archetype activity_score collab_score diversity_score ai_savviness ai_percentage "
            "languages tools"
        ),
        "package_generated": "template",
    },
    "action": {"download": "media_id", "share": "", "credit_limit": ""},
    "registry": {"search_performed": "query results", "server_installed": "server_id"},
}
AS_BOOLEAN = "which YAML reads as a boolean (put text in quotes)"
FIELD_KEYS = "type, required, personal, description, items, enum, minimum, maximum, max_length"
ITEM_KINDS = "string, integer, number, boolean, object"
WriteFile = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Write a catalogue file into the user's folder and return the folder."""

    def write_file(text: str | bytes, name: str = "mine.yaml") -> Path:
        content = text if isinstance(text, bytes) else dedent(text).lstrip("\n").encode()
        (tmp_path / name).write_bytes(content)
        return tmp_path

    return write_file


def problems_of(folder: Path) -> list[str]:
    """Problems with the folder's own path taken out."""
    with pytest.raises(CatalogueError) as caught:
        load_catalogue([folder])
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_every_category_is_shipped_with_its_retention() -> None:
    catalogue = load_catalogue()
    assert {name: catalogue.retention_days(name) for name in catalogue.categories} == RETENTION_DAYS
    assert sorted(path.stem for path in SHIPPED_FOLDER.glob("*.yaml")) == sorted(RETENTION_DAYS)


def test_every_event_type_is_shipped_with_its_fields() -> None:
    catalogue = load_catalogue()
    for category, types in TYPES.items():
        found = {s.event_type for s in catalogue.schemas.values() if s.category == category}
        assert found == set(types)
        for event_type, fields in types.items():
            assert set(fields.split()) <= catalogue.schemas[event_type].fields.keys(), event_type


def test_the_sample_makes_exactly_the_shipped_types() -> None:
    assert {kind.name for kind in EVENT_TYPES} == set(load_catalogue().schemas)


def test_everything_shipped_is_described() -> None:
    catalogue = load_catalogue()
    for category in catalogue.categories.values():
        assert category.description.endswith(".")
    for schema in catalogue.schemas.values():
        assert schema.description.endswith("."), schema.event_type
        for name, field in schema.fields.items():
            assert field.description.endswith("."), (schema.event_type, name)


def test_scores_are_percentages_and_free_text_is_personal() -> None:
    schemas = load_catalogue().schemas
    analysed = schemas["profile_analyzed"].fields
    for name in ("activity_score", "collab_score", "diversity_score", "ai_savviness",
                 "ai_percentage"):  # fmt: skip
        assert (analysed[name].minimum, analysed[name].maximum) == (0, 100)
    assert analysed["languages"].items == "string"
    for event_type, name in (
        ("project.created", "title"), ("search.performed", "query"), ("search_performed", "query"),
        ("search.performed", "filters"), ("review.posted", "reviewee_user_id"),
        ("message.sent", "recipient_user_id"), ("profile.viewed", "profile_user_id"),
    ):  # fmt: skip
        assert name in schemas[event_type].personal_fields, (event_type, name)
    assert schemas["server_installed"].required_fields == ["server_id"]


def test_a_user_adds_a_category(write: WriteFile) -> None:
    folder = write("""
        category: billing
        retention: 90 days
        description: What our billing sends.
        events:
          invoice.sent:
            description: An invoice went out.
            fields:
              total: {type: number, required: true, minimum: 0, maximum: 1e6}
              state: {type: string, enum: [open, "yes"], personal: true, max_length: 20}
              lines: {type: array, items: object}
          invoice.paid:
    """)
    catalogue = load_catalogue([folder])
    assert catalogue.retention_days("billing") == 90
    assert len(catalogue.categories) == len(RETENTION_DAYS) + 1
    sent = catalogue.schemas["invoice.sent"]
    assert sent.fields["state"] == Field(
        "string", personal=True, enum=("open", "yes"), max_length=20
    )
    assert (sent.required_fields, sent.personal_fields) == (["total"], ["state"])
    assert catalogue.schemas["invoice.paid"].fields == {}


def test_a_user_adds_a_type_to_a_shipped_category(write: WriteFile) -> None:
    folder = write("category: action\nevents:\n  print:\n", "more.yml")
    catalogue = load_catalogue([folder])
    assert catalogue.schemas["print"].category == "action"
    assert catalogue.retention_days("action") == 365
    assert catalogue.categories == load_catalogue().categories


def test_other_files_of_a_folder_are_left_alone(write: WriteFile) -> None:
    folder = write("not: a catalogue", "README.md")
    write(":::", ".hidden.yaml")
    assert load_catalogue([folder]) == load_catalogue()


def test_the_fingerprint_follows_the_content_and_nothing_else(write: WriteFile) -> None:
    shipped = load_catalogue()
    assert shipped.fingerprint == load_catalogue().fingerprint
    seen = {shipped.fingerprint}
    for field in ("{type: string}", "{type: number}", "{type: number, personal: true}",
                  "{type: number, maximum: 5}", "{type: number, description: It.}"):  # fmt: skip
        for retention in ("1 day", "2 days"):
            folder = write(
                f"category: own\nretention: {retention}\nevents: {{a: {{fields: {{b: {field}}}}}}}"
            )
            seen.add(load_catalogue([folder]).fingerprint)
    assert len(seen) == 11
    write("category:    own  # the same\nretention: '2 days'\n"
          "events: {a: {fields: {b: {description: It., type: number, required: no}}}}")  # fmt: skip
    assert load_catalogue([folder]).fingerprint in seen


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "from analytics_assets.events.catalogue import load_catalogue;"
        "print(load_catalogue().fingerprint)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == load_catalogue().fingerprint


def test_a_catalogue_cannot_be_changed() -> None:
    catalogue = load_catalogue()
    with pytest.raises(TypeError):
        catalogue.schemas["x"] = catalogue.schemas["share"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalogue.categories["action"].retention_days = 5  # type: ignore[misc]
    assert isinstance(catalogue, Catalogue)


def test_a_wrong_type_is_named_with_file_and_line(write: WriteFile) -> None:
    folder = write(
        """
        category: tools
        retention: 1 year
        events:
          tool_installed:
            fields:
              tool_id:
                required: true
                type: strng
        """,
        "tools.yaml",
    )
    assert problems_of(folder) == [
        (
            "tools.yaml:8: events.tool_installed.fields.tool_id.type: 'strng' is not one of "
            "string, integer, number, boolean, array, object; did you mean 'string'?"
        )
    ]


def test_every_problem_of_every_file_is_reported_in_order(write: WriteFile) -> None:
    write("category: Tools\nretention: 45\nevents: {a: {field: {}}}", "b.yaml")
    folder = write("category: a\nevents:\n  X: {}\n", "a.yaml")
    assert problems_of(folder) == [
        "a.yaml:1: 'retention' is missing, and no other file says how long 'a' is kept",
        (
            "a.yaml:3: events.X: 'X' is not an event type's name: a lower-case letter, then up to "
            "63 lower-case letters, digits, '_' or '.'"
        ),
        (
            "b.yaml:1: category: 'Tools' is not a category's name: a lower-case letter, then up to "
            "30 lower-case letters, digits or '_', not ending like a date (_20260131)"
        ),
        (
            "b.yaml:2: retention: '45' is not a time such as '45 days' or '7 years', at most 100 "
            "years"
        ),
        (
            "b.yaml:3: events.a.field: 'field' is not one of description, fields; did you mean "
            "'fields'?"
        ),
    ]


HEAD = "category: own\nretention: 1 day\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: is empty; a catalogue file has category, retention and events"),
        ("# nothing\n---\n", "1: is empty; a catalogue file has category, retention and events"),
        ("- a\n", "1: must be a mapping (category, retention, events), not a list"),
        ("own", "1: must be a mapping (category, retention, events), not the text 'own'"),
        ("retention: 1 day\nevents: {}", "1: 'category' is missing"),
        (HEAD, "1: 'events' is missing; it holds the event types"),
        (HEAD + "events:\n", "3: events: must be a mapping (event types), not nothing"),
        (HEAD + "events: [a]\n", "3: events: must be a mapping (event types), not a list"),
        (
            HEAD + "events: {}\nowner: me",
            "4: owner: 'owner' is not one of category, retention, description, events",
        ),
        (HEAD + "category: b\nevents: {}", "3: category: is here twice; the first is in line 1"),
        (
            HEAD + "events:\n  a: {}\n  b: {}\n  a: {}",
            "6: events.a: is here twice; the first is in line 4",
        ),
        (HEAD + "events:\n  ? [a]\n  : {}", "4: events: a key must be plain text, not a list"),
        (
            HEAD + "events:\n  a:\n\tb: {}",
            (
                "5: is not YAML: while scanning for the next token, found character that cannot "
                "start any token"
            ),
        ),
        (
            HEAD + "events: {}\n---\ncategory: b",
            "4: is not YAML: expected a single document in the stream, but found another document",
        ),
        (HEAD.encode() + b"description: caf\xe9", "3: is not UTF-8 text"),
        (HEAD.encode() + b"description: \x01", "3: is not YAML: it has a control character"),
        (
            HEAD + "description: [a]\nevents: {}",
            "3: description: must be text, not a list",
        ),
        (
            HEAD + "events: {a: [b]}",
            "3: events.a: must be a mapping (description, fields), not a list",
        ),
        (
            HEAD + "events: {a: {fields: [b]}}",
            "3: events.a.fields: must be a mapping (fields), not a list",
        ),
        (
            HEAD + "events: {download: {}}",
            "3: events.download: this event type is already in action.yaml:7",
        ),
    ],
)
def test_a_file_that_is_no_catalogue(write: WriteFile, text: str | bytes, problem: str) -> None:
    assert problems_of(write(text)) == [f"mine.yaml:{problem}"]


@pytest.mark.parametrize("name", ["1a", "A", "a-b", "a b", "a" * 32, "own_20260131", "ö"])
def test_a_category_is_named_like_a_partition(write: WriteFile, name: str) -> None:
    (problem,) = problems_of(write(f"category: '{name}'\nretention: 1 day\nevents: {{}}"))
    assert problem.startswith(f"mine.yaml:1: category: '{name}' is not a category's name")


@pytest.mark.parametrize(
    "retention", ["0 days", "45", "3 months", "-1 days", "1.5 years", "101 years", "days", "7years"]
)
def test_a_retention_is_days_or_years(write: WriteFile, retention: str) -> None:
    (problem,) = problems_of(write(f"category: own\nretention: {retention}\nevents: {{}}"))
    assert problem == (
        f"mine.yaml:2: retention: '{retention}' is not a time such as '45 days' or '7 years', at "
        "most 100 years"
    )


def test_a_category_is_kept_for_one_time(write: WriteFile) -> None:
    assert problems_of(write("category: action\nretention: 9 years\nevents: {print: {}}")) == [
        (
            "mine.yaml:2: retention: action.yaml:3 keeps category 'action' for '1 year'; leave "
            "this line out to add event types to it, or name a category of your own"
        )
    ]
    folder = write("category: action\nretention: 365 days\nevents: {print: {}}")
    assert load_catalogue([folder]).retention_days("action") == 365


@pytest.mark.parametrize("name", ["A.b", "1a", "a b", "a" * 65, "a-b", "ä", "it's"])
def test_an_event_type_is_a_plain_name(write: WriteFile, name: str) -> None:
    (problem,) = problems_of(write(HEAD + f'events:\n  "{name}": {{}}'))
    assert problem.startswith(f"mine.yaml:4: events.{name}: ")
    assert "is not an event type's name" in problem


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("[1]", ": must be a mapping (type, required, personal, description), not a list"),
        ("{}", ": 'type' is missing; it is one of string, integer, number, boolean, array, object"),
        ("{type: [string]}", ".type: must be text, not a list"),
        ("{type: string, required: so}", ".required: must be true or false, not the text 'so'"),
        ("{type: string, personal: 1}", ".personal: must be true or false, not the number '1'"),
        ("{type: string, pattern: x}", f".pattern: 'pattern' is not one of {FIELD_KEYS}"),
        ("{type: array}", f": 'items' is missing; an array's items are {ITEM_KINDS}"),
        ("{type: array, items: array}", f".items: 'array' is not one of {ITEM_KINDS}"),
        ("{type: string, items: string}", ".items: does not fit type 'string', only array"),
        (
            "{type: boolean, enum: [true]}",
            ".enum: does not fit type 'boolean', only string or integer or number",
        ),
        (
            "{type: string, minimum: 1}",
            ".minimum: does not fit type 'string', only integer or number",
        ),
        (
            "{type: object, maximum: 1}",
            ".maximum: does not fit type 'object', only integer or number",
        ),
        ("{type: number, max_length: 1}", ".max_length: does not fit type 'number', only string"),
        ("{type: number, minimum: low}", ".minimum: must be a number, not the text 'low'"),
        ("{type: number, minimum: '1'}", ".minimum: must be a number, not the text '1'"),
        ("{type: number, minimum: .inf}", ".minimum: must be a number, not the number '.inf'"),
        ("{type: number, maximum: yes}", f".maximum: must be a number, not 'yes', {AS_BOOLEAN}"),
        ("{type: number, minimum: 2, maximum: 1}", ".maximum: 1 is below the minimum, 2"),
        (
            "{type: string, max_length: 0}",
            ".max_length: must be a whole number of 1 to 32768, not 0",
        ),
        (
            "{type: string, max_length: 1.5}",
            ".max_length: must be a whole number of 1 to 32768, not 1.5",
        ),
        (
            "{type: string, enum: a}",
            ".enum: must be a list of the allowed values, not the text 'a'",
        ),
        (
            "{type: string, enum: []}",
            ".enum: must be a list of the allowed values, not an empty list",
        ),
        (
            "{type: string, enum: [a, no]}",
            f".enum: a value must be of type string, not 'no', {AS_BOOLEAN}",
        ),
        (
            "{type: integer, enum: [1, 1.5]}",
            ".enum: a value must be of type integer, not the number '1.5'",
        ),
        ("{type: string, enum: [a, a]}", ".enum: 'a' is here twice"),
    ],
)
def test_a_field_that_is_no_field(write: WriteFile, field: str, problem: str) -> None:
    folder = write(HEAD + f"events:\n  a:\n    fields:\n      b: {field}")
    assert problems_of(folder) == [f"mine.yaml:6: events.a.fields.b{problem}"]


@pytest.mark.parametrize("name", ["a b", "1", "ä", "it's", "a%", "a" * 64, '\\"'])
def test_a_field_is_a_plain_name(write: WriteFile, name: str) -> None:
    (problem,) = problems_of(write(HEAD + f'events:\n  a:\n    fields:\n      "{name}": {{}}'))
    assert "is not a field's name" in problem


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue([tmp_path / "none"])
    assert str(caught.value) == f"{tmp_path}/none: there is no such folder of catalogue files"


def test_types_of_two_of_the_users_files_may_not_meet(write: WriteFile, tmp_path: Path) -> None:
    write(HEAD + "events: {a: {}}", "one.yaml")
    folder = write(HEAD + "events: {a: {}}", "two.yaml")
    assert problems_of(folder) == ["two.yaml:3: events.a: this event type is already in one.yaml:3"]
    (tmp_path / "two.yaml").write_text("category: own\nevents: {b: {}}")
    assert {"a", "b"} <= load_catalogue([folder]).schemas.keys()


def test_anchors_may_be_used_and_cannot_loop(write: WriteFile) -> None:
    folder = write(HEAD + "events:\n  a: &same {fields: {x: {type: string}}}\n  b: *same\n")
    schemas = load_catalogue([folder]).schemas
    assert schemas["a"].fields == schemas["b"].fields
    assert problems_of(write(HEAD + "events:\n  a: &loop {fields: *loop}\n"))


def test_loading_needs_neither_dagster_nor_a_database() -> None:
    code = (
        "import sys; from analytics_assets.events.catalogue import load_catalogue;"
        "load_catalogue(); print(sorted({'dagster', 'pandas', 'sqlalchemy'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
