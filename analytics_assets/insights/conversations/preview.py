"""What a model would be sent about one user, word for word, and what it says or would be told by.

Belongs here: one user's questions and answers for an admin's eyes. Does not: printing. Invariant:
the text shown is made by the code that makes what is sent; nobody's words are shown or sent who
does not consent; asking costs what it always costs and is written down like any other call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from analytics_assets.insights.asking.answer_table import Item
from analytics_assets.insights.asking.configured import configured
from analytics_assets.insights.asking.stage_run import StageRun
from analytics_assets.insights.consent import consents
from analytics_assets.insights.conversations.facet_prompt import FACETS
from analytics_assets.insights.conversations.facet_rules import facets_by_rules
from analytics_assets.insights.conversations.facets import FACET_COLUMNS, FacetTable
from analytics_assets.insights.conversations.selection import Selection
from analytics_assets.insights.scrubbing.ner import recogniser_of
from analytics_assets.windows import Window

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database


class PreviewError(Exception):
    """There is nothing to show; the message says why and what to do."""


@dataclass(frozen=True)
class Preview:
    """One conversation: the instructions and text of its question, and its answer.

    ``answered_by`` is the model, or the version of the rules where no model has read these words.
    """

    day: date
    system: str
    text: str
    answer: dict[str, Any]
    answered_by: str


class _OneUser(FacetTable):
    """The facets of a single user; leaves all others' rows alone."""

    user_id = ""

    def users(self, day: date) -> list[str]:
        return [self.user_id] if self.user_id in super().users(day) else []

    def drop_unqualified(self, day: date) -> int:  # noqa: ARG002 - as AnswerTable has it
        return 0


def preview(
    database: Database, settings: Settings, user_id: str, day: date | None, *, ask: bool
) -> list[Preview]:
    """The questions about a user's conversations of ``day`` (default: the last one with messages).

    With ``ask`` questions no model has answered yet are put to it first. Raises PreviewError where
    the user does not consent or wrote nothing, and where ``ask`` finds no model.
    """
    now = settings.now()
    with database.connect("analytics_pipeline") as conn:
        if not consents(conn, user_id, now):
            raise PreviewError(
                "this user has not agreed to the analysis (or is internal): nothing of them is "
                "read; choose one who has, such as yourself after `POST /api/privacy/consent`"
            )
        found = day or _last_day(conn, user_id)
        if found is None:
            raise PreviewError("this user wrote nothing; check the user's id")
        window = Window.of_day(found)
        model = configured(settings)
        if ask and model.provider is None:
            raise PreviewError(f"no model can be asked: {model.why_none}")
        selection = Selection.of(conn, window, now)
        table = _OneUser(conn, selection, recogniser_of(settings))
        table.user_id = user_id
        conn.commit()
        if ask:
            StageRun(conn, table, window, now, model.limits, model.provider, whole=False).run()
        fingerprint = dict(model.provider.fingerprint()) if model.provider else {}
        with conn.transaction():
            items, _ = table.prepare(found, table.users(found), fingerprint)
            kept = _kept(conn, items)
        if not items:
            raise PreviewError(f"this user wrote nothing on {found}; choose another --day")
        return [_preview(item, kept) for item in items]


def _preview(item: Item, kept: dict[str, dict[str, Any]]) -> Preview:
    request = FACETS.request(item.text, item.key)
    row = kept.get(item.place)
    if row is not None and row["source"] == "model" and row["text_digest"] == item.digest:
        answer = {name: row[name] for name in FACET_COLUMNS}
        return Preview(item.day, request.system, request.text, answer, row["model"])
    by_rules = facets_by_rules(item.text).model_dump(mode="json")
    return Preview(item.day, request.system, request.text, by_rules, "rules: no model read it yet")


def _kept(conn: psycopg.Connection[Any], items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    if not items:
        return {}
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "select * from insights.conversation_facets where day = %s and user_id = %s",
            [items[0].day, items[0].user_id],
        )
        return {row["conversation_id"]: row for row in cursor}


def _last_day(conn: psycopg.Connection[Any], user_id: str) -> date | None:
    row = conn.execute(
        "select max(day) from (select day from raw.messages where user_id = %(user)s "
        "union all select m.day from raw.messages as m join raw.conversations as c "
        "using (conversation_id) where m.user_id is null and c.user_id = %(user)s) as days",
        {"user": user_id},
    ).fetchone()
    return row[0] if row else None
