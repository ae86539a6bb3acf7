"""The consent ledger as operators use it: recording a statement, and reading what was stated.

Belongs here: both. Does not: what follows from statements, which is one SQL function
(``vault.consenting`` in store/sql/consent.sql). Invariant: a statement is added, never changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import psycopg

from analytics_assets.events.envelope import JUNK_USER_IDS, MAX_USER_ID_BYTES

Decision = Literal["granted", "withdrawn"]
RECORDED_BY_COMMAND: Final = "command line"
MAX_VERSION: Final = 100
_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RECORD: Final = "select ops.record_consent(%s, %s, %s, %s, %s, %s, null)"
_STATEMENTS: Final = """
    select consent_id, user_id, purpose, text_version, decision, decided_at, recorded_at, source
    from vault.consent_ledger
    where
        (%(codes)s::text[] is null or user_id = any (%(codes)s))
        and (%(purpose)s::text is null or purpose = %(purpose)s)
    order by decided_at desc, consent_id desc
    limit %(limit)s
"""


class ConsentError(Exception):
    """The statement cannot be recorded; the message says what to change."""


@dataclass(frozen=True)
class Statement:
    """One line of the ledger. Of the erased ``user_id`` is a code."""

    consent_id: int
    user_id: str
    purpose: str
    text_version: str
    decision: str
    decided_at: datetime
    recorded_at: datetime
    source: str


def record(
    connection: psycopg.Connection[Any],
    user_id: str,
    purpose: str,
    text_version: str,
    decision: Decision,
    at: datetime,
) -> int:
    """Add a statement to the ledger; its number. Raises ConsentError for what cannot be one."""
    junk = user_id.strip().lower() in JUNK_USER_IDS or not user_id.isprintable()
    if junk or len(user_id.encode()) > MAX_USER_ID_BYTES:
        raise ConsentError("--user must be the id of one person, as the source declares it")
    if not _PURPOSE.fullmatch(purpose):
        raise ConsentError("--purpose must be a lower-case word such as insights")
    if not text_version.isprintable() or not 0 < len(text_version) <= MAX_VERSION:
        raise ConsentError("--text-version must name the text that was agreed to, such as 2026-05")
    row = connection.execute(
        _RECORD, [user_id, purpose, text_version, decision, at, RECORDED_BY_COMMAND]
    ).fetchone()
    return int(row[0]) if row else 0


def statements(
    connection: psycopg.Connection[Any],
    user_id: str | None = None,
    purpose: str | None = None,
    limit: int = 1000,
) -> list[Statement]:
    """What was stated, newest first; of one user also what was kept under the erasure's code."""
    codes = None
    if user_id is not None:
        found = connection.execute(
            "select 'erased:' || encode(mac, 'hex') from vault.suppression_codes('person', %s)",
            [[user_id]],
        ).fetchall()
        codes = [user_id, *(code for (code,) in found)]
    rows = connection.execute(
        _STATEMENTS, {"codes": codes, "purpose": purpose, "limit": limit}
    ).fetchall()
    return [Statement(*row) for row in rows]
