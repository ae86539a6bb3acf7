"""What a stage needs of the table that keeps its answers.

Belongs here: the protocol and its rows. Does not: any table (conversations/facets.py,
users/analysis.py) or the order of things (stage_run.py). Invariant: every method is part of the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from pydantic import BaseModel

from analytics_assets.insights.asking.stage import Stage
from analytics_assets.insights.scrubbing.scrubber import Scrubber


@dataclass(frozen=True)
class Item:
    """One row to be: its scrubbed text, the text's digest and the key of its answer.

    ``place`` tells a user's rows of a day apart; ``facts`` are columns that need no model.
    """

    user_id: str
    day: date
    place: str
    text: str
    digest: str
    key: str
    facts: tuple[Any, ...] = ()

    @property
    def row(self) -> tuple[str, str]:
        return (self.user_id, self.place)


@dataclass(frozen=True)
class Known:
    """Rows of a page: those that hold, those whose text has changed, answers to copy."""

    current: frozenset[tuple[str, str]]
    stale: frozenset[tuple[str, str]]
    elsewhere: frozenset[tuple[str, str]]


class AnswerTable(Protocol):
    """A table of answers. Its methods are parts of the caller's transaction."""

    name: str
    stage: Stage

    def days(self) -> list[date]: ...

    def drop_unqualified(self, day: date) -> int:
        """Delete the day's rows whose user no longer qualifies; returns how many."""
        ...

    def users(self, day: date) -> list[str]:
        """Consenting users with something to read that day, in a stable order."""
        ...

    def plan(self, day: date, users: Sequence[str]) -> None:
        """Decide whose rows of the day a model may be asked about; without one, nobody asks."""
        ...

    def prepare(
        self, day: date, users: Sequence[str], fingerprint: dict[str, str]
    ) -> tuple[list[Item], Scrubber]:
        """The questions of a page of users, and the scrubber that masked them."""
        ...

    def may_ask(self, item: Item) -> bool:
        """Whether the day's plan has it: at scale not all of them are."""
        ...

    def known(self, items: Sequence[Item]) -> Known: ...

    def copy(self, item: Item) -> None:
        """Give the row the answer the same text of the same user has elsewhere."""
        ...

    def write(self, item: Item, answer: BaseModel, model: str) -> None: ...

    def stand_in(self, items: Sequence[Item]) -> int:
        """Do what can be done without answers, for rows of one day; returns how many rows are now
        behind their text.
        """
        ...
