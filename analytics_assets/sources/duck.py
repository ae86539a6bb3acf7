"""DuckDB as a reader of rows: its settings, and the SQL that gives rows an identity.

Belongs here: opening it, UUIDs and casts as SQL text. Does not: which columns there are
(``mapping``). Invariant: bounded memory, no downloads, UTC; equal content gives equal ids on every
machine and in every version.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT: Final = "160MB"
# Fixed for ever: ids derived under it are in people's databases.
NAMESPACE: Final = uuid.UUID("7d0f3a52-6b1e-5c6d-9a44-0c7e5b1d2f30")
_SEPARATOR: Final = " || chr(31) || "

# RFC 9562 version 5 from the hex digits of a SHA-1.
_UUID_OF: Final = """
create macro uuid_of(digest) as concat(
    substr(digest, 1, 8), '-', substr(digest, 9, 4), '-5', substr(digest, 14, 3), '-',
    substr('89ab89ab89ab89ab', strpos('0123456789abcdef', substr(digest, 17, 1)), 1),
    substr(digest, 18, 3), '-', substr(digest, 21, 12)
)
"""


def open_duckdb(folder: Path, temporary: Path) -> duckdb.DuckDBPyConnection:
    """A private DuckDB. Paths in queries start at ``folder``; it spills to ``temporary``."""
    import duckdb

    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY_LIMIT,
            "threads": 1,
            "temp_directory": str(temporary),
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "file_search_path": str(folder),
        }
    )
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(_UUID_OF)
    return connection


def uuid5(*parts: str) -> str:
    """SQL of the UUIDv5 of SQL expressions of type text, kept apart by unit separators."""
    name = _SEPARATOR.join(parts)
    return f"uuid_of(sha1(unhex('{NAMESPACE.hex}') || encode({name})))"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as an SQL constant."""
    return "'" + value.replace("'", "''") + "'"


def as_text(column: str, duck_type: str, *, json: bool) -> str:
    """SQL of a column as text: JSON where ``json``, times in RFC 3339 and UTC."""
    upper = duck_type.upper()
    if json:
        if upper == "JSON":
            return f"nullif({column}::varchar, 'null')"
        return column if upper == "VARCHAR" else f"nullif(to_json({column})::varchar, 'null')"
    if upper == "DATE":
        return f"strftime({column}, '%Y-%m-%dT00:00:00Z')"
    if upper == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    if upper.startswith("TIMESTAMP"):
        return f"strftime({column}::timestamp, '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"{column}::varchar"


def content_of(columns: list[str]) -> str:
    """SQL of a digest of some columns; nothing and the empty text differ."""
    cells = ", ".join(f"coalesce({quoted(name)}::varchar, chr(30))" for name in columns)
    return f"sha1(concat_ws(chr(31), {cells}))"
