"""``insights.success_metrics``: answers about product-market fit, week by week, with evidence.

Belongs here: what is made of the sums, the table and the domain call. Does not: queries
(success_sums.py), the floor (success_questions.py). Invariant: a week's figures are of the 28 days
that end with it; what may not be told is said to be so, and what is missing says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import class_row

from analytics_assets.insights.answers import success_sums as sums
from analytics_assets.insights.answers.success_owner import compared, owner_figures
from analytics_assets.insights.answers.success_questions import (
    SHARE_OF,
    UNSAID,
    Figure,
    Question,
    about_group,
    counted,
    missing,
    rounded_people,
    told,
)
from analytics_assets.insights.floor import FLOOR_PEOPLE
from analytics_assets.insights.groups.tables import Group, groups
from analytics_assets.insights.intervals import Confidence, Interval, Sums, Z, confidence
from analytics_assets.store.database import lock_table, table_exists
from analytics_assets.windows import Window

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

TABLE: Final = "insights.success_metrics"
WEEK: Final = timedelta(days=7)
SPAN: Final = timedelta(days=28)
TOP: Final = 5
TOP_FEATURES: Final = 3
MOOD: Final = (1.0, 5.0)
NO_FACETS: Final = (
    "no conversation of a consenting user was read; see docs/insights.md about consent"
)
NO_PREDICTIONS: Final = "no predictions; materialize insights/return_predictions"
NO_OWNER: Final = "set ANALYTICS_OWNER_USER_ID to the owner's user id"


@dataclass(frozen=True)
class SuccessOutcome:
    weeks: int
    figures: int

    def metadata(self) -> dict[str, int]:
        return {"weeks": self.weeks, "figures": self.figures}


def answer_window(database: Database, window: Window, settings: Settings) -> SuccessOutcome:
    """Bring the answers of the weeks the window has a part in up to date."""
    with database.connect("analytics_pipeline") as conn:
        return build_success_metrics(conn, window, settings.now(), settings.owner_user_id)


def weeks_of(window: Window, today: date) -> list[date]:
    """Mondays of the weeks whose 28 days the window has a part in and that have begun."""
    around = Window(window.start, window.end + SPAN - WEEK).iso_weeks()
    return [day for day in around.days() if day.weekday() == 0 and day <= today]


def build_success_metrics(
    conn: psycopg.Connection[Any], window: Window, now: datetime, owner: str | None
) -> SuccessOutcome:
    """Replace the rows of those weeks in one transaction."""
    written = 0
    weeks = weeks_of(window, now.date())
    with conn.transaction():
        lock_table(conn, TABLE)
        conn.execute("delete from insights.success_metrics where week = any(%s)", [weeks])
        if table_exists(conn, "insights.user_activity"):
            for week in weeks:
                written += _write(conn, week, list(_Week(conn, week, now, owner).figures()))
    return SuccessOutcome(len(weeks), written)


def read_answers(
    conn: psycopg.Connection[Any], week: date | None = None
) -> tuple[date | None, list[Figure]]:
    """A week (default: the newest that has figures) and its figures, in order."""
    if week is None:
        row = conn.execute("select max(week) from insights.success_metrics").fetchone()
        week = row[0] if row else None
    with conn.cursor(row_factory=class_row(Figure)) as cursor:
        found = cursor.execute(
            "select question, metric, label, unit, value::float, low::float, high::float, people, "
            "conversations, confidence, individual, note from insights.success_metrics "
            "where week = %s order by rank",
            [week],
        ).fetchall()
    return week, [
        replace(one, question=Question(one.question), confidence=Confidence(one.confidence))
        for one in found
    ]


def _write(conn: psycopg.Connection[Any], week: date, found: list[Figure]) -> int:
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into insights.success_metrics (week, question, metric, label, rank, unit, "
            "value, low, high, people, conversations, confidence, individual, note) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (week, f.question, f.metric, f.label, rank, f.unit, f.value, f.low, f.high,
                 f.people, f.conversations, f.confidence, f.individual, f.note)
                for rank, f in enumerate(found)
            ],
        )  # fmt: skip
    return len(found)


class _Week:
    """The answers of one week."""

    def __init__(
        self, conn: psycopg.Connection[Any], week: date, now: datetime, owner: str | None
    ) -> None:
        self.conn = conn
        self.week = week
        self.end = week + WEEK
        self.start = self.end - SPAN
        self.is_over = self.end <= now.date()
        self.owner = owner
        self.talked = sums.talked(conn, self.start, self.end, now, owner)
        self.said = self.talked.everyone()
        self.all = self.said.get(("all", ""), Sums())
        by_rules = self.said.get(("by_rules", ""), Sums())
        # Rules say "unclear" far more often than a model.
        self.guessed = by_rules.a > self.all.a / 2
        self.stayed = sums.stayed(conn, week)

    def figures(self) -> Iterator[Figure]:
        """All questions in their order; nothing for a week in which nobody was there."""
        if not self.stayed.now:
            return
        yield from self._value()
        yield from self._trying()
        yield from self._stuck()
        yield from self._paying()
        yield from self._returning()
        yield from self._owner()
        yield from self._building()
        yield from self._personas()

    def _of_talks(self, question: Question, metric: str, name: str, **options: Any) -> Figure:
        found = self.said.get((metric, ""), Sums())
        return about_group(
            question, name, found, conversations=int(found.n), guessed=self.guessed, **options
        )

    def _value(self) -> Iterator[Figure]:
        question = Question.VALUE
        if not self.all.people:
            yield missing(question, NO_FACETS)
        else:
            note = "of conversations that show how they ended"
            yield self._of_talks(question, "achieved", "got it done", note=note)
            yield self._of_talks(question, "not_achieved", "did not get it done", note=note)
            yield self._of_talks(question, "judged", "shows how it ended")
            yield self._of_talks(question, "mood", "mood, 1 to 5", unit="mean", span=MOOD)
        if self.is_over:
            yield about_group(
                question,
                "came back this week",
                _people(self.stayed.returned, self.stayed.before),
                of_people=True,
                note="of people active in the 28 days before",
            )

    def _top(
        self, question: Question, metric: str, most: int, *, name: str | None = None
    ) -> Iterator[Figure]:
        """The labels with the most people that may be told."""
        found = [
            about_group(
                question,
                name or metric,
                of_label.among(self.all),
                label=label,
                conversations=int(of_label.a),
                guessed=self.guessed,
            )
            for (kind, label), of_label in sorted(
                self.said.items(), key=lambda one: (-one[1].having, -one[1].a, one[0])
            )
            if kind == metric and label not in UNSAID
        ]
        shown = [figure for figure in found if figure.value is not None][:most]
        if not shown:
            why = (
                NO_FACETS
                if not self.all.people
                else f"no {metric} is shared by {FLOOR_PEOPLE} people"
            )
            yield missing(question, why, name or metric)
        yield from shown

    def _trying(self) -> Iterator[Figure]:
        yield from self._top(Question.TRYING, "task", TOP)
        yield from self._top(Question.TRYING, "topic", TOP)
        yield from self._groups(Question.TRYING, "use case", "use_cases")

    def _stuck(self) -> Iterator[Figure]:
        yield self._of_talks(Question.STUCK, "stuck", "met an obstacle")
        yield from self._top(Question.STUCK, "friction", TOP)
        yield from self._groups(Question.STUCK, "friction point", "friction_points")

    def _paying(self) -> Iterator[Figure]:
        question = Question.PAYING
        found = sums.signals(self.conn, self.start, self.end)
        yield about_group(
            question,
            "ran out of credits",
            _people(found.ran_out, found.active),
            of_people=True,
            note="of active people",
        )
        yield about_group(
            question,
            "returned within 7 days of it",
            _people(found.returned, found.judged),
            of_people=True,
            note="of people who ran out of credits",
        )
        yield about_group(
            question,
            "downloaded or shared in the 7 days after",
            _people(found.took_results, found.ran_out),
            of_people=True,
            note="of people who ran out of credits",
        )
        if not self.is_over:
            return
        weeks = sums.paid(self.conn, self.start, self.end)
        both = []
        for ran_out, label in ((True, "with credits run out"), (False, "without")):
            part = weeks.get(ran_out, Sums())
            both.append(about_group(question, "came back the week after a week", part, note=label))
            yield replace(both[-1], label=label, note="")
        if all(one.value is not None for one in both):
            yield compared(question, "difference that running out makes", both[0], both[1])

    def _returning(self) -> Iterator[Figure]:
        question = Question.RETURNING
        mondays = [self.week, self.end]
        found = sums.predicted(self.conn, mondays)
        model = sums.model(self.conn, mondays)
        if found is None:
            why = model.why_none if model is not None else ""
            yield missing(question, why or NO_PREDICTIONS)
        else:
            yield from self._predicted(question, found)
        if (
            found is not None
            and found.people >= FLOOR_PEOPLE
            and model is not None
            and model.auc is not None
        ):
            yield Figure(
                question,
                "pairs of people put in the right order",
                unit="share",
                value=round(model.auc, 2),
                people=rounded_people(found.people),
                confidence=Confidence.MEDIUM,
                note=f"{model.version}, on {model.tested_rows:,} user-weeks it had not seen; "
                f"recency and frequency alone: {model.baseline_auc:.2f}; "
                f"calibration error {model.ece:.2f}",
            )
        if self.is_over:
            gone = self.stayed.before - self.stayed.returned
            yield about_group(
                question,
                "churned this week",
                _people(gone, self.stayed.before),
                of_people=True,
                note="active in the 28 days before and not in this week",
            )

    def _predicted(self, question: Question, found: sums.Predicted) -> Iterator[Figure]:
        sure = confidence(found.people, 0.0) if found.calibrated else Confidence.LOW
        if found.people >= FLOOR_PEOPLE:
            half = Z * sqrt(found.variance)
            figure = Figure(
                question,
                "people expected back",
                unit="count",
                people=rounded_people(found.people),
                confidence=sure,
                note=f"in the week from {found.monday} on"
                + ("" if found.calibrated else "; not calibrated"),
            )
            yield told(
                figure,
                Interval(
                    found.expected,
                    max(0.0, found.expected - half),
                    min(float(found.people), found.expected + half),
                ),
            )
        bands = {
            "likely, 70 % or more": found.likely,
            "unsure": found.people - found.likely - found.unlikely,
            "unlikely, below 30 %": found.unlikely,
        }
        yield from counted(question, "people by chance", bands, sure)

    def _owner(self) -> Iterator[Figure]:
        if self.owner is None:
            yield missing(Question.OWNER, NO_OWNER)
        else:
            yield from owner_figures(self.talked, guessed=self.guessed)

    def _building(self) -> Iterator[Figure]:
        found = list(
            self._groups(Question.BUILDING, "feature request", "feature_requests", TOP_FEATURES)
        )
        if found:
            yield from found
            return
        yield from self._top(
            Question.BUILDING, "feature_request", TOP_FEATURES, name="feature request"
        )

    def _personas(self) -> Iterator[Figure]:
        found = list(self._groups(Question.PERSONAS, "persona", "personas"))
        if found:
            yield from found
        else:
            yield missing(Question.PERSONAS, "personas: none has passed the gate yet")

    def _groups(
        self, question: Question, metric: str, table: str, most: int = TOP
    ) -> Iterator[Figure]:
        for group in groups(self.conn, table, self.end)[:most]:
            yield _of_group(question, metric, group)


def _of_group(question: Question, metric: str, group: Group) -> Figure:
    known = group.share is not None and group.low is not None and group.high is not None
    interval = Interval(group.share or 0.0, group.low or 0.0, group.high or 0.0)
    figure = Figure(
        question,
        metric,
        group.name,
        "share" if known else "count",
        None if known else rounded_people(group.people),
        people=rounded_people(group.people),
        conversations=group.conversations - group.conversations % 5,
        confidence=confidence(group.people, interval.half if known else 0.1),
        note="; ".join(filter(None, (SHARE_OF.get(group.share_of), group.description))),
    )
    return told(figure, interval) if known else figure


def _people(hits: int, of: int) -> Sums:
    """Sums where every person counts once."""
    return Sums(of, hits, of, of, hits, hits, hits, min(hits, 1))
