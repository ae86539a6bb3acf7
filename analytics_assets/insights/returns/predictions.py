"""``insights.return_predictions``: who will probably be active in the week from a Monday on.

Belongs here: reading users' weeks, writing predictions, the domain call. Does not: features
(features.py) or learning (model.py). Invariant: only users who consent and are not
internal are looked at, and rows of whoever stops consenting go with the next run of any window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from analytics_assets.insights.consent import CONSENTING
from analytics_assets.insights.floor import told_people
from analytics_assets.insights.returns.features import DAYS, UserWeeks, examples
from analytics_assets.insights.returns.features import weeks_with_data as with_data_of
from analytics_assets.insights.returns.model import HISTORY_WEEKS, Trees, Verdict, verdicts
from analytics_assets.insights.returns.reasons import reasons
from analytics_assets.insights.returns.trees import TreesFailed, grown
from analytics_assets.store.database import lock_table, table_exists
from analytics_assets.windows import Window

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

TABLE: Final = "insights.return_predictions"
WEEK: Final = timedelta(days=DAYS)
PAGE_ROWS: Final = 20_000

_USER_WEEKS = sql.SQL("""
with candidates as (
    select distinct user_id
    from insights.user_activity
    where day >= %(start)s and day < %(end)s
),
{consenting},
acted as (
    select
        user_id,
        (day - %(start)s) / 7 as week,
        count(*) as active_days,
        max((day - %(start)s) %% 7) as last_day,
        sum(total_conversations) as conversations,
        sum(total_conversations * average_depth) as turns,
        sum(jobs) as jobs,
        sum(downloads + shares) as results,
        sum(credit_limits) as credit_limits
    from insights.user_activity
    join consenting using (user_id)
    where day >= %(start)s and day < %(end)s
    group by 1, 2
),
talked as (
    select
        user_id,
        (day - %(start)s) / 7 as week,
        count(*) as read,
        count(*) filter (where friction <> 'none') as stuck,
        count(*) filter (where outcome = 'not_achieved') as failed,
        count(*) filter (where outcome <> 'unclear') as judged,
        sum(sentiment - 3) as mood,
        count(*) filter (where feature_request <> 'none') as wishes
    from insights.conversation_facets
    join consenting using (user_id)
    where day >= %(start)s and day < %(end)s
    group by 1, 2
)
select
    acted.user_id, acted.week, active_days, last_day, conversations, turns::float, jobs, results,
    credit_limits, coalesce(read, 0), coalesce(stuck, 0), coalesce(failed, 0),
    coalesce(judged, 0), coalesce(mood, 0), coalesce(wishes, 0)
from acted
left join talked using (user_id, week)
order by user_id, week
""")
_FORGET = sql.SQL("""
with candidates as (select distinct user_id from insights.return_predictions), {consenting}
delete from insights.return_predictions
where user_id not in (select user_id from consenting)
""")


@dataclass
class ReturnOutcome:
    """What was predicted for the Mondays of a window; small counts: see ``metadata``."""

    mondays: list[date] = field(default_factory=list)
    predicted: int = 0
    newest: Verdict | None = None
    missing: list[str] = field(default_factory=list)

    def metadata(self) -> dict[str, int | float | str]:
        told: dict[str, int | float | str] = {
            "mondays": len(self.mondays),
            "predictions": told_people(self.predicted),
        }
        newest = self.newest
        if newest is not None and newest.scores is not None and newest.baseline is not None:
            told |= {
                "model": newest.version,
                "tested_user_weeks": newest.tested_rows,
                "auc": round(newest.scores.auc, 4),
                "baseline_auc": round(newest.baseline.auc, 4),
                "calibration_error": round(newest.scores.ece, 4),
            }
        if self.missing:
            told["missing"] = "; ".join(self.missing)
        return told


def predict_window(database: Database, window: Window, settings: Settings) -> ReturnOutcome:
    """Predict for every Monday the window's days decide, up to the platform's clock."""
    with database.connect("analytics_pipeline") as conn:
        return predict_returns(conn, window, settings.now())


def mondays_of(window: Window, today: date) -> list[date]:
    """Mondays of the window's ISO weeks and the one after, which looks back on the last of them."""
    weeks = window.iso_weeks()
    return [day for day in Window(weeks.start, weeks.end + WEEK).days() if _is_monday(day, today)]


def predict_returns(
    conn: psycopg.Connection[Any], window: Window, now: datetime, trees: Trees = grown
) -> ReturnOutcome:
    """Replace the predictions of the window's Mondays in one transaction.

    Raises psycopg.Error only: where trees cannot be grown the outcome says so.
    """
    outcome = ReturnOutcome(mondays_of(window, now.date()))
    with conn.transaction():
        lock_table(conn, TABLE)
        conn.execute(_FORGET.format(consenting=CONSENTING), {"now": now})
        if not outcome.mondays or not table_exists(conn, "insights.user_activity"):
            return outcome
        start = outcome.mondays[0] - HISTORY_WEEKS * WEEK
        users, weeks = _read(conn, Window(start, outcome.mondays[-1] + WEEK), now)
        asked = [(monday - start).days // DAYS for monday in outcome.mondays]
        found = _verdicts(weeks, asked, trees, outcome)
        for table in ("return_predictions", "return_models"):
            conn.execute(
                sql.SQL("delete from {} where as_of_day = any(%s)").format(
                    sql.Identifier("insights", table)
                ),
                [outcome.mondays],
            )
        for monday, (verdict, of_users) in zip(outcome.mondays, found, strict=True):
            _keep(conn, monday, verdict, [users[number] for number in of_users])
            outcome.predicted += len(of_users)
            if verdict.why_none:
                outcome.missing = [f"predictions for {monday}: {verdict.why_none}"]
            else:
                outcome.newest = verdict
    return outcome


def _is_monday(day: date, today: date) -> bool:
    return day.weekday() == 0 and day <= today


def _read(
    conn: psycopg.Connection[Any], span: Window, now: datetime
) -> tuple[list[str], UserWeeks]:
    bounds = {"start": span.start, "end": span.end, "now": now}
    with conn.cursor("user_weeks") as cursor:
        cursor.execute(_USER_WEEKS.format(consenting=CONSENTING), bounds)
        pages = iter(lambda: cursor.fetchmany(PAGE_ROWS), [])
        return UserWeeks.of_pages(pages, len(span) // DAYS)


def _verdicts(
    weeks: UserWeeks, asked: Sequence[int], trees: Trees, outcome: ReturnOutcome
) -> list[tuple[Verdict, list[int]]]:
    """Each week's verdict, and the numbers of the users its rows are about."""
    rows, with_data = examples(weeks), with_data_of(weeks)
    try:
        found = verdicts(rows, asked, with_data, trees)
    except TreesFailed as error:
        outcome.missing.append(str(error))
        found = verdicts(rows, asked, with_data)
    return [(one, rows.user[list(one.rows)].tolist()) for one in found]


def _keep(
    conn: psycopg.Connection[Any], monday: date, verdict: Verdict, users: Sequence[str]
) -> None:
    if not verdict.why_none or verdict.trained_rows:
        _keep_model(conn, monday, verdict)
    if verdict.moved is None:
        return
    with conn.cursor().copy(
        "copy insights.return_predictions (as_of_day, user_id, horizon_days, probability, "
        "calibrated, reasons, model_version) from stdin"
    ) as copy:
        for user_id, probability, why in zip(
            users, verdict.probability, reasons(verdict.moved), strict=True
        ):
            copy.write_row(
                (
                    monday,
                    user_id,
                    DAYS,
                    round(probability, 4),
                    verdict.calibrated,
                    why,
                    verdict.version,
                )
            )


def _keep_model(conn: psycopg.Connection[Any], monday: date, verdict: Verdict) -> None:
    ours, base = verdict.scores, verdict.baseline
    conn.execute(
        "insert into insights.return_models (as_of_day, model_version, trained_rows, "
        "tested_rows, auc, baseline_auc, ece, brier, baseline_brier, why_none) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            monday,
            verdict.version,
            verdict.trained_rows,
            verdict.tested_rows,
            ours and round(ours.auc, 4),
            base and round(base.auc, 4),
            ours and round(ours.ece, 4),
            ours and round(ours.brier, 5),
            base and round(base.brier, 5),
            verdict.why_none,
        ],
    )
