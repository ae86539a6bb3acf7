"""What commands print for people stands there as it is, whatever characters it has."""

from __future__ import annotations

import pytest

from analytics_assets.cli.console import console, errors, notes, print_table

BRACKETS = ("'analytics-assets[scrub]'", "[/] [bold]x[/bold] [red", "{a: [1]}", "a:key:b")


def test_brackets_in_a_table_are_printed_and_not_read_as_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table("a [table]", ["a [column]"], [[cell] for cell in BRACKETS])
    printed = capsys.readouterr().out
    assert all(text in printed for text in (*BRACKETS, "a [table]", "a [column]"))


def test_brackets_in_a_message_are_printed_and_not_read_as_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for text in BRACKETS:
        for to in (console, notes, errors):
            to.print(text, style="bold red")
    told = capsys.readouterr()
    assert told.out.splitlines() == list(BRACKETS)
    assert told.err.splitlines() == [text for text in BRACKETS for _ in range(2)]


def test_numbers_in_a_table_stand_to_the_right_with_their_thousands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table("rows", ["rows", "share", "known"], [[1_234_567, 0.5, True], [3, 2.25, None]])
    printed = capsys.readouterr().out
    assert "1,234,567 │  0.50 │ yes" in printed
    assert "        3 │  2.25 │" in printed
