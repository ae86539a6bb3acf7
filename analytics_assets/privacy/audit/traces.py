"""Attacks on what a release leaves behind: files, server logs, statistics views, Dagster's records.

Belongs here: T1 outside the tables. Does not: released values (access.py). Invariant: a finding
counts places; it never holds the name that was found.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from analytics_assets.privacy.audit.outcome import Outcome, none_of, not_run
from analytics_assets.privacy.trace_texts import without_its_day
from analytics_assets.store.database import DatabaseUnavailable

if TYPE_CHECKING:
    import psycopg

    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

MOST_BYTES: Final = 16 << 20  # of the newest files
MOST_RECORDS: Final = 20_000
LEAST_LENGTH: Final = 5
_WORDS: Final = re.compile(r"[^\s\"'`,;(){}\[\]<>=|\\]+")
_EDGES: Final = ".:!?/-*#"
_RUNS: Final = re.compile(r"[^\W_]+")
# Names shaped like identifiers: what is one word without a digit or sign is a word as often.
_KNOWN: Final = """
    select name from (
        select user_id as name from raw.users
        union
        select subject from raw.users where subject is not null
        union
        select value from vault.known_identifiers
    ) as known
    where length(name) >= 5 and name ~ '[0-9@/.:-]| '
    limit 200000
"""
_RECORDS: Final = """
    select partition, event from event_logs order by id desc limit %(most)s
"""
_EXTENSION: Final = """
    select nspname from pg_extension
    join pg_namespace on pg_namespace.oid = extnamespace
    where extname = 'pg_stat_statements'
"""
# An administrator who is no superuser is told of others only that there are statements.
_STATEMENTS: Final = """
    select query
    from {}
    join pg_database on pg_database.oid = dbid
    where datname = current_database() and query <> '<insufficient privilege>'
"""
_TAGS: Final = """
    select null, key || ' ' || value from run_tags order by id desc limit %(most)s
"""


class Names:
    """Names to look for, with their hashes: words are looked up; a phrase is searched for where
    its longest run of letters and digits stands, so that many names cost no more than few.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.words: set[str] = set()
        self.phrases: dict[str, list[str]] = {}
        for name in names:
            if len(name) < LEAST_LENGTH:
                continue
            lowered = name.lower()
            if _WORDS.fullmatch(lowered):
                self.words.add(lowered.strip(_EDGES))
            else:
                longest = max(_RUNS.findall(lowered), key=len, default="")
                self.phrases.setdefault(longest, []).append(lowered)
            for digest in (hashlib.md5, hashlib.sha256, hashlib.sha512):
                self.words.add(digest(name.encode()).hexdigest())

    def __bool__(self) -> bool:
        return bool(self.words or self.phrases)

    def in_text(self, text: str) -> bool:
        lowered = text.lower()
        runs = {"", *_RUNS.findall(lowered)}
        return any(
            phrase in lowered for run in runs & self.phrases.keys() for phrase in self.phrases[run]
        ) or any(word.strip(_EDGES) in self.words for word in _WORDS.findall(lowered))


def known_names(pipeline: psycopg.Connection[Any]) -> list[str]:
    """Everybody a deployment knows by something shaped like an identifier."""
    return [str(name) for (name,) in pipeline.execute(_KNOWN).fetchall()]


def folders_of(settings: Settings) -> list[Path]:
    """Where a deployment writes what names could slip into: logs of its server and of its runs."""
    from analytics_assets.store.embedded import EmbeddedPostgres

    folders = [settings.dagster_home_dir / "storage"]
    if settings.database_url is None:
        folders.append(EmbeddedPostgres(settings.home).status().log_dir)
    return [folder for folder in folders if folder.is_dir()]


def traces(
    database: Database,
    names: Collection[str],
    folders: Iterable[Path],
) -> list[Outcome]:
    """T1: names and their hashes in files (dbt's, logs), statements kept, Dagster's records."""
    wanted = Names(names)
    if not wanted:
        return [not_run("T1", "names left outside the tables", "no names to look for")]
    files = list(_newest(folders))
    found = [
        none_of(
            "T1", "files and logs with a name",
            sum(wanted.in_text(path.read_text(errors="replace")) for path in files), len(files),
        )
        if files
        else not_run("T1", "files and logs with a name", "no files are here to be read")
    ]  # fmt: skip
    return [*found, _statements(database, wanted), _dagster(database, wanted)]


def _of_texts(what: str, rows: Collection[tuple[str, ...]], wanted: Names) -> Outcome:
    """Rows in whose texts a name stands; each different text is read once."""
    naming = {text for text in {text for row in rows for text in row} if wanted.in_text(text)}
    return none_of("T1", what, sum(not naming.isdisjoint(row) for row in rows), len(rows))


def _statements(database: Database, wanted: Names) -> Outcome:
    """Of all roles, as only the administrator can read them."""
    import psycopg

    what = "statements kept with a name"
    not_loaded = not_run("T1", what, "pg_stat_statements is not loaded")
    try:
        with database.connect_as_admin(database.name) as admin:
            admin.execute("set default_transaction_read_only = on")
            found = admin.execute(_EXTENSION).fetchone()
            if found is None:
                return not_loaded
            statement = sql.SQL(_STATEMENTS).format(sql.Identifier(*found, "pg_stat_statements"))
            return _of_texts(what, admin.execute(statement).fetchall(), wanted)
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return not_loaded
    except DatabaseUnavailable:
        return not_run("T1", what, "the administrator may not connect from here")


def _dagster(database: Database, wanted: Names) -> Outcome:
    """Metadata, descriptions and messages of events, and tags of runs."""
    import psycopg

    what = "Dagster's records with a name"
    try:
        with psycopg.connect(
            **database.parameters("analytics_dagster", dbname=database.dagster_name)
        ) as dagster:
            rows = [
                (without_its_day(text, partition), partition or "")
                for statement in (_RECORDS, _TAGS)
                for partition, text in dagster.execute(statement.encode(), {"most": MOST_RECORDS})
            ]
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return not_run("T1", what, "Dagster keeps no records here")
    if not rows:
        return not_run("T1", what, "Dagster keeps no records here")
    return _of_texts(what, rows, wanted)


def _newest(folders: Iterable[Path]) -> Iterator[Path]:
    """Files of the folders, the newest first, until there is enough to read."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    left = MOST_BYTES
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        left -= path.stat().st_size
        if left < 0:
            return
        yield path
