"""``insights.daily_summary``: one text a day from metrics, published tables and gated insights.

Belongs here: what is read, what counts as missing, writing and posting. Does not: wording and the
floor (text.py). Invariant: materializing a window twice leaves the same rows, times of
change and posting included; a text is posted once; failing to post is told, never raised.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from analytics_assets.insights.answers.metric_anomalies import Anomaly
from analytics_assets.insights.answers.success_metrics import WEEK, read_answers
from analytics_assets.insights.answers.success_text import lines_of, unanswered
from analytics_assets.insights.asking.configured import why_no_model
from analytics_assets.insights.conversations.facet_prompt import FACETS
from analytics_assets.insights.conversations.selection import Selection
from analytics_assets.insights.summary.slack import Slack
from analytics_assets.insights.summary.text import (
    DayFacts,
    EventType,
    InsightCounts,
    Missing,
    Published,
    markdown_of,
)
from analytics_assets.insights.users.prompt import USER_INSIGHT
from analytics_assets.notify import NotPosted
from analytics_assets.store.database import lock_table, table_exists
from analytics_assets.windows import DAY, Window, monday_of

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

SUMMARY = "insights.daily_summary"
# A published period closes this long after its first day at the latest (week 7 + hold-back 5,
# month 31 + 7), so that a summary written again later reads the same one.
WEEK_CLOSES = timedelta(days=12)
MONTH_CLOSES = timedelta(days=38)
RECENT_CALLS = 1000
COUNTED_FIELDS = ("goals", "outcome", "friction", "feature_request", "will_return")


@dataclass
class SummaryOutcome:
    """Days of the window that have a summary, how many texts changed, and what became of the post.

    ``post`` is ``posted``, ``updated``, ``unchanged``, ``not configured``, ``not due``, or why it
    failed or could only be posted once more.
    """

    window: Window
    days: int = 0
    changed: int = 0
    post: str = "not due"
    missing: list[str] = field(default_factory=list)

    def metadata(self) -> dict[str, int | str]:
        told: dict[str, int | str] = {
            "days": self.days,
            "changed": self.changed,
            "post": self.post,
        }
        if self.missing:
            told["missing"] = "; ".join(self.missing)
        return told


def summarise_window(database: Database, window: Window, settings: Settings) -> SummaryOutcome:
    """Write the window's summaries, and post the newest complete day's where that is new."""
    now = settings.now()
    with database.connect("analytics_pipeline") as conn:
        outcome = build_daily_summary(conn, window, now, why_no_model=why_no_model(settings))
        conn.commit()
        outcome.post = post_daily_summary(conn, window, now, Slack.from_settings(settings))
    return outcome


def build_daily_summary(
    conn: psycopg.Connection[Any], window: Window, now: datetime, *, why_no_model: str | None
) -> SummaryOutcome:
    """Replace the window's rows in one transaction; days after ``now`` get none.

    ``why_no_model`` says why no model can be asked, None where one can.
    """
    outcome = SummaryOutcome(window)
    with conn.transaction():
        lock_table(conn, SUMMARY)
        reader = _Reader(conn, window, now, why_no_model=why_no_model)
        facts = [reader.facts(day) for day in window.days() if day <= now.date()]
        conn.execute(
            "delete from insights.daily_summary where day >= %s and day < %s "
            "and not (day = any(%s))",
            [window.start, window.end, [one.day for one in facts]],
        )
        for one in facts:
            outcome.changed += _write(conn, one)
        outcome.days = len(facts)
        if facts:
            outcome.missing = sorted({f"{m.what}: {m.why}" for m in facts[-1].missing})
    return outcome


def post_daily_summary(
    conn: psycopg.Connection[Any], window: Window, now: datetime, slack: Slack | None
) -> str:
    """Post yesterday's summary where the window holds it and its text was not posted yet; where
    another text was, change that message, or say that this is an update.

    Returns what became of it; never raises for Slack's sake.
    """
    yesterday = now.date() - DAY
    if yesterday not in window:
        return "not due"
    if slack is None:
        return "not configured"
    with conn.transaction():
        lock_table(conn, SUMMARY)
        row = conn.execute(
            "select markdown, content_hash, posted_hash, slack_message from insights.daily_summary "
            "where day = %s and content_hash is distinct from posted_hash",
            [yesterday],
        ).fetchone()
        if row is None:
            return "unchanged"
        markdown, digest, posted, message = row
        try:
            told = slack.post(markdown, message, again=posted is not None)
        except NotPosted as error:
            return str(error)
        conn.execute(
            "update insights.daily_summary set posted_at = clock_timestamp(), posted_hash = %s, "
            "slack_message = %s where day = %s",
            [digest, told.message, yesterday],
        )
        return told.outcome


def _write(conn: psycopg.Connection[Any], facts: DayFacts) -> int:
    markdown = markdown_of(facts)
    digest = hashlib.sha256(markdown.encode()).hexdigest()
    missing = {"items": [item.as_json() for item in facts.missing]}
    return conn.execute(
        "insert into insights.daily_summary as old (day, markdown, missing, content_hash) "
        "values (%s, %s, %s, %s) on conflict (day) do update set markdown = excluded.markdown, "
        "missing = excluded.missing, content_hash = excluded.content_hash, updated_at = now() "
        "where old.content_hash <> excluded.content_hash or old.missing <> excluded.missing",
        [facts.day, markdown, Jsonb(missing), digest],
    ).rowcount


class _Reader:
    """Reads what the summaries of a window need: whole-window queries once, the rest by day."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        window: Window,
        now: datetime,
        *,
        why_no_model: str | None,
    ) -> None:
        self.conn = conn
        self.window = window
        self.why_no_model = why_no_model
        self.selection = Selection.of(conn, window, now)
        self.selected_days = set(self.selection.days(conn))
        self.has_metrics = table_exists(self.conn, "marts.daily_metrics")
        self.has_aggregations = table_exists(self.conn, "marts.event_aggregations")
        self.metrics = self._metrics() if self.has_metrics else {}
        self.event_types = self._event_types() if self.has_aggregations else {}
        self.failures = self._failures()
        self.anomalies = self._anomalies()

    def facts(self, day: date) -> DayFacts:
        selected = len(self.selection.users(self.conn, day)) if day in self.selected_days else 0
        insights = self._insights(day)
        # The last week that was over on that day: what is told of it does not change any more.
        week = monday_of(day) - WEEK
        _, figures = read_answers(self.conn, week)
        gaps = [Missing(what, why) for what, why in unanswered(figures)]
        return DayFacts(
            day=day,
            metrics=self.metrics.get(day, {}),
            previous=self.metrics.get(day - DAY, {}),
            event_types=self.event_types.get(day, []),
            published=self._published(day),
            insights=insights,
            missing=[*self._missing(day, selected, insights.people), *gaps],
            anomalies=self.anomalies.get(day, []),
            answers=list(lines_of(figures)),
            answers_end=week + WEEK - DAY,
        )

    def _missing(self, day: date, selected: int, analysed: int) -> list[Missing]:
        missing = []
        if not self.has_metrics:
            missing.append(Missing("metrics", "marts.daily_metrics has not been built yet"))
        elif day not in self.metrics:
            missing.append(Missing("metrics", "no data for this day", self._last_metrics(day)))
        if not self.has_aggregations:
            missing.append(Missing("activity", "marts.event_aggregations has not been built yet"))
        elif not self.event_types.get(day):
            missing.append(Missing("activity", "no events on this day"))
        since = self._rules_since(day)
        if since is not None:
            missing.append(
                Missing(
                    "facets of conversations", "rules stand in where no model has read them", since
                )
            )
        if selected > analysed > 0:
            missing.append(Missing("insights of some users", self._why_unanswered(), day))
        elif selected > 0 == analysed or self.why_no_model is not None:
            since = self._unanswered_since(day)
            missing.append(Missing("insights", self._why_unanswered(), since))
        elif selected == 0:
            missing.append(Missing("insights", "no consenting user wrote on this day"))
        return missing

    def _why_unanswered(self) -> str:
        if self.why_no_model is not None:
            return self.why_no_model
        if not self.failures:
            return "not analysed yet; materialize insights/analysis_cache for this day"
        return f"the model gave no answer ({', '.join(self.failures)})"

    def _metrics(self) -> dict[date, dict[str, Decimal]]:
        found: dict[date, dict[str, Decimal]] = defaultdict(dict)
        for day, name, value in self.conn.execute(
            "select date, metric_name, metric_value::numeric from marts.daily_metrics "
            "where date >= %s and date < %s and metric_value is not null",
            [self.window.start - DAY, self.window.end],
        ):
            found[day][name] = value
        return found

    def _anomalies(self) -> dict[date, list[Anomaly]]:
        found: dict[date, list[Anomaly]] = defaultdict(list)
        for day, name, value, expected, low, high, score, weekdays in self.conn.execute(
            "select day, metric_name, value::float, expected::float, low::float, high::float, "
            "score::float, same_weekdays from insights.metric_anomalies "
            "where day >= %s and day < %s order by day, metric_name",
            [self.window.start, self.window.end],
        ):
            found[day].append(Anomaly(day, name, value, expected, low, high, score, weekdays))
        return found

    def _event_types(self) -> dict[date, list[EventType]]:
        found: dict[date, list[EventType]] = defaultdict(list)
        for day, name, events, people in self.conn.execute(
            "select (period_start at time zone 'UTC')::date, event_type, total_events, "
            "coalesce(unique_users, 0) from marts.event_aggregations "
            "where aggregation_type = 'daily' and period_start >= %s and period_start < %s",
            [self.window.start_ts, self.window.end_ts],
        ):
            found[day].append(EventType(name, int(events), int(people)))
        return found

    def _last_metrics(self, day: date) -> date | None:
        row = self.conn.execute(
            "select max(date) + 1 from marts.daily_metrics where date < %s", [day]
        ).fetchone()
        return row[0] if row else None

    def _unanswered_since(self, day: date) -> date | None:
        row = self.conn.execute(
            "select max(analysis_date) + 1 from insights.analysis_cache where analysis_date < %s",
            [day],
        ).fetchone()
        return row[0] if row else None

    def _rules_since(self, day: date) -> date | None:
        row = self.conn.execute(
            "select min(behind_since) from insights.conversation_facets "
            "where day = %s and source = 'rules'",
            [day],
        ).fetchone()
        return row[0] if row else None

    def _failures(self) -> list[str]:
        return [
            row[0]
            for row in self.conn.execute(
                "select distinct error_class from (select error_class, state from ops.llm_call "
                "where stage = any(%s) order by call_id desc limit %s) as recent "
                "where state in ('failed', 'poison') and error_class is not null "
                "and error_class not in ('consent_withdrawn', 'answer_deleted') order by 1",
                [[FACETS.name, USER_INSIGHT.name], RECENT_CALLS],
            )
        ]

    def _insights(self, day: date) -> InsightCounts:
        row = self.conn.execute(
            "select count(*), avg((insights ->> 'sentiment')::numeric), "
            "avg((insights ->> 'satisfaction')::numeric) "
            "from insights.analysis_cache where analysis_date = %s",
            [day],
        ).fetchone()
        people, sentiment, satisfaction = row if row is not None else (0, None, None)
        by_field: dict[str, dict[str, int]] = {name: {} for name in COUNTED_FIELDS}
        for name, value, count in self.conn.execute(
            "select f.name, v.value #>> '{}', count(distinct a.user_id) "
            "from insights.analysis_cache as a "
            "cross join unnest(%s::text[]) as f (name) "
            "cross join lateral jsonb_array_elements(case jsonb_typeof(a.insights -> f.name) "
            "    when 'array' then a.insights -> f.name "
            "    else jsonb_build_array(a.insights -> f.name) end) as v (value) "
            "where a.analysis_date = %s group by 1, 2",
            [list(COUNTED_FIELDS), day],
        ):
            if value is not None:
                by_field[name][value] = count
        return InsightCounts(people, by_field, sentiment, satisfaction)

    def _published(self, day: date) -> Published:
        trend = self.conn.execute(
            "select week, avg_ai_percentage, analyses_count from published.ai_usage_trends "
            # A week may be told without its mean: nobody's bucket was shared by enough people.
            "where week <= %s and avg_ai_percentage is not null order by week desc limit 1",
            [day - WEEK_CLOSES],
        ).fetchone()
        archetypes = self.conn.execute(
            "select archetype, count from published.archetype_distribution where period = ("
            "  select max(period) from published.archetype_distribution where period <= %s"
            ") order by count desc, archetype limit 5",
            [day - MONTH_CLOSES],
        ).fetchall()
        return Published(
            (trend[0], trend[1], int(trend[2])) if trend else None,
            [(str(name), int(count)) for name, count in archetypes],
        )
