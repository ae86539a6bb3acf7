"""Names a released column must not have.

Belongs here: the names and how they are recognised. Does not: columns that exist (forbidden.py).
Invariant: needs no database, so that a plan is refused before a table of it is made.
"""

from __future__ import annotations

import re

# Refused as a whole name or as part of one: author_email, user_id_hash, primary_repo_name.
FORBIDDEN_COLUMNS = (
    "username", "user_name", "login", "handle", "nickname", "nick", "full_name", "first_name",
    "last_name", "display_name", "email", "email_address", "phone", "address", "avatar",
    "github_id", "github", "user_id", "user", "subject", "person", "person_key", "person_id",
    "account_id", "author", "committer", "ip", "ip_address", "ip_id", "session", "session_id",
    "device_id", "fingerprint", "cookie", "token", "api_key", "repo", "repos", "repo_name",
    "repo_names", "repository", "repositories", "organisation", "organization", "commit",
    "commit_hash", "commit_hashes", "commit_sha", "sha", "event_id", "entity_id", "event_data",
    "metadata", "payload", "conversation_id", "message_id", "job_id", "hostname", "host",
    "ingested_at", "timestamp",
)  # fmt: skip

_WORD = re.compile(r"[a-z0-9]+")
_FORBIDDEN_WORDS = tuple(tuple(name.split("_")) for name in FORBIDDEN_COLUMNS)


def is_forbidden_name(column: str) -> bool:
    """Whether a column's name holds a forbidden name as whole words, whatever its case.

    ``camelCase`` is read as words too.
    """
    words = _WORD.findall(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower())
    joined = "".join(words)
    return any(_holds(words, name) or joined == "".join(name) for name in _FORBIDDEN_WORDS)


def _holds(words: list[str], name: tuple[str, ...]) -> bool:
    return any(
        tuple(words[start : start + len(name)]) == name
        for start in range(len(words) - len(name) + 1)
    )
