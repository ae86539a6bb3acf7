"""The sources file: which sources there are, as written by the operator in ``sources.yaml``.

Belongs here: the model of the file and reading it. Does not: opening the sources it names.
Invariant: a ``Sources`` is valid; what is wrong with a file is reported all at once, each problem
with file and line. Paths are relative to the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from analytics_assets.sources.errors import SourcesFileError

if TYPE_CHECKING:
    import yaml

TableName = Literal[
    "platform_events", "conversations", "messages", "service_jobs", "users", "servers"
]
FileFormat = Literal["jsonl", "csv", "parquet"]
_SUFFIXES: Final[dict[str, FileFormat]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
COMPRESSIONS: Final = (".gz", ".zst")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CsvOptions(_Strict):
    """How a CSV file is written; the defaults are RFC 4180 with a header, in UTF-8."""

    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str = "utf-8"
    header: bool = True
    columns: list[str] | None = None
    null_values: list[str] = Field(default_factory=list)
    skip_initial_space: bool = False

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        import codecs

        try:
            name = codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"{value!r} is no known encoding; try utf-8 or latin-1") from None
        if name.startswith(("utf-16", "utf-32")):
            raise ValueError(f"{value!r} cannot be read line by line; convert the file to utf-8")
        return name

    @model_validator(mode="after")
    def _columns_are_named(self) -> Self:
        if not self.header and not self.columns:
            raise ValueError("a file without a header needs `columns`, the names in their order")
        return self


class InboxSource(_Strict):
    """What the collector has accepted; always loaded, whether it is listed or not."""

    type: Literal["inbox"]
    name: Name = "inbox"


class FilesSource(_Strict):
    """Files of one kind. ``folder`` is where the sources file lies."""

    type: Literal["files"]
    name: Name
    table: TableName
    path: str = Field(min_length=1)
    format: FileFormat | None = None
    select: str | None = None
    subject: str | None = None
    csv: CsvOptions = CsvOptions()
    optional: bool = False
    folder: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _format_is_known(self) -> Self:
        if self.format is None and _format_of(self.path) is None:
            known = ", ".join(_SUFFIXES)
            raise ValueError(
                f"the format of {self.path!r} is not clear from its name ({known}, each with or "
                "without .gz or .zst); set `format` to jsonl, csv or parquet"
            )
        return self

    def format_of(self, file: Path) -> FileFormat:
        """The format of one of the source's files."""
        found = self.format or _format_of(file.name) or _format_of(self.path)
        assert found is not None  # noqa: S101 (checked when the model was made)
        return found

    @property
    def mapping_hash(self) -> str:
        """Changes when the same bytes would make other rows."""
        decisive = self.model_dump(
            mode="json", include={"table", "format", "select", "subject", "csv"}
        )
        canonical = json.dumps(decisive, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class PostgresTable(_Strict):
    """What to read for one table: a ``query``, or a ``table`` (or view) with the right columns.

    ``time_column`` is the column of the result that the window is compared with; the default is
    the time of the platform's own table, and only then are rows deleted here that are gone there.
    A query sees no window and should be cheap to filter.
    """

    query: str | None = None
    table: str | None = None
    time_column: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.query is None) == (self.table is None):
            raise ValueError("give either `query` or `table`")
        return self


class PostgresSource(_Strict):
    """The application's own database, read through a role that may only read."""

    type: Literal["postgres"]
    name: Name
    url_env: str | None = None
    url: str | None = None
    tables: dict[TableName, PostgresTable] = Field(min_length=1)

    @field_validator("tables")
    @classmethod
    def _no_events(cls, value: dict[TableName, PostgresTable]) -> dict[TableName, PostgresTable]:
        if "platform_events" in value:
            raise ValueError("events come from files or the inbox, not from a database")
        return value

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url_env is None) == (self.url is None):
            raise ValueError(
                "give either `url_env`, the name of an environment variable, or `url` "
                "(without a password: it would stand in this file)"
            )
        return self


Source = Annotated[InboxSource | FilesSource | PostgresSource, Field(discriminator="type")]


class Sources(_Strict):
    """All sources of a deployment."""

    sources: list[Source] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are named {twice[0]!r}; rows are told apart by name")
        return self

    def files(self, table: TableName) -> list[FilesSource]:
        """Sources of files for one table, in the order of the file."""
        return [s for s in self.sources if isinstance(s, FilesSource) and s.table == table]

    def databases(self) -> list[PostgresSource]:
        """Sources that are databases, in the order of the file."""
        return [s for s in self.sources if isinstance(s, PostgresSource)]


def read_sources(path: Path) -> Sources:
    """Read and check a sources file. Raises SourcesFileError with every problem in it."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourcesFileError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SourcesFileError([f"{path}: is not UTF-8 text"]) from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "it cannot be parsed"
        raise SourcesFileError([f"{path}{line}: is not YAML: {what}"]) from None
    if not isinstance(content, dict):
        raise SourcesFileError([f"{path}: must hold `sources:` and a list below it"])
    try:
        found = Sources.model_validate(content)
    except ValidationError as error:
        raise SourcesFileError(_problems(path, root, error)) from None
    folder = path.absolute().parent
    return found.model_copy(
        update={
            "sources": [
                source.model_copy(update={"folder": folder})
                if isinstance(source, FilesSource)
                else source
                for source in found.sources
            ]
        }
    )


def _format_of(name: str) -> FileFormat | None:
    path = Path(name)
    if path.suffix.lower() in COMPRESSIONS:
        path = path.with_suffix("")
    return _SUFFIXES.get(path.suffix.lower())


def _problems(path: Path, root: yaml.Node | None, error: ValidationError) -> list[str]:
    problems = []
    for found in error.errors(include_input=False, include_url=False):
        line, steps = _place(root, found["loc"])
        where = ".".join(str(step) for step in steps)
        what = found["msg"].removeprefix("Value error, ")
        if found["type"] == "missing":
            what = "is missing"
        elif found["type"] == "extra_forbidden":
            what = "is not known here"
        problems.append(f"{path}:{line}: {where + ': ' if where else ''}{what}")
    return problems


def _place(root: yaml.Node | None, loc: tuple[int | str, ...]) -> tuple[int, list[int | str]]:
    """Line of the deepest node on the way, and the way without what is not in the file."""
    import yaml

    node, line = root, 1
    steps: list[int | str] = []
    for number, step in enumerate(loc):
        last = number == len(loc) - 1
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            pairs: list[tuple[Any, Any]] = [
                (key, value) for key, value in node.value if key.value == step
            ]
            if pairs:
                key, node = pairs[0]
                line = key.start_mark.line + 1
            elif not last:
                continue  # pydantic names the member of a union, which is not in the file
        steps.append(step)
    return line, steps
