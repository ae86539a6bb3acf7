"""The release plan as a file: what it may say, and that a mistake is named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets.privacy.plan import PLAN_FILE, PlanError, load_plan, refuse_unmodelled
from analytics_assets.settings import PROJECT_ROOT

GOOD = """\
hierarchies:
  regions:
    north: [Oslo, Bergen]
    south: [Rome]
tables:
  published.visits:
    periods: [week, month]
    kind_column: period_kind
    reads: [interaction]
    dimensions:
      city: {hierarchy: regions}
      score: {from: raw_score, buckets: [5, 10]}
    sensitive:
      score: [city]
    ladder:
      - {city: value, score: 5}
      - {city: group, score: 10}
      - {city: group}
"""


def problems(tmp_path: Path, old: str = "", new: str = "") -> list[str]:
    """What is wrong with the good plan once ``old`` reads ``new``; lines and texts."""
    assert old in GOOD
    file = tmp_path / "plan.yaml"
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(PlanError) as caught:
        load_plan(file)
    for problem in caught.value.problems:
        assert problem.startswith(f"{file}:")
    return [problem.removeprefix(f"{file}:") for problem in caught.value.problems]


def test_a_plan_says_what_is_released_of_whom_and_when(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(GOOD)
    table = load_plan(file)["published.visits"]
    assert table.column_types == {
        "period": "date",
        "period_kind": "text",
        "city": "text",
        "score": "integer",
        "n_people": "integer",
    }
    assert table.ladder == ({"city": 0, "score": 0}, {"city": 1, "score": 1}, {"city": 1}, {})
    assert table.places() == {"": f"{file}:6", "city": f"{file}:11", "score": f"{file}:12"}


def test_the_shipped_plan_covers_both_zones() -> None:
    plan = load_plan()
    assert {table.schema for table in plan.tables.values()} == {"anonymous", "published"}
    for table in plan.tables.values():
        assert table.ladder[-1] == {}, "everybody is told of at the last step"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("[week, month]", "[7 days, month]", 7, "whole calendar periods nest"),
        ("[week, month]", "[rolling_week]", 7, "'rolling_week' is not one of day, week, month"),
        ("[week, month]", "[week, week]", 7, "'week' is here twice"),
        ("    kind_column: period_kind\n", "", 6, "'kind_column' is missing"),
        ("    periods: [week, month]\n", "", 6, "'periods' is missing"),
        ("    reads: [interaction]\n", "", 6, "'reads' is missing"),
        ("published.visits", "marts.visits", 6, "'marts.visits' is no table to release to"),
        ("city: {hierarchy: regions}", "user_email: {}", 11, "'user_email' may not leave"),
        ("from: raw_score", "from: session_id", 12, "'session_id' may not leave the platform"),
        ("score: 5}", "skill: 5}", 16, "there is no dimension 'skill'; there are city, score"),
        ("[5, 10]", "[10, 25]", 12, "buckets of 25 do not hold whole buckets of 10"),
        ("[5, 10]", "[7]", 12, "no width that divides 100"),
        ("[5, 10]", "[5, {width: 10, ends: [40]}]", 12, "the lowest and the highest bucket of 10"),
        ("[5, 10]", "[5, {width: 10, ends: [15, 60]}]", 12, "such as [10, 80]"),
        ("[5, 10]", "[{width: 5, ends: [5, 60]}, 10]", 12, "the finest buckets have none"),
        ("reads: [interaction]", "reads: [interaction]\n    epsilon: 0.5", 10, "of weeks alone"),
        ("[Rome]", "[Rome, oslo]", 4, "'oslo' is in 'north' already"),
        ("city: group}\n", "city: value}\n", 18, "a ladder must be nested"),
        ("- {city: group}\n", "- {score: 5}\n", 18, "a ladder must be nested"),
        ("score: 5}", "score: 50}", 16, "'50' is no level of it; these are: 5, 10"),
        ("- {city: value, score: 5}", "- {city: value}", 15, "no step tells 'score'"),
        ("hierarchy: regions", "hierarchy: nations", 11, "not one of the hierarchies"),
        ("score: [city]", "score: [language]", 14, "'language' is no other dimension"),
        (
            "reads: [interaction]",
            "reads: [interaction]\n    window: 7",
            10,
            "'window' is not one of",
        ),
        ("dimensions:", "dimensions: [city]\n    means:", 10, "must be a mapping"),
        ("from: raw_score", 'from: "raw score"', 12, "is no column of a model"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    found = problems(tmp_path, old, new)
    assert any(problem.startswith(f"{line}:") and says in problem for problem in found), found


def test_a_table_without_a_model_is_refused(tmp_path: Path) -> None:
    """Its periods would never close, and the keys of all others never go."""
    refuse_unmodelled(load_plan(), PROJECT_ROOT / "dbt")
    file = tmp_path / "plan.yaml"
    file.write_text(GOOD)
    with pytest.raises(PlanError, match=rf"{file}:6: published\.visits: there is no model models/"):
        refuse_unmodelled(load_plan(file), PROJECT_ROOT / "dbt")


def test_all_mistakes_are_named_together(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "[week, month]", "[fortnight, quarter]")) >= 2


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    for text in ("", "tables", "tables: {", "hierarchies: {}"):
        file = tmp_path / "plan.yaml"
        file.write_text(text)
        with pytest.raises(PlanError):
            load_plan(file)


def test_the_shipped_file_is_named_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / PLAN_FILE.name
    file.write_text("tables: 7")
    monkeypatch.setattr("analytics_assets.privacy.plan_files.PLAN_FILE", file)
    with pytest.raises(PlanError, match=r"^plan\.yaml:1: tables"):
        load_plan(file)
