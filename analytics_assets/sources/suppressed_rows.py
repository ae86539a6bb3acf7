"""Rows of erased people on their way in: left out of every load, before anything is checked.

Belongs here: finding such rows among staged ones. Does not: who is suppressed, and the key they
are known by (privacy/suppression.py). Invariant: one statement a chunk, no name leaves Postgres,
and where nobody is suppressed nothing is read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.events.envelope import JUNK_USER_IDS
from analytics_assets.events.sql_text import texts
from analytics_assets.sources.contract import Contract

# Messages and jobs may name nobody, and are found by the conversation they belong to.
_IN_CONVERSATIONS: Final = ("messages", "service_jobs")


def remove_suppressed(
    connection: psycopg.Connection[Any],
    contract: Contract,
    staged: sql.Identifier,
    now: datetime,
) -> list[int]:
    """Take rows of suppressed people out of a stage; their numbers, in the caller's transaction.

    A person's further accounts (users) and conversations become suppressed with the row that
    declares them.
    """
    if "user_id" not in contract.by_name:
        return []
    anybody = connection.execute("select exists (select from vault.suppressed)").fetchone()
    if not anybody or not anybody[0]:
        return []
    found = connection.execute(_statement(contract, staged), {"now": now}).fetchall()
    if contract.table == "conversations" and any(learned for _, learned in found):
        _remove_orphans(connection)
    return [int(line) for line, _ in found]


def _statement(contract: Contract, staged: sql.Identifier) -> sql.Composed:
    moment = sql.Identifier("s", contract.time_column)
    talks: sql.Composable = sql.SQL("")
    spread: sql.Composable = sql.SQL("")
    learned: sql.Composable = sql.SQL("false")
    if contract.table in _IN_CONVERSATIONS:
        talks = sql.SQL(_BY_CONVERSATION).format(staged=staged)
    elif contract.table in {"users", "conversations"}:
        is_users = contract.table == "users"
        spread = sql.SQL(_SPREAD).format(
            kind=sql.Literal("person" if is_users else "conversation"),
            names=sql.SQL("(removed.user_id), (removed.subject)" if is_users else "(removed.id)"),
            junk=texts(JUNK_USER_IDS),
        )
        learned = sql.SQL("exists (select from spread)")
    return sql.SQL(_REMOVE).format(
        staged=staged,
        id=sql.Identifier("s", contract.id_column),
        moment=moment,
        talks=talks,
        spread=spread,
        learned=learned,
    )


def _remove_orphans(connection: psycopg.Connection[Any]) -> None:
    """What was loaded before its conversation was known to be a suppressed person's."""
    for table in _IN_CONVERSATIONS:
        connection.execute(sql.SQL(_ORPHANS).format(table=sql.Identifier("raw", table)))


# Of a record that cannot be read as one, every word may be a name.
_REMOVE: Final = r"""
with named as materialized (
    select s.ctid as place, given.name
    from {staged} as s
    cross join lateral (
        select s.user_id as name
        union all
        select s.subject
        union all
        select word
        from vault.words_of(
            concat_ws(
                ' ',
                case when s.user_id ~ '^[{{\[]' then s.user_id end,
                case when s.subject ~ '^[{{\[]' then s.subject end,
                s.raw_text,
                case when jsonb_typeof(s.payload) <> 'object' then s.payload::text end
            )
        ) as word
        where s.problem is not null
    ) as given
    where given.name is not null
),

people as materialized (
    select found.name, found.readmitted_at
    from vault.suppressed_among(
        'person', array(select distinct name from named)
    ) as found
),

theirs as (
    select named.place
    from named
    join people on people.name = named.name
    join {staged} as s on s.ctid = named.place
    where
        people.readmitted_at is null
        or ops.try_timestamptz({moment}) < people.readmitted_at
    {talks}
),

removed as (
    delete from {staged} as s
    using (select distinct place from theirs) as t
    where s.ctid = t.place
    returning s.line_no, s.user_id, s.subject, {id} as id, s.problem
)
{spread}

select line_no, {learned} from removed
"""

_BY_CONVERSATION: Final = """
    union all
    select s.ctid
    from {staged} as s
    join vault.suppressed_among(
        'conversation',
        array(
            select distinct conversation_id
            from {staged}
            where user_id is null and subject is null
        )
    ) as talk on talk.name = s.conversation_id
    where s.user_id is null and s.subject is null
"""

_SPREAD: Final = """,

spread as (
    insert into vault.suppressed (kind, mac, suppressed_at)
    select {kind}, codes.mac, %(now)s
    from vault.suppression_codes(
        {kind},
        array(
            select given.name
            from removed
            cross join lateral (values {names}) as given (name)
            where removed.problem is null and lower(btrim(given.name)) not in ({junk})
        )
    ) as codes
    order by codes.mac
    on conflict do nothing
    returning mac
)
"""

_ORPHANS: Final = """
with unnamed as materialized (
    select distinct conversation_id
    from {table}
    where user_id is null and subject is null and conversation_id is not null
),

talks as (
    select found.name
    from vault.suppressed_among(
        'conversation', array(select conversation_id from unnamed)
    ) as found
),

gone as (
    delete from {table} as p
    using talks
    where p.conversation_id = talks.name and p.user_id is null and p.subject is null
    returning p.day
)

insert into ops.dirty_days (day, reason)
select distinct day, 'deletion' from gone
"""
