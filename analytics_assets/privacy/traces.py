"""Dagster's records and the logs, searched for anything that could name a person.

Belongs here: what is read, up to where, and which findings still stand. Does not: recognising a
value, which is ``vault.forbidden_values``, as for released tables. Invariant: texts reach the vault
by COPY and leave it as numbers; a finding says where and never what, and stands until it is gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from analytics_assets.privacy.trace_files import LogFile, unread_lines
from analytics_assets.privacy.trace_texts import Text, phrases_of, texts_of, without_its_day
from analytics_assets.store.database import Database, table_exists

RECORDS_AT_ONCE: Final = 2_000
# Ids are drawn before they are committed: a little is read twice, so that none is missed.
OVERLAP: Final = 1_000
_HOME: Final = re.compile(r"(?:/home|/Users)/[\w.-]+|[A-Za-z]:\\+Users\\+[\w.-]+")
_OURS: Final = re.compile(r"(?<![0-9.])(?:127(?:\.[0-9]{1,3}){3}|0\.0\.0\.0)(?![0-9.])")
_TABLES: Final[Mapping[str, LiteralString]] = {
    # Planned materializations say nothing but a day, and are most of all events.
    "event_logs": """
        select id, run_id, concat_ws(', ', dagster_event_type, asset_key), partition, event
        from event_logs
        where (id > %(after)s or id = any (%(open)s))
            and dagster_event_type is distinct from 'ASSET_MATERIALIZATION_PLANNED'
        order by id
    """,
    "runs": """
        select id, run_id, 'run', null, run_body
        from runs
        where id > %(after)s or id = any (%(open)s)
        order by id
    """,
    "run_tags": """
        select
            id, run_id, 'run tags', null,
            json_build_object('tags', json_build_object(key, value))::text
        from run_tags
        where id > %(after)s or id = any (%(open)s)
        order by id
    """,
}
# Records are full of ids and hashes of Dagster's own.
_MATCH: Final = """
    select texts.number, found.reason
    from vault.forbidden_values(array(select value from pg_temp.trace_texts)) as found
    join pg_temp.trace_texts as texts on texts.value = found.value
    where found.reason not in ('a UUID', 'a hash')
"""


@dataclass(frozen=True, order=True)
class Trace:
    """Where something stands that could name a person, and of what kind it is."""

    place: str
    position: int
    location: str
    reason: str

    def __str__(self) -> str:
        return f"{self.location}: {self.reason}"


@dataclass
class Scan:
    """What was read since the last scan, and everything that was found and still stands."""

    records: int = 0
    log_lines: int = 0
    findings: list[Trace] = field(default_factory=list)


@dataclass(frozen=True)
class _Record:
    place: str
    position: int
    location: str
    texts: tuple[Text, ...]


def scan_traces(
    database: Database,
    connection: psycopg.Connection[Any],
    *,
    logs: Sequence[LogFile] = (),
    own_folders: Sequence[Path] = (),
) -> Scan:
    """Search what was added since the last scan, and look at earlier findings again.

    ``connection`` is the pipeline's; the caller commits. ``own_folders`` are the platform's own:
    paths into them name nobody. A Dagster that keeps its records elsewhere is not searched.
    """
    connection.execute(
        "create temporary table if not exists trace_texts (number integer, value text)"
        " on commit delete rows"
    )
    connection.execute("select pg_advisory_xact_lock(hashtextextended('ops.trace_scans', 0))")
    scan = Scan()
    own = _own_paths(own_folders)
    if _has_records(database, connection):
        with database.named(database.dagster_name).connect("analytics_dagster") as dagster:
            for table, statement in _TABLES.items():
                scan.records += _scan_table(connection, dagster, table, statement, own)
    for file in logs:
        scan.log_lines += _scan_file(connection, file, own)
    _forget_files(connection, {file.place for file in logs})
    rows = connection.execute(
        "select place, position, location, reason from ops.trace_findings"
    ).fetchall()
    scan.findings = sorted(Trace(*row) for row in rows)
    return scan


def _has_records(database: Database, connection: psycopg.Connection[Any]) -> bool:
    there = connection.execute(
        "select 1 from pg_database where datname = %s", [database.dagster_name]
    ).fetchone()
    if there is None:
        return False
    with database.named(database.dagster_name).connect("analytics_dagster") as dagster:
        return table_exists(dagster, "event_logs")


def _scan_table(
    connection: psycopg.Connection[Any],
    dagster: psycopg.Connection[Any],
    table: str,
    statement: LiteralString,
    own: re.Pattern[str] | None,
) -> int:
    place = f"dagster.{table}"
    after, _ = _position(connection, place)
    known = connection.execute(
        "delete from ops.trace_findings where place = %s returning position", [place]
    ).fetchall()
    newest, read = after, 0
    with dagster.cursor(name=f"traces_{table}") as cursor:
        cursor.execute(
            statement,
            {"after": after - OVERLAP, "open": sorted({position for (position,) in known})},
        )
        while rows := cursor.fetchmany(RECORDS_AT_ONCE):
            alike: dict[str, tuple[Text, ...]] = {}
            records = []
            for number, run_id, what, partition, body in rows:
                location = f"run {run_id}, {what}"
                undated = without_its_day(body or "null", partition)
                if undated not in alike:
                    alike[undated] = tuple(texts_of(_read(undated)))
                records.append(_Record(place, number, location, alike[undated]))
                if partition:
                    records.append(_Record(place, number, location, (Text("", partition),)))
            _keep(connection, _match(connection, records, own))
            newest = max(newest, rows[-1][0])
            read += sum(number > after for number, *_ in rows)
    _remember(connection, place, newest, "")
    return read


def _scan_file(
    connection: psycopg.Connection[Any], file: LogFile, own: re.Pattern[str] | None
) -> int:
    position, version = _position(connection, file.place)
    part = unread_lines(file, position, version)
    if part is None:
        return 0
    if part.begins_anew:
        connection.execute("delete from ops.trace_findings where place = %s", [file.place])
    read = 0
    for batch in part.batches(RECORDS_AT_ONCE):
        records = [
            _Record(file.place, start, f"{file.name} at byte {start}", (Text("", line),))
            for start, line in batch
        ]
        _keep(connection, _match(connection, records, own))
        read += len(records)
    _remember(connection, file.place, part.end, part.version)
    return read


def _match(
    connection: psycopg.Connection[Any], records: Sequence[_Record], own: re.Pattern[str] | None
) -> set[Trace]:
    """Which records hold what; each different text is looked at once."""
    numbers: dict[str, int] = {}
    cut: dict[str, tuple[int, ...]] = {}
    reasons: dict[int, set[str]] = {}
    distinct = {record.texts for record in records}
    for text in set(chain.from_iterable(chain.from_iterable(distinct))):
        told = _OURS.sub(" ", text if own is None else own.sub(" ", text))
        found = {numbers.setdefault(phrase, len(numbers)) for phrase in phrases_of(told)}
        if _HOME.search(told):
            home = numbers.setdefault(f"\0{told}", len(numbers))
            reasons[home] = {"a path into somebody's home"}
            found.add(home)
        cut[text] = tuple(found)
    with connection.cursor() as cursor, cursor.copy("copy pg_temp.trace_texts from stdin") as copy:
        for phrase, number in numbers.items():
            if not phrase.startswith("\0"):
                copy.write_row((number, phrase))
    for number, reason in connection.execute(_MATCH).fetchall():
        reasons.setdefault(number, set()).add(reason)
    connection.execute("truncate pg_temp.trace_texts")

    def told_of(text: str) -> set[str]:
        return {reason for number in cut[text] for reason in reasons.get(number, ())}

    def findings_in(texts: tuple[Text, ...]) -> Iterator[tuple[str, str]]:
        for under, value in texts:
            of_key = told_of(under)
            # A key that names somebody is not repeated.
            key = "a key that names somebody" if of_key else under
            yield from ((key, reason) for reason in told_of(value) | of_key)

    told_under = {texts: set(findings_in(texts)) for texts in distinct}
    return {
        Trace(
            record.place,
            record.position,
            f"{record.location}, {key}" if key else record.location,
            reason,
        )
        for record in records
        for key, reason in told_under[record.texts]
    }


def _keep(connection: psycopg.Connection[Any], traces: set[Trace]) -> None:
    connection.cursor().executemany(
        "insert into ops.trace_findings (place, position, location, reason)"
        " values (%s, %s, %s, %s) on conflict do nothing",
        [(t.place, t.position, t.location, t.reason) for t in sorted(traces)],
    )


def _position(connection: psycopg.Connection[Any], place: str) -> tuple[int, str]:
    row = connection.execute(
        "select position, version from ops.trace_scans where place = %s", [place]
    ).fetchone()
    return (int(row[0]), str(row[1])) if row else (0, "")


def _remember(connection: psycopg.Connection[Any], place: str, position: int, version: str) -> None:
    connection.execute(
        """
        insert into ops.trace_scans (place, position, version) values (%s, %s, %s)
        on conflict (place) do update set
            position = excluded.position, version = excluded.version, scanned_at = now()
        """,
        [place, position, version],
    )


def _forget_files(connection: psycopg.Connection[Any], places: set[str]) -> None:
    for table in ("trace_scans", "trace_findings"):
        connection.execute(
            sql.SQL("delete from {} where place like 'log %%' and place <> all (%s)").format(
                sql.Identifier("ops", table)
            ),
            [sorted(places)],
        )


def _read(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _own_paths(folders: Sequence[Path]) -> re.Pattern[str] | None:
    names = sorted({str(folder) for folder in folders if folder.name}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names))) if names else None
