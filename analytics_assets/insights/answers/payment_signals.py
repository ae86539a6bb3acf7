"""``insights.payment_signals``: what users did in the seven days after their credits ran out.

Belongs here: the table's SQL and the domain call. Does not: figures of groups
(success_metrics.py). Invariant: a row counts only days after its own, and says nothing of a return
while its seven days are not over; internal users are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg

from analytics_assets.insights.floor import told_people
from analytics_assets.store.database import lock_table, table_exists
from analytics_assets.windows import Window

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

TABLE: Final = "insights.payment_signals"
AFTER: Final = timedelta(days=7)

# Not a dbt model: whether the seven days are over is for the platform's clock to say, and a model
# knows only its window.
_REPLACE = """
with ran_out as (
    select day, user_id, credit_limits
    from insights.user_activity as a
    where day >= %(start)s and day < %(end)s and credit_limits > 0
        and not exists (
            select from raw.users as u where u.user_id = a.user_id and u.is_internal
        )
),
later as (
    select
        r.day,
        r.user_id,
        min(a.day) - r.day as days_until_return,
        sum(a.total_conversations) as conversations,
        sum(a.jobs) as jobs,
        sum(a.downloads) as downloads,
        sum(a.shares) as shares
    from ran_out as r
    join insights.user_activity as a
        on a.user_id = r.user_id and a.day > r.day and a.day <= r.day + 7
    where a.day >= %(start)s and a.day < %(end)s + 7
    group by r.day, r.user_id
)
insert into insights.payment_signals (
    day, user_id, credit_limits, returned, days_until_return, conversations_after, jobs_after,
    downloads_after, shares_after
)
select
    r.day,
    r.user_id,
    r.credit_limits,
    case
        when later.days_until_return is not null then true
        when r.day + 7 < %(today)s then false
    end,
    later.days_until_return,
    coalesce(later.conversations, 0),
    coalesce(later.jobs, 0),
    coalesce(later.downloads, 0),
    coalesce(later.shares, 0)
from ran_out as r
left join later using (day, user_id)
"""


@dataclass(frozen=True)
class PaymentOutcome:
    """Rows the window has; told only where they are many."""

    days: int
    rows: int

    def metadata(self) -> dict[str, int | str]:
        return {
            "days": self.days,
            "rows": told_people(self.rows),
        }


def signal_window(database: Database, window: Window, settings: Settings) -> PaymentOutcome:
    """Bring the table's window up to date, as of the platform's clock."""
    with database.connect("analytics_pipeline") as conn:
        return build_payment_signals(conn, window, settings.now().date())


def build_payment_signals(
    conn: psycopg.Connection[Any], window: Window, today: date
) -> PaymentOutcome:
    """Replace the rows of the window and of the week before, whose seven days reach into it."""
    bounds = {"start": window.start - AFTER, "end": window.end, "today": today}
    with conn.transaction():
        lock_table(conn, TABLE)
        conn.execute(
            "delete from insights.payment_signals where day >= %(start)s and day < %(end)s", bounds
        )
        is_built = table_exists(conn, "insights.user_activity")
        rows = conn.execute(_REPLACE, bounds).rowcount if is_built else 0
    return PaymentOutcome(len(window), rows)
