"""Whose day is read, and which of their words: the only way from ``raw`` towards a model.

Belongs here: consent, and the conversations of users. Does not: scrubbing or calls. Invariant: a
text is selected only for a user who consents now, is not internal, and wrote it; the words of
others in a shared conversation never come along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from analytics_assets.insights.consent import CONSENTING
from analytics_assets.insights.conversations.facet_prompt import (
    MAX_ASSISTANT_MESSAGE_CHARS,
    MAX_TRANSCRIPT_CHARS,
    MAX_USER_MESSAGE_CHARS,
)
from analytics_assets.windows import Window

# Masking shortens a text, so more is read than is sent.
RAW_FACTOR = 2
CONVERSATION_AGE_DAYS = 31

_OWN_MESSAGES = sql.SQL("""
said as (
    select m.message_id, m.conversation_id, m.role, m.created_at, m.content, m.user_id
    from raw.messages as m
    where m.day = %(day)s and m.role in ('user', 'assistant')
)
""")

# Where messages do not name their user, the conversation does.
_JOINED_MESSAGES = sql.SQL("""
owners as (
    select distinct on (c.conversation_id) c.conversation_id, c.user_id
    from raw.conversations as c
    where c.day between %(day)s - %(age)s and %(day)s + 1
    order by c.conversation_id, c.day desc
),
said as (
    select
        m.message_id, m.conversation_id, m.role, m.created_at, m.content,
        coalesce(m.user_id, o.user_id) as user_id
    from raw.messages as m
    left join owners as o on o.conversation_id = m.conversation_id and m.user_id is null
    where m.day = %(day)s and m.role in ('user', 'assistant')
)
""")

_QUALIFYING = sql.SQL("""
with {messages},
candidates as (
    select distinct user_id
    from said
    where role = 'user' and user_id is not null and content ~ '[^[:space:]]'
),
{consenting}
""")

_TEXTS = sql.SQL("""
with {messages},
alone as (
    select conversation_id
    from said
    where role = 'user'
    group by conversation_id
    having count(distinct user_id) = 1 and count(*) = count(user_id)
),
sized as (
    select
        *,
        count(*) filter (where role = 'user' and content ~ '[^[:space:]]') over (
            partition by user_id, conversation_id
        ) as user_messages,
        least(
            length(content),
            case role when 'user' then %(user_chars)s else %(assistant_chars)s end
        ) as chars
    from said
    where user_id = any(%(users)s)
        and (role = 'user' or conversation_id in (select conversation_id from alone))
),
ranked as (
    select
        *,
        sum(chars) over (
            partition by user_id, conversation_id order by created_at desc, message_id desc
        ) - chars as newer
    from sized
    where user_messages > 0
)
select
    user_id, conversation_id, user_messages, role, left(content, chars), length(content) > chars
from ranked
where newer < %(room)s
order by user_id, conversation_id, created_at, message_id
""")

_DAYS = sql.SQL("""
select d.day::date
from generate_series(%(start)s::date, %(end)s::date - 1, interval '1 day') as d (day)
where exists (select from raw.messages as m where m.day = d.day::date)
    or exists (select from insights.conversation_facets as f where f.day = d.day::date)
    or exists (select from insights.analysis_cache as a where a.analysis_date = d.day::date)
order by 1
""")

_UNNAMED = sql.SQL("""
select exists (
    select from raw.messages
    where day >= %(start)s and day < %(end)s
        and role in ('user', 'assistant') and user_id is null
)
""")


@dataclass(frozen=True)
class Message:
    """A message as stored."""

    role: str
    text: str


@dataclass
class Conversation:
    """What one user and the assistant said to each other in a day, oldest first.

    ``user_messages`` counts the user's own, also those too old to be read.
    """

    user_id: str
    conversation_id: str
    user_messages: int
    messages: list[Message] = field(default_factory=list)


@dataclass(frozen=True)
class Selection:
    """What qualifies in one window as of ``now``."""

    window: Window
    now: datetime
    unnamed: bool

    @classmethod
    def of(cls, conn: psycopg.Connection[Any], window: Window, now: datetime) -> Selection:
        row = conn.execute(_UNNAMED, {"start": window.start, "end": window.end}).fetchone()
        return cls(window, now, unnamed=bool(row and row[0]))

    def days(self, conn: psycopg.Connection[Any]) -> list[date]:
        """Days of the window that have messages, facets or insights."""
        bounds = {"start": self.window.start, "end": self.window.end}
        return [row[0] for row in conn.execute(_DAYS, bounds)]

    def qualifying(self, day: date) -> tuple[sql.Composed, dict[str, Any]]:
        """A ``with`` clause that ends in ``consenting(user_id)``, and its parameters."""
        clause = _QUALIFYING.format(messages=self._messages(), consenting=CONSENTING)
        return clause, self._parameters(day)

    def users(self, conn: psycopg.Connection[Any], day: date) -> list[str]:
        """Users who wrote that day and consent, in a stable order."""
        clause, parameters = self.qualifying(day)
        query = sql.SQL("{} select user_id from consenting order by user_id").format(clause)
        return [row[0] for row in conn.execute(query, parameters)]

    def conversations(
        self, conn: psycopg.Connection[Any], day: date, users: Sequence[str]
    ) -> list[Conversation]:
        """The day's conversations of ``users`` with the newest messages of each, a little more
        than a prompt holds, in a stable order.
        """
        query = _TEXTS.format(messages=self._messages())
        parameters = {
            **self._parameters(day),
            "users": list(users),
            "user_chars": RAW_FACTOR * MAX_USER_MESSAGE_CHARS,
            "assistant_chars": RAW_FACTOR * MAX_ASSISTANT_MESSAGE_CHARS,
            "room": RAW_FACTOR * MAX_TRANSCRIPT_CHARS,
        }
        found: dict[tuple[str, str], Conversation] = {}
        for user_id, conversation_id, count, role, text, is_cut in conn.execute(query, parameters):
            conversation = found.setdefault(
                (user_id, conversation_id), Conversation(user_id, conversation_id, count)
            )
            kept = _to_whole_word(text) if is_cut else text
            conversation.messages.append(Message(role, kept))
        return list(found.values())

    def _messages(self) -> sql.SQL:
        return _JOINED_MESSAGES if self.unnamed else _OWN_MESSAGES

    def _parameters(self, day: date) -> dict[str, Any]:
        return {"day": day, "now": self.now, "age": CONVERSATION_AGE_DAYS}


def _to_whole_word(text: str) -> str:
    """A cut text without its last word: half an address would not be recognised as one."""
    head, blank, _ = text.rpartition(" ")
    return head if blank else ""
