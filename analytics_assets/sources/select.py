"""The ``select`` of a source: checked, and where possible run chunk by chunk.

Belongs here: what kind of query it is, and adding our own columns to it. Does not: running it
(``mapping``). Invariant: a query counts as a plain projection only if running it on parts of its
input gives the parts of its output; anything else is run on the whole file at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analytics_assets.sources.errors import SourceError

if TYPE_CHECKING:
    import duckdb

SOURCE: Final = "source"
_NOT_BY_PARTS: Final = {"WINDOW", "SUBQUERY"}


@dataclass(frozen=True)
class Select:
    """A parsed ``select``; ``plain`` if it can be run on parts of its input.

    ``columns`` are those it names; ``takes_all`` says that it has a ``*``.
    """

    text: str
    plain: bool
    columns: frozenset[str]
    takes_all: bool
    _tree: str

    def with_columns(self, connection: duckdb.DuckDBPyConnection, added: Sequence[str]) -> str:
        """The SQL of a plain select that also returns the columns ``added`` of its input."""
        tree = json.loads(self._tree)
        tree["statements"][0]["node"]["select_list"].extend(
            {
                "class": "COLUMN_REF",
                "type": "COLUMN_REF",
                "alias": "",
                "query_location": 0,
                "column_names": [name],
            }
            for name in added
        )
        row = connection.execute("select json_deserialize_sql(?)", [json.dumps(tree)]).fetchone()
        assert row is not None  # noqa: S101 (a select without from has one row)
        return str(row[0])


def parse_select(connection: duckdb.DuckDBPyConnection, text: str, source: str) -> Select:
    """Parse the ``select`` of the source named ``source``. Raises SourceError if it is none."""
    row = connection.execute("select json_serialize_sql(?)", [text]).fetchone()
    assert row is not None  # noqa: S101
    tree = json.loads(row[0])
    if tree.get("error"):
        raise SourceError(f"source {source}: `select` is no query: {tree.get('error_message')}")
    if len(tree["statements"]) != 1:
        raise SourceError(f"source {source}: `select` must be one query, not several")
    node = tree["statements"][0]["node"]
    aggregates = {
        name
        for (name,) in connection.execute(
            "select distinct function_name from duckdb_functions()"
            " where function_type = 'aggregate'"
        ).fetchall()
    }
    parts = list(_objects(node))
    plain = (
        node["type"] == "SELECT_NODE"
        and node["from_table"]["type"] == "BASE_TABLE"
        and node["from_table"]["table_name"].lower() == SOURCE
        and not any(
            node.get(clause)
            for clause in ("modifiers", "group_expressions", "group_sets", "having", "qualify")
        )
        and not node["cte_map"]["map"]
        and not node["from_table"]["sample"]
        and not node.get("sample")
        and not any(
            part.get("class") in _NOT_BY_PARTS or part.get("function_name") in aggregates
            for part in parts
        )
    )
    columns = frozenset(
        str(part["column_names"][-1]) for part in parts if part.get("class") == "COLUMN_REF"
    )
    takes_all = any(part.get("class") == "STAR" for part in parts)
    return Select(text.strip().rstrip(";"), plain, columns, takes_all, row[0])


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)
