"""The SQL of a mapping: lines of JSON into columns, a ``select`` into the columns of a contract.

Belongs here: query texts for DuckDB. Does not: running them (``mapping``). Invariant: every column
of a result is text, and equal rows get equal ids however the file is cut into chunks.
"""

# ruff: noqa: S608 -- queries for DuckDB, put together from quoted names only
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analytics_assets.sources.config import FilesSource
from analytics_assets.sources.contract import Column, Contract
from analytics_assets.sources.duck import as_text, content_of, literal, quoted, uuid5
from analytics_assets.sources.formats import LINE, TEXT
from analytics_assets.sources.select import SOURCE, Select

if TYPE_CHECKING:
    import duckdb

CHUNK: Final = "chunk"  # lines as read
PARSED: Final = "parsed"  # rows with the file's own columns
REPEATS: Final = "repeats"  # contents that occur more than once, and how often so far
BROKEN: Final = "_broken"
CONTENT: Final = "_content"
UNIDENTIFIED: Final = "unidentified"
_AWKWARD: Final = "_awkward"
_PROBLEM: Final = "_problem"
_SUBJECT: Final = "_subject"
# JSON that DuckDB takes and Postgres may refuse: set apart, so that a refusal costs little.
_SUSPECTS: Final = ("\\u0000", "\\ud", "\\uD", "NaN", "Infinity")
_STRUCTURED: Final = ("text", "moment")


def is_object(line: str) -> str:
    """SQL that is true where a text is one JSON object."""
    return f"starts_with(ltrim({line}), '{{') and json_valid({line})"


def digest_of(content: str) -> str:
    """SQL of the short form of a content's digest that repeats are counted by."""
    return f"md5_number_lower({content})"


def content_query(json_lines: bool, keys: list[str]) -> str:
    """SQL of the digests of all rows of ``chunk``, the same as ``_content`` of a mapping."""
    content = f"sha1({TEXT})" if json_lines else content_of(keys)
    return f"select {digest_of(content)} as digest from {CHUNK}"


def parsing_query(contract: Contract, keys: list[str], *, native: bool, with_content: bool) -> str:
    """Lines of ``chunk`` as columns of text; ``_broken`` is the line where it is no object.

    ``native`` lines are in the contract's own columns: their shape is checked while it is known.
    """
    nested = [c.name for c in contract.columns if c.kind == "json"] if native else []
    shape = json.dumps({key: "JSON" if key in nested else "VARCHAR" for key in keys})
    columns = [f"row.{quoted(key)}::varchar as {quoted(key)}" for key in keys]
    content = [f"sha1({TEXT}) as {CONTENT}"] if with_content else []
    problem = _shape_problem(contract) if native else "null::varchar"
    return (
        f"select {LINE}, case when row is null then {TEXT} end as {BROKEN},"
        f" {_suspicious(TEXT)} as {_AWKWARD}, {problem} as {_PROBLEM},"
        f" {', '.join([*content, *columns])}"
        f" from (select {LINE}, {TEXT}, case when {is_object(TEXT)}"
        f" then json_transform({TEXT}, {literal(shape)}) end as row from {CHUNK})"
    )


def _suspicious(text: str) -> str:
    return "(" + " or ".join(f"contains({text}, {literal(part)})" for part in _SUSPECTS) + ")"


def _shape_problem(contract: Contract) -> str:
    """SQL of the problem of a native line in which a value that must be plain is structured."""
    branches = []
    for column in contract.columns:
        if column.kind not in _STRUCTURED:
            continue
        value = f"row.{quoted(column.name)}"
        kind = f"json_type({TEXT}, {literal('$.' + quoted(column.name))})"
        # Most values do not begin like JSON, so most lines are not looked at again.
        branches.append(
            f"when (starts_with({value}, '{{') or starts_with({value}, '['))"
            f" and {kind} in ('OBJECT', 'ARRAY')"
            f" then {literal(f'wrong_type|{column.name} must be a plain value, got an ')}"
            f" || lower({kind})"
        )
    return f"case {' '.join(branches)} else null::varchar end"


@dataclass(frozen=True)
class MappingQuery:
    """Builds the query from ``parsed`` (by parts) or from the table ``source`` (whole file)."""

    source: FilesSource
    contract: Contract
    select: Select | None
    keys: list[str]
    json_lines: bool
    derives_ids: bool

    @property
    def by_parts(self) -> bool:
        return self.select is None or self.select.plain

    def inner(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The source's own select with our columns added, without the relation it reads."""
        hidden = [LINE, _AWKWARD, _PROBLEM, *([CONTENT] if self.derives_ids else [])]
        if self.select is None:
            return f"select * from {SOURCE}"
        if self.select.plain:
            if self._subject_is_a_key:
                hidden.append(_SUBJECT)
            return self.select.with_columns(connection, hidden)
        return (
            f"select *, row_number() over () as {LINE}, false as {_AWKWARD},"
            f" null::varchar as {_PROBLEM} from ({self.select.text}) as result"
        )

    def relation(self) -> str:
        """The ``with`` clause that gives ``source`` to the inner select; ends before a name."""
        if not self.by_parts:
            return "with "
        own = [] if self.json_lines else [f"false as {_AWKWARD}", f"null::varchar as {_PROBLEM}"]
        if self.derives_ids and not self.json_lines:
            own.append(f"{content_of(self.keys)} as {CONTENT}")
        if self._subject_is_a_key:
            own.append(f"{quoted(self.source.subject or '')} as {_SUBJECT}")
        return f"with {SOURCE} as (select {', '.join(['*', *own])} from {PARSED}), "

    @property
    def _subject_is_a_key(self) -> bool:
        subject = (self.source.subject or "").lower()
        return subject in {key.lower() for key in self.keys} and self.by_parts

    def complete(self, inner: str, types: dict[str, str]) -> str:
        """The whole query, given the columns and types of the inner one."""
        known = {name.lower(): (name, kind) for name, kind in types.items()}
        values = {
            c.name: self._value(c, *known[c.name]) for c in self.contract.columns if c.name in known
        }
        if self.source.subject and self.source.subject.lower() in known:
            name, kind = known[self.source.subject.lower()]
            values["subject"] = as_text(f"mapped.{quoted(name)}", kind, json=False)
        elif self._subject_is_a_key:
            values["subject"] = f"mapped.{_SUBJECT}::varchar"
        checked = [
            c.name
            for c in self.contract.columns
            if c.kind == "json" and c.name in known and self._may_be_broken(known[c.name][1])
        ]
        given = self._given_id(values.pop(self.contract.id_column, "null::varchar"))
        content = CONTENT
        if self.derives_ids and not self.by_parts:
            content = _content_of_values(values)
        steps = [f"mapped as ({inner})"]
        columns = ", ".join(f"{value} as {quoted(name)}" for name, value in values.items())
        steps.append(
            f"valued as (select {LINE}, {_AWKWARD}, {_PROBLEM}, {given} as given_id,"
            f" {content + f' as {CONTENT}, ' if self.derives_ids else ''}{columns} from mapped)"
        )
        steps.append(f"identified as ({self._identified()})")
        return self.relation() + ", ".join(steps) + self._result(list(values), checked)

    def _value(self, column: Column, name: str, kind: str) -> str:
        return as_text(f"mapped.{quoted(name)}", kind, json=column.kind == "json")

    def _may_be_broken(self, kind: str) -> bool:
        native = self.json_lines and self.select is None
        return kind.upper() == "VARCHAR" and not native

    def _given_id(self, value: str) -> str:
        given = f"nullif({value}, '')"
        if self.contract.table != "platform_events" or self.select is None:
            return given
        # An application's own id: any text will do, and gives the same event each time.
        made = uuid5(literal(self.source.name), "'id'", value)
        return (
            f"case when try_cast({given} as uuid) is not null then {given}"
            f" when {given} is not null then {made} end"
        )

    def _identified(self) -> str:
        if not self.derives_ids:
            return "select *, given_id as id from valued"
        made = uuid5(
            literal(self.source.name),
            literal(self.contract.table),
            f"valued.{CONTENT}",
            f"(row_number() over (partition by valued.{CONTENT} order by valued.{LINE})"
            " + coalesce(seen, 0))::varchar",
        )
        before = (
            f" left join {REPEATS} on {REPEATS}.digest = {digest_of(f'valued.{CONTENT}')}"
            if self.by_parts
            else " cross join (select 0 as seen)"
        )
        return f"select valued.*, coalesce(given_id, {made}) as id from valued{before}"

    def _result(self, columns: list[str], checked: list[str]) -> str:
        outputs = [f"{LINE} as line_no", f"id as {quoted(self.contract.id_column)}"]
        for name in columns:
            value = quoted(name)
            if name in checked:
                value = f"case when json_valid({value}) then {value} end as {value}"
            outputs.append(value)
        problems = [_PROBLEM]
        problems += [
            f"case when not json_valid({quoted(name)}) then"
            f" {literal(f'invalid_json|{name} is no JSON; mend the file or its `select`')} end"
            for name in checked
        ]
        awkward = [_AWKWARD, *(f"coalesce({_suspicious(quoted(n))}, false)" for n in checked)]
        sizes = [
            f"coalesce(strlen({quoted(n)}), 0)" for n in ("event_data", "metadata") if n in columns
        ]
        outputs += [
            f"coalesce({', '.join(problems)}) as problem",
            f"({' + '.join(sizes) or '0'})::integer as byte_size",
            f"({' or '.join(awkward)}) as awkward",
            "coalesce(md5_number_lower(lower(id)), 0) as id_hash",
            f"given_id is null as {UNIDENTIFIED}",
        ]
        if self.derives_ids:
            outputs.append(CONTENT)
        # A projection keeps the order of its input; a join or a window does not.
        ordered = f" order by {LINE}" if self.derives_ids or not self.by_parts else ""
        return f" select {', '.join(outputs)} from identified{ordered}"


def _content_of_values(values: dict[str, str]) -> str:
    cells = ", ".join(f"coalesce({value}, chr(30))" for value in values.values())
    return f"sha1(concat_ws(chr(31), {cells}))"
