"""``insights.conversation_facets``: what each consenting user's conversation of a day was about.

Belongs here: the table's SQL and the domain call. Does not: asking (asking/stage_run.py), words
(facet_prompt.py), guessing without a model (facet_rules.py). Invariant: a row comes from scrubbed
words of its own user alone; a row the model gave is never replaced by one that rules gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from pydantic import BaseModel

from analytics_assets.insights.asking.answer_table import Item, Known
from analytics_assets.insights.asking.cache_key import cache_key, text_digest
from analytics_assets.insights.asking.outcome import StageOutcome
from analytics_assets.insights.asking.stage import Stage
from analytics_assets.insights.asking.stage_run import Connect, Limits, StageRun
from analytics_assets.insights.asking.user_keys import user_keys
from analytics_assets.insights.conversations.facet_prompt import FACETS, Facets, transcript
from analytics_assets.insights.conversations.facet_rules import RULES_VERSION, facets_by_rules
from analytics_assets.insights.conversations.reading_plan import (
    ActiveUsers,
    ReadingPlan,
    mark_drawn,
    plan_day,
)
from analytics_assets.insights.conversations.selection import Selection
from analytics_assets.insights.providers.protocol import Provider
from analytics_assets.insights.scrubbing.dictionary import Scrubbers
from analytics_assets.insights.scrubbing.scrubber import NameFinder, Placeholders, Scrubber
from analytics_assets.windows import Window

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

TABLE = "insights.conversation_facets"
NO_MODEL = "no model is configured (set ANALYTICS_GEMINI_API_KEY or ANALYTICS_LLM_PROVIDER)"
FACET_COLUMNS = tuple(Facets.model_fields)
_COLUMNS = (
    "user_id",
    "day",
    "conversation_id",
    *FACET_COLUMNS,
    "user_messages",
    "source",
    "behind_since",
    "text_digest",
    "cache_key",
    "model",
    "prompt_version",
    "stratum",
)
_UPSERT = sql.SQL("""
insert into insights.conversation_facets ({columns}) {values}
on conflict (day, conversation_id, user_id) do update set ({changed}) = row({excluded}),
    created_at = clock_timestamp()
""")
_CHANGED = _COLUMNS[3:]
_ROW = {
    "columns": sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)),
    "changed": sql.SQL(", ").join(map(sql.Identifier, _CHANGED)),
    "excluded": sql.SQL(", ").join(sql.Identifier("excluded", name) for name in _CHANGED),
}
_WRITE = _UPSERT.format(
    values=sql.SQL("values ({})").format(
        sql.SQL(", ").join(sql.Placeholder(name) for name in _COLUMNS)
    ),
    **_ROW,
)
_TAKEN_OVER = ("day", "conversation_id", "user_messages", "behind_since", "text_digest", "stratum")
_COPY = _UPSERT.format(
    values=sql.SQL(
        "select {} from insights.conversation_facets as f "
        "where f.user_id = %(user_id)s and f.cache_key = %(cache_key)s and f.source = 'model' "
        "order by f.day, f.conversation_id limit 1"
    ).format(
        sql.SQL(", ").join(
            sql.Placeholder(name) if name in _TAKEN_OVER else sql.Identifier("f", name)
            for name in _COLUMNS
        )
    ),
    **_ROW,
)
_DROP = sql.SQL("""
{qualifying}
delete from insights.conversation_facets as f
where f.day = %(day)s and not exists (
    select from said
    join consenting using (user_id)
    where said.user_id = f.user_id and said.conversation_id = f.conversation_id
        and said.role = 'user' and said.content ~ '[^[:space:]]'
)
""")
# What was read goes when the messages it was read from go.
_PRUNE = """
delete from insights.conversation_facets as f
using ops.retention_floor as floor
where floor.event_category = 'messages' and f.day < floor.kept_from
"""


@dataclass
class FacetTable:
    """Reads conversations, writes facets; see AnswerTable."""

    conn: psycopg.Connection[Any]
    selection: Selection
    ner: NameFinder | None = None
    name: str = field(default=TABLE, init=False)
    stage: Stage = field(default=FACETS, init=False)

    def __post_init__(self) -> None:
        self.scrubbers = Scrubbers(self.conn, self.ner)
        self.active = ActiveUsers(self.conn, self.selection)
        self.plans: dict[date, ReadingPlan] = {}

    def may_ask(self, item: Item) -> bool:
        return item.day not in self.plans or self.plans[item.day].has(item.row)

    def days(self) -> list[date]:
        return self.selection.days(self.conn)

    def drop_unqualified(self, day: date) -> int:
        clause, parameters = self.selection.qualifying(day)
        pruned = self.conn.execute(_PRUNE).rowcount
        return pruned + self.conn.execute(_DROP.format(qualifying=clause), parameters).rowcount

    def users(self, day: date) -> list[str]:
        return self.selection.users(self.conn, day)

    def plan(self, day: date, users: Sequence[str]) -> None:  # noqa: ARG002 - as AnswerTable has it
        plan = plan_day(self.conn, self.selection, day, self.active)
        self.plans = {day: plan}
        mark_drawn(self.conn, day, plan)

    def prepare(
        self, day: date, users: Sequence[str], fingerprint: dict[str, str]
    ) -> tuple[list[Item], Scrubber]:
        found = self.selection.conversations(self.conn, day, users)
        scrubber = self.scrubbers.of(m.text for one in found for m in one.messages)
        keys = user_keys(self.conn, sorted({one.user_id for one in found}))
        items: list[Item] = []
        for one in found:
            book = Placeholders()
            text = transcript((m.role, scrubber.scrub(m.text, book)) for m in one.messages)
            if not text:
                continue
            digest = text_digest(text, keys[one.user_id])
            items.append(
                Item(
                    one.user_id,
                    day,
                    one.conversation_id,
                    text,
                    digest,
                    cache_key(FACETS, digest, fingerprint, scrubber.version),
                    (one.user_messages,),
                )
            )
        return items, scrubber

    def known(self, items: Sequence[Item]) -> Known:
        wanted = {item.row: item for item in items}
        current: set[tuple[str, str]] = set()
        stale: set[tuple[str, str]] = set()
        elsewhere: set[tuple[str, str]] = set()
        by_key = {(item.user_id, item.key): item for item in items}
        for user_id, place, day, key, is_behind in self.conn.execute(
            "select user_id, conversation_id, day, cache_key, behind_since is not null "
            "from insights.conversation_facets "
            "where source = 'model' and ((day = %s and user_id = any(%s)) or cache_key = any(%s))",
            [
                items[0].day,
                list({item.user_id for item in items}),
                [item.key for item in items],
            ],
        ):
            item = wanted.get((user_id, place))
            if item is not None and item.day == day:
                same = item.key == key and not is_behind
                (current if same else stale).add(item.row)
            twin = by_key.get((user_id, key))
            if twin is not None:
                elsewhere.add(twin.row)
        return Known(frozenset(current), frozenset(stale), frozenset(elsewhere - current))

    def copy(self, item: Item) -> None:
        self.conn.execute(_COPY, self._values(item))

    def write(self, item: Item, answer: BaseModel, model: str) -> None:
        self.conn.execute(_WRITE, self._row(item, answer, "model", model))

    def stand_in(self, items: Sequence[Item]) -> int:
        if not items:
            return 0
        rows = {
            (user_id, place): (source, digest, model, since)
            for user_id, place, source, digest, model, since in self.conn.execute(
                "select user_id, conversation_id, source, text_digest, model, behind_since "
                "from insights.conversation_facets where day = %s and user_id = any(%s)",
                [items[0].day, list({item.user_id for item in items})],
            )
        }
        behind, by_rules = 0, []
        for item in items:
            source, digest, model, since = rows.get(item.row, (None, None, None, None))
            if source == "model":
                behind += digest != item.digest
                if digest != item.digest and since is None:
                    self._mark_behind(item)
                continue
            behind += 1
            if (digest, model) != (item.digest, RULES_VERSION):
                answer = facets_by_rules(item.text)
                by_rules.append(
                    self._row(item, answer, "rules", RULES_VERSION, since or self.today)
                )
        with self.conn.cursor() as cursor:
            cursor.executemany(_WRITE, by_rules)
        return behind

    @property
    def today(self) -> date:
        return self.selection.now.date()

    def rules_in_window(self) -> tuple[int, date | None]:
        """Rows of the window that rules gave, and since when rules have stood in."""
        window = self.selection.window
        row = self.conn.execute(
            "select count(*), min(behind_since) from insights.conversation_facets "
            "where day >= %s and day < %s and source = 'rules'",
            [window.start, window.end],
        ).fetchone()
        return (row[0], row[1]) if row else (0, None)

    def _mark_behind(self, item: Item) -> None:
        self.conn.execute(
            "update insights.conversation_facets set behind_since = %s "
            "where day = %s and conversation_id = %s and user_id = %s",
            [self.today, item.day, item.place, item.user_id],
        )

    def _row(
        self, item: Item, answer: BaseModel, source: str, model: str, since: date | None = None
    ) -> dict[str, Any]:
        return {
            **self._values(item),
            **answer.model_dump(mode="json"),
            "source": source,
            "behind_since": since,
            "model": model,
            "prompt_version": FACETS.version,
        }

    def _values(self, item: Item) -> dict[str, Any]:
        plan = self.plans.get(item.day)
        return {
            "user_id": item.user_id,
            "day": item.day,
            "conversation_id": item.place,
            "user_messages": item.facts[0],
            "behind_since": None,
            "text_digest": item.digest,
            "cache_key": item.key,
            "stratum": plan.strata.get(item.row) if plan else None,
        }


def facets_of_users(
    conn: psycopg.Connection[Any], day: date, users: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """The day's facets of ``users``, in a stable order; part of the caller's transaction."""
    found: dict[str, list[dict[str, Any]]] = {}
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "select * from insights.conversation_facets where day = %s and user_id = any(%s) "
            "order by user_id, conversation_id",
            [day, list(users)],
        )
        for row in cursor:
            found.setdefault(row["user_id"], []).append(row)
    return found


def read_window(database: Database, window: Window, settings: Settings) -> StageOutcome:
    """Bring ``insights.conversation_facets`` of the window up to date as the settings say."""
    from analytics_assets.insights.asking.configured import configured
    from analytics_assets.insights.scrubbing.ner import closing, recogniser_of

    model = configured(settings)
    with closing(recogniser_of(settings)) as ner:
        return read_conversations(
            lambda: database.connect("analytics_pipeline"),
            window,
            model.provider,
            settings.now(),
            model.limits,
            why_none=model.why_none or NO_MODEL,
            ner=ner,
        )


def read_conversations(
    connect: Connect,
    window: Window,
    provider: Provider | None,
    now: datetime,
    limits: Limits | None = None,
    *,
    why_none: str = NO_MODEL,
    ner: NameFinder | None = None,
) -> StageOutcome:
    """Bring ``insights.conversation_facets`` of the window up to date.

    ``connect`` opens a connection as the pipeline's role; ``provider`` is closed at the end.
    Without one, and where it fails, rules stand in. Raises psycopg.Error, and RecogniserLost where
    ``ner`` ends: nothing is sent that it has not seen.
    """
    with connect() as conn:
        selection = Selection.of(conn, window, now)
        conn.commit()
        table = FacetTable(conn, selection, ner)
        run = StageRun(conn, table, window, now, limits or Limits(), provider, why_none)
        outcome = run.run()
        outcome.by_rules, outcome.rules_since = table.rules_in_window()
        return outcome
