"""Rows as JSON, CSV or Parquet.

Belongs here: which form an answer takes, and writing it. Does not: queries. Invariant: CSV and
Parquet are written batch by batch, so that an answer of any length takes the memory of one batch,
and every answer states its row limit and where the next page begins.
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

import msgspec
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from analytics_assets.api.problems import Problem

if TYPE_CHECKING:
    import pyarrow as pa

Form = Literal["json", "csv", "parquet"]
Kind = Literal["text", "json", "integer", "number", "moment", "day"]
Row = Sequence[Any]
JSON: Final = "application/json"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
_FORMS: Final[dict[str, Form]] = {
    JSON: "json",
    "*/*": "json",
    "application/*": "json",
    CSV: "csv",
    "text/*": "csv",
    PARQUET: "parquet",
}
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Column:
    """A column of an answer; ``json`` values come as JSON text."""

    name: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Table:
    """What an answer is about: the name of its rows, and their columns."""

    name: str
    columns: tuple[Column, ...]


def form_of(request: Request, given: Form | None) -> Form:
    """The form to answer in: ``?format=``, else the best of ``Accept``.

    Raises Problem ``not_acceptable``.
    """
    accepted = request.headers.get("accept")
    if given is not None or not accepted:
        return given or "json"
    wanted: list[tuple[float, int, Form]] = []
    for place, part in enumerate(accepted.split(",")):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        form = _FORMS.get(media)
        quality = _quality(parameters)
        if form is not None and quality > 0:
            wanted.append((-quality, place, form))
    if not wanted:
        raise Problem("not_acceptable", f"there are {JSON}, {CSV} and {PARQUET}")
    return min(wanted)[2]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def page_headers(request: Request, limit: int, following: str | None) -> dict[str, str]:
    """The row limit, and the next page where there is one."""
    headers = {"X-Row-Limit": str(limit), "Vary": "Accept"}
    if following is not None:
        parameters = [(k, v) for k, v in request.query_params.multi_items() if k != "cursor"]
        query = urlencode([*parameters, ("cursor", following)])
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
        headers["X-Next-Cursor"] = following
    return headers


def json_body(table: Table, rows: Iterable[Row], about: dict[str, Any]) -> bytes:
    """``{<about>, "<name>": [{...}, ...]}``."""
    names = [column.name for column in table.columns]
    raw = [n for n, column in enumerate(table.columns) if column.kind == "json"]
    shown = []
    for row in rows:
        values = list(row)
        for n in raw:
            if values[n] is not None:
                values[n] = msgspec.Raw(values[n].encode())
        shown.append(dict(zip(names, values, strict=True)))
    return _ENCODER.encode({**about, table.name: shown})


def whole(
    request: Request,
    form: Form,
    table: Table,
    rows: Sequence[Row],
    about: dict[str, Any],
    more: dict[str, str] | None = None,
) -> Response:
    """An answer whose rows are all there, with an ETag; ``about`` has ``limit`` and ``next``."""
    headers = {**page_headers(request, about["limit"], about["next"]), **(more or {})}
    if form == "json":
        body = json_body(table, rows, about)
    elif form == "csv":
        body = b"".join((csv_head(table), csv_rows(table, rows)))
    else:
        parquet = ParquetFile(table)
        body = b"".join((parquet.add(rows), parquet.end()))
    # Parquet's own bytes would tell versions of the library apart.
    digest = hashlib.sha256(body).hexdigest()[:24]
    headers["ETag"] = f'"{digest}"'
    if _matches(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, headers={**headers, **_file(form, table)}, media_type=media(form))


def streamed(
    form: Form,
    table: Table,
    first: Sequence[Row],
    rest: AsyncIterator[Sequence[Row]],
    headers: dict[str, str],
) -> Response:
    """A CSV or Parquet file that is written while it is read.

    What fails after it has begun breaks the connection off, so that no part passes for the whole.
    """
    blocks = _csv_blocks if form == "csv" else _parquet_blocks
    return StreamingResponse(
        blocks(table, first, rest),
        headers={**headers, **_file(form, table)},
        media_type=media(form),
    )


def media(form: Form) -> str:
    return {"json": JSON, "csv": f"{CSV}; charset=utf-8", "parquet": PARQUET}[form]


def described(name: str, example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The forms of an answer, for OpenAPI; ``example`` is its JSON."""
    rows = example[name]
    lines = [",".join(rows[0])] + [",".join(_plain(v) for v in row.values()) for row in rows]
    return {
        200: {
            "description": "The rows, and where the next page begins.",
            "headers": {
                "X-Row-Limit": {
                    "description": "Most rows in the answer.",
                    "schema": {"type": "integer"},
                },
                "X-Next-Cursor": {
                    "description": "`cursor` of the next page, where there is one.",
                    "schema": {"type": "string"},
                },
                "Link": {
                    "description": 'The next page as rel="next".',
                    "schema": {"type": "string"},
                },
            },
            "content": {
                JSON: {"example": example},
                CSV: {"schema": {"type": "string"}, "example": "\r\n".join(lines) + "\r\n"},
                PARQUET: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    }


UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "Unchanged since the `ETag` sent as `If-None-Match`."}
}


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else _ENCODER.encode(value).decode()
    text = "" if value is None else text
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if set(text) & set(',"\n') else text


def _matches(request: Request, etag: str) -> bool:
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or etag in {
        part.strip().removeprefix("W/") for part in given.split(",")
    }


def _file(form: Form, table: Table) -> dict[str, str]:
    if form == "json":
        return {}
    return {"Content-Disposition": f'attachment; filename="{table.name}.{form}"'}


# --- CSV ------------------------------------------------------------------------------------------


def csv_head(table: Table) -> bytes:
    return _csv([[column.name for column in table.columns]])


def csv_rows(table: Table, rows: Iterable[Row]) -> bytes:
    moments = [n for n, column in enumerate(table.columns) if column.kind == "moment"]
    written = []
    for row in rows:
        values = list(row)
        for n in moments:
            values[n] = None if values[n] is None else _rfc3339(values[n])
        written.append(values)
    return _csv(written)


def _csv(rows: Iterable[Row]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def _csv_blocks(
    table: Table, first: Sequence[Row], rest: AsyncIterator[Sequence[Row]]
) -> AsyncIterator[bytes]:
    yield csv_head(table) + csv_rows(table, first)
    async for rows in rest:
        yield csv_rows(table, rows)


# --- Parquet --------------------------------------------------------------------------------------


class _Sink(io.RawIOBase):
    """Takes what is written and gives it out in blocks; pyarrow only ever appends."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._blocks.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)


class ParquetFile:
    """A Parquet file given out as it is written, a row group for each batch."""

    def __init__(self, table: Table) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        _leave_pandas_alone(pa)
        self._table = table
        self._schema = pa.schema([pa.field(c.name, _arrow(c.kind)) for c in table.columns])
        self._sink = _Sink()
        self._file = pa.PythonFile(self._sink, mode="w")
        self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")

    def add(self, rows: Sequence[Row]) -> bytes:
        """What the file has grown by."""
        import pyarrow as pa

        if rows:
            arrays = [
                pa.array([_value(c.kind, row[n]) for row in rows], type=self._schema.field(n).type)
                for n, c in enumerate(self._table.columns)
            ]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        return self._sink.drain()

    def end(self) -> bytes:
        """The file's footer."""
        self._writer.close()
        return self._sink.drain()


def _leave_pandas_alone(pa: Any) -> None:
    """Keep pyarrow from importing pandas, which it does to see whether a list is one of its own.

    It tries once, and takes 54 MB and half a second; whoever asks it for a data frame later still
    gets one.
    """
    if "pandas" not in sys.modules:
        finder = _NoPandas()
        sys.meta_path.insert(0, finder)
        try:
            pa.array([None])
        finally:
            sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:  # noqa: ARG002
        if fullname == "pandas":
            raise ModuleNotFoundError(name=fullname)


async def _parquet_blocks(
    table: Table, first: Sequence[Row], rest: AsyncIterator[Sequence[Row]]
) -> AsyncIterator[bytes]:
    file = ParquetFile(table)
    yield file.add(first)
    async for rows in rest:
        yield file.add(rows)
    yield file.end()


def _arrow(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    types: dict[Kind, Any] = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "moment": pa.timestamp("us", tz="UTC"),
        "day": pa.date32(),
    }
    found: pa.DataType = types.get(kind, pa.string())
    return found


def _value(kind: Kind, value: Any) -> Any:
    if value is None:
        return None
    if kind == "number":
        return float(value)
    if kind == "moment":
        return value.astimezone(UTC)
    return value if kind in {"integer", "day"} else str(value)
