"""What may be said of a group, and what may not."""

from __future__ import annotations

import pytest

from analytics_assets.insights.evaluation.auditor import EDITS, GOOD, RIGHT, edited_pairs, measure
from analytics_assets.insights.groups.gate import Leaks, audit_by_rules, unlisted_names
from analytics_assets.insights.groups.personas import by_rules, focus_of
from analytics_assets.insights.scrubbing.lexicon import Lexicon
from analytics_assets.insights.scrubbing.scrubber import Scrubber
from analytics_assets.insights.taxonomy import FeatureRequest, Friction, Task, Topic

KNOWN = Scrubber(Lexicon.of([("name", "Mara Lindqvist"), ("repository", "acme/widget-api")]))
LINES = ["U wanted to merge the quarterly numbers of two plants.", "U asked for exports."]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("reports for Mara", "personal_data"),
        ("reports for lindqvist", "personal_data"),
        ("questions about the widget-api", "personal_data"),
        ("mail results to a@b.example", "personal_data"),
        ("reports for [NAME_1]", "personal_data"),
        ("reports for Heidelberg", "name"),
        ("Brandt asks for reports", "name"),
        ("wanted to merge the quarterly numbers of plants", "verbatim"),
    ],
)
def test_what_leaks_is_found_whoever_wrote_it(text: str, reason: str) -> None:
    found = Leaks.of(KNOWN, LINES).found(text)
    assert found is not None
    assert found.reason == reason
    assert not found.passes


def test_a_text_in_general_words_leaks_nothing_though_it_shares_some() -> None:
    assert (
        Leaks.of(KNOWN, LINES).found("Users merge quarterly numbers and ask for exports.") is None
    )


def test_a_name_at_the_start_of_a_sentence_is_still_a_name() -> None:
    assert list(unlisted_names("Users load files. Brandt too, with Python and SQL.")) == ["Brandt"]


def test_the_rule_auditor_is_right_on_hundreds_of_edited_pairs() -> None:
    assert len(list(edited_pairs())) >= 400
    assert len(set(EDITS)) == 12
    right, passed = measure(None)  # type: ignore[arg-type]
    assert right.figure is not None
    assert right.figure >= RIGHT
    assert passed.figure == 0
    # Each kind of edit is caught alone, not only by the known identifiers.
    for edit in EDITS:
        for good in GOOD[::9]:
            assert not audit_by_rules(edit.format(text=good.rstrip("."))).passes, edit


def test_an_unknown_word_needs_eleven_people_who_used_it() -> None:
    assert not audit_by_rules("export zebrafish tables").passes
    assert audit_by_rules("export zebrafish tables", common={"zebrafish"}).passes


def test_whatever_the_closed_lists_say_may_be_told() -> None:
    for values in (Task, Topic, Friction, FeatureRequest):
        for value in values:
            words = value.value.replace("_", " ")
            assert audit_by_rules(f"asks for {words}").passes, value
    features = {"tasks": {"fix": 0.4, "other": 0.3, "build": 0.2}}
    for persona in (*Topic, "mixed", "occasional"):
        assert audit_by_rules(by_rules(persona, features)).passes, persona


def test_a_persona_is_called_by_its_topic_only_where_that_is_most_of_it() -> None:
    assert focus_of({"debugging": 5, "planning": 4, "other": 1}) == "debugging"
    assert focus_of({"debugging": 3, "planning": 3, "dashboards": 3}) == "mixed"
    assert focus_of({"other": 9, "planning": 1}) == "mixed"
