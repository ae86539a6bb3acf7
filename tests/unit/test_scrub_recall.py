"""The evaluation of the scrubber: its figures are reached, and fall when a layer is missing."""

from __future__ import annotations

import pytest

from analytics_assets.insights.evaluation import planted_identifiers as planted
from analytics_assets.insights.evaluation.scrub_recall import measures, recall
from analytics_assets.insights.scrubbing.lexicon import Lexicon
from analytics_assets.insights.scrubbing.ner import Recogniser, is_installed
from analytics_assets.insights.scrubbing.scrubber import Scrubber


def test_known_identifiers_and_structured_data_are_masked_in_five_languages() -> None:
    rows = measures(names=False)
    known, structured, *unknown = rows
    assert known.figure >= known.limit == 0.999
    assert structured.figure >= structured.limit == 0.99
    assert [row.limit for row in unknown] == [None] * 5
    assert {locale.name for locale in planted.LOCALES} == {"en", "de", "fr", "es", "pl"}


def test_the_same_seed_plants_the_same() -> None:
    assert planted.known(people=2) == planted.known(people=2)
    assert planted.structured(each=1) != planted.structured(each=1, seed=8)


def test_recall_falls_without_the_dictionary_and_without_the_shapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identifiers, plants = planted.known(people=4)
    whole = recall(plants, Scrubber(Lexicon.of(identifiers)))
    assert whole == 1
    others = [pair for pair in identifiers if pair[0] != "handle"]
    assert recall(plants, Scrubber(Lexicon.of(others))) < 0.999
    assert recall(plants, Scrubber()) < 0.5
    monkeypatch.setattr(
        "analytics_assets.insights.scrubbing.scrubber.structured_spans", lambda _: ()
    )
    assert recall(planted.structured(each=2), Scrubber()) == 0


@pytest.mark.skipif(not is_installed(), reason="NOT TESTED: names (the extra scrub is missing)")
def test_recognition_finds_names_nobody_knew_and_leaves_technologies_alone() -> None:
    recogniser = Recogniser()
    try:
        scrubber = Scrubber(ner=recogniser)
        masked = scrubber.scrub(
            "I spoke with Winifred Pemberton of Tidewater Robotics. We use React, CSV files and "
            "Terraform with PostgreSQL; there is a KeyError in the DataFrame."
        )
        assert "Pemberton" not in masked
        assert "Tidewater" not in masked
        for word in ("React", "CSV", "Terraform", "PostgreSQL", "KeyError", "DataFrame"):
            assert word in masked
        by_name = {row.name: row.figure for row in measures()}
        assert by_name["scrub recall: unknown names (en)"] >= 0.9
        # A worker that was killed is started again.
        process = recogniser._process
        assert process is not None
        process.kill()
        process.wait()
        assert "Thaddeus" not in scrubber.scrub("Then Thaddeus Whitcombe called.")
    finally:
        recogniser.close()


@pytest.mark.skipif(not is_installed(), reason="NOT TESTED: names (the extra scrub is missing)")
def test_recognition_is_part_of_the_scrubbers_version() -> None:
    assert Scrubber(ner=Recogniser()).version.startswith("1+ner-1:")
    assert Scrubber().version == "1"
