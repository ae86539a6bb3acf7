"""Answers in words: one figure as a phrase, one question as a line.

Belongs here: wording. Does not: which figures there are. Invariant: pure and deterministic; what is
not told reads as such and never as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from analytics_assets.insights.answers.success_questions import SHARE_OF, TITLES, Figure, Question

# For the summary, which everybody reads: nothing about the owner alone.
IN_SUMMARY = tuple(question for question in Question if question is not Question.OWNER)
MOST_IN_A_LINE = 3


def value_of(figure: Figure) -> str:
    """``62 %``, ``3.4``, ``25``; empty where nothing may be told."""
    return "" if figure.value is None else _number(figure, figure.value)


def interval_of(figure: Figure) -> str:
    """``58 to 66 %``; empty where there is none."""
    if figure.value is None or figure.low is None or figure.high is None:
        return ""
    low = _number(figure, figure.low).removesuffix(" %")
    return f"{low} to {_number(figure, figure.high)}"


def evidence_of(figure: Figure) -> str:
    """``60+ people, 120+ conversations``."""
    parts = []
    if figure.people:
        parts.append(f"{figure.people:,}+ people")
    if figure.conversations:
        mark = "" if figure.individual else "+"
        parts.append(f"{figure.conversations:,}{mark} conversations")
    return ", ".join(parts)


def name_of(figure: Figure) -> str:
    """``friction: slow``, ``got it done``."""
    name = figure.metric.replace("_", " ")
    return f"{name}: {figure.label.replace('_', ' ')}" if figure.label else name


def lines_of(figures: Sequence[Figure]) -> Iterator[str]:
    """One line for each question that has an answer about a group."""
    for question in IN_SUMMARY:
        told = [f for f in figures if f.question == question and f.value is not None]
        told = [f for f in told if not f.individual][:MOST_IN_A_LINE]
        if told:
            sure = {str(figure.confidence) for figure in told}
            told_once = f" - confidence {sure.pop()}" if len(sure) == 1 else ""
            phrases = "; ".join(_phrase(figure, bool(told_once)) for figure in told)
            yield f"{TITLES[question]} {phrases}{told_once}"


def unanswered(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    """Questions without an answer, and why."""
    for question in IN_SUMMARY:
        asked = [f for f in figures if f.question == question and not f.individual]
        if asked and all(f.value is None for f in asked):
            yield f"answer to {TITLES[question]!r}", asked[0].note


def tables(figures: Sequence[Figure]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Title, columns and rows of each question, for people."""
    columns = ["", "value", "95 %", "evidence", "confidence", "note"]
    for question in Question:
        asked = [figure for figure in figures if figure.question == question]
        rows = [
            [
                name_of(figure),
                value_of(figure),
                interval_of(figure),
                evidence_of(figure),
                "" if figure.value is None else str(figure.confidence),
                figure.note,
            ]
            for figure in asked
        ]
        if rows:
            yield TITLES[question], columns, rows


def as_record(figure: Figure) -> dict[str, Any]:
    """The figure for programs, with its question spelt out."""
    return {**asdict(figure), "title": TITLES[figure.question]}


def _phrase(figure: Figure, is_sure_told: bool) -> str:
    inside = [interval_of(figure), "" if is_sure_told else f"confidence {figure.confidence}"]
    shown = ", ".join(part for part in inside if part)
    of = next((f" {words}" for words in SHARE_OF.values() if figure.note.startswith(words)), "")
    return f"{name_of(figure)} {value_of(figure)}{of}" + (f" ({shown})" if shown else "")


def _number(figure: Figure, value: float) -> str:
    if figure.unit == "share":
        return f"{round(100 * value):d} %"
    return f"{value:,.1f}" if figure.unit == "mean" else f"{round(value):,d}"
