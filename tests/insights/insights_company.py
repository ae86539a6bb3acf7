"""A small company whose people write to an assistant: what raw and vault would hold of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg import sql
from servers.gemini import GeminiServer

from analytics_assets.insights.asking.outcome import StageOutcome
from analytics_assets.insights.asking.stage_run import Limits
from analytics_assets.insights.conversations.facets import read_conversations
from analytics_assets.insights.providers.gemini import GeminiProvider
from analytics_assets.insights.providers.pricing import price_of
from analytics_assets.insights.users.analysis import analyse
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

DAY = date(2026, 6, 1)
NEXT = date(2026, 6, 2)
NOW = datetime(2026, 6, 8, 6, tzinfo=UTC)
MODEL = "gemini-2.5-flash-lite"
LIMITS = {
    "requests_per_minute": 100_000,
    "concurrency": 4,
    "backoff": 0.01,
    "price": price_of(MODEL, DAY),
}
FAST = Limits(**LIMITS)
ONE_AT_A_TIME = Limits(**{**LIMITS, "concurrency": 1})


@dataclass
class Company:
    """Writes what raw and vault would hold."""

    database: Database
    conn: psycopg.Connection[Any]
    written: int = 0

    def user(
        self,
        user_id: str,
        *,
        consent: bool = True,
        internal: bool = False,
        since: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        **identifiers: str,
    ) -> None:
        self.conn.execute(
            "update raw.users set valid_to = %s where user_id = %s and valid_to is null",
            [since, user_id],
        )
        self.conn.execute(
            "insert into raw.users (user_id, valid_from, insights_consent, is_internal, source) "
            "values (%s, %s, %s, %s, 'test')",
            [user_id, since, consent, internal],
        )
        for kind, value in identifiers.items():
            self.conn.execute(
                "insert into vault.known_identifiers values (%s, %s, %s)", [user_id, kind, value]
            )

    def only_the_ledger(self) -> None:
        """From here on accounts are known by nothing but what they agreed to at the door."""
        self.conn.execute(
            "select ops.record_consent("
            "user_id, 'insights', 'v1', 'granted', '2026-01-01', 'test', null"
            ") from raw.users where insights_consent"
        )
        self.conn.execute("delete from raw.users")

    def says(
        self,
        user_id: str | None,
        text: str,
        *,
        day: date = DAY,
        conversation: str | None = None,
        role: str = "user",
    ) -> None:
        self._partition("messages", day)
        self.written += 1
        at = datetime.combine(day, time(9), tzinfo=UTC) + timedelta(seconds=self.written)
        self.conn.execute(
            "insert into raw.messages "
            "(day, message_id, conversation_id, user_id, role, content, created_at, source) "
            "values (%s, %s, %s, %s, %s, %s, %s, 'test')",
            [
                day,
                f"m{self.written:06}",
                conversation or f"c-{user_id}",
                user_id,
                role,
                text,
                at,
            ],
        )

    def conversation(self, conversation_id: str, user_id: str, *, day: date = DAY) -> None:
        self._partition("conversations", day)
        self.conn.execute(
            "insert into raw.conversations (day, conversation_id, user_id, started_at, source) "
            "values (%s, %s, %s, %s, 'test')",
            [day, conversation_id, user_id, datetime.combine(day, time(8), tzinfo=UTC)],
        )

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.conn.execute(query, parameters).fetchall()

    def cached(self) -> dict[tuple[str, date], dict[str, Any]]:
        found = self.rows("select user_id, analysis_date, insights from insights.analysis_cache")
        return {(user_id, day): insights for user_id, day, insights in found}

    def cache_bytes(self) -> list[tuple[Any, ...]]:
        """Everything of the cache, row versions included."""
        return self.rows(
            "select xmin::text, a.*::text from insights.analysis_cache as a order by 2"
        )

    def facets(self, source: str | None = None) -> dict[tuple[str, date], dict[str, Any]]:
        """The facets of users with one conversation a day."""
        found = self.rows(
            "select to_jsonb(f) from insights.conversation_facets as f "
            "where coalesce(%s, f.source) = f.source",
            source,
        )
        return {(row["user_id"], date.fromisoformat(row["day"])): row for (row,) in found}

    def facet_bytes(self) -> list[tuple[Any, ...]]:
        """Every column of the facets, row versions included."""
        return self.rows(
            "select xmin::text, f.*::text from insights.conversation_facets as f order by 2"
        )

    def calls(self) -> list[tuple[str, str | None]]:
        return [
            (state, error_class)
            for state, error_class in self.rows(
                "select state, error_class from ops.llm_call order by call_id"
            )
        ]

    def tier(self, tier: int, *days: date) -> None:
        """What reading would have said of the days."""
        for day in days:
            self.conn.execute(
                "insert into insights.reading_plans values (%s, %s, 0, 0, 0, '{}')", [day, tier]
            )

    def cluster(self, day: date = DAY) -> None:
        """The last run's clusters: one, whose rows lie within 0.2 of it."""
        self.conn.execute(
            "insert into insights.clusters (kind, as_of_day, level, number, centroid, embedder, "
            "far) values ('use_case', %s, 'cluster', 1, %s, 'e', 0.2)",
            [day, _direction(0.0, "<f4")],
        )

    def placed(
        self, places: Sequence[tuple[str, str]], distance: float, *, day: date = DAY
    ) -> None:
        """Facets by rules of (user, conversation), with vectors that far from the cluster."""
        users, talks = zip(*places, strict=True)
        self.conn.execute(
            "with wanted as (select unnest(%s::text[]) as u, unnest(%s::text[]) as c), "
            "vectors as (insert into insights.facet_vectors "
            "select u, 'planning:t-' || c, 'e', %s, %s from wanted) "
            "insert into insights.conversation_facets (user_id, day, conversation_id, task, topic, "
            "outcome, friction, sentiment, feature_request, summary, wish, user_messages, source, "
            "behind_since, text_digest, cache_key, model, prompt_version) "
            "select u, %s, c, 'fix', 'debugging', 'unclear', 'none', 3, 'none', 'U wrote.', '', 1, "
            "'rules', %s, 't-' || c, 'k-' || c, 'r', 'f' from wanted",
            [list(users), list(talks), _direction(distance, "<f2"), day, day, day],
        )

    def _partition(self, table: str, day: date) -> None:
        self.conn.execute(
            sql.SQL(
                "create table if not exists {} partition of {} for values from ({}) to ({})"
            ).format(
                sql.Identifier("raw", f"{table}_{day:%Y%m%d}"),
                sql.Identifier("raw", table),
                sql.Literal(day),
                sql.Literal(day + timedelta(days=1)),
            )
        )


def _direction(distance: float, kind: str) -> bytes:
    import numpy as np

    vector = np.zeros(384)
    vector[:2] = 1 - distance, (1 - (1 - distance) ** 2) ** 0.5
    return vector.astype(kind).tobytes()


def provider_of(server: GeminiServer, **options: Any) -> GeminiProvider:
    settings = {
        "api_key": server.key,
        "model": MODEL,
        "base_url": server.url,
        "timeout": 10.0,
        "initial_delay": 0.01,
        "max_delay": 0.02,
        "jitter": 0.0,
    }
    return GeminiProvider(**{**settings, **options})


@dataclass
class Analysis:
    """Runs a stage over some days from DAY with the real SDK against a loopback server."""

    database: Database
    server: GeminiServer

    def read(self, days: int = 1, *, limits: Limits = FAST, **options: Any) -> StageOutcome:
        """Facets of conversations."""
        return read_conversations(
            lambda: self.database.connect("analytics_pipeline"),
            Window(DAY, DAY + timedelta(days=days)),
            provider_of(self.server, **options),
            NOW,
            limits,
        )

    def judge(self, days: int = 1, *, limits: Limits = FAST, **options: Any) -> StageOutcome:
        """Insights of users, from the facets that are there."""
        return analyse(
            lambda: self.database.connect("analytics_pipeline"),
            Window(DAY, DAY + timedelta(days=days)),
            provider_of(self.server, **options),
            NOW,
            limits,
        )

    def by_rules(self, days: int = 1) -> StageOutcome:
        """Facets without a model."""
        return read_conversations(
            lambda: self.database.connect("analytics_pipeline"),
            Window(DAY, DAY + timedelta(days=days)),
            None,
            NOW,
        )

    def __call__(self, days: int = 1, **options: Any) -> StageOutcome:
        """Both, one after the other."""
        self.read(days, **options)
        return self.judge(days, **options)
