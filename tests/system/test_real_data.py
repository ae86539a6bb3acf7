"""The examples on real files that nobody here wrote: every row is accounted for, and is itself."""

from __future__ import annotations

import gzip
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import real_files

from analytics_assets.events.catalogue import load_catalogue
from analytics_assets.settings import Settings, load_settings
from analytics_assets.sources.config import read_sources
from analytics_assets.sources.load import LoadReport, load_raw
from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "examples"
PAGE = (PROJECT / "docs" / "real-data.md").read_text(encoding="utf-8")
# `run_example NAME START_DAY AS_OF`: what the page tells to run is what is tested here.
COMMANDS = {
    name: (date.fromisoformat(start), datetime.fromisoformat(as_of).replace(tzinfo=UTC))
    for name, start, as_of in re.findall(r"^run_example (\w+) (\S+) (\S+)$", PAGE, re.MULTILINE)
}


@dataclass
class Loaded:
    """One example, loaded once into a database of its own and then a second time."""

    database: Database
    expected: real_files.Expected
    first: LoadReport
    second: LoadReport

    def rows(self, query: str) -> Counter[tuple[Any, ...]]:
        with self.database.connect("analytics_pipeline") as connection:
            found = connection.execute(query.encode()).fetchall()
        return Counter(tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in found)


@pytest.fixture(scope="module")
def folder(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples beside ``data``, as the page describes it; the largest files are cut."""
    folder = tmp_path_factory.mktemp("real") / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("data"))
    data = folder / "data"
    data.mkdir()
    for path in real_data.iterdir():
        most = real_files.HEADS.get(path.name)
        if most is None:
            (data / path.name).symlink_to(path)
            continue
        with gzip.open(path, "rb") as whole, gzip.open(data / path.name, "wb", 1) as head:
            head.writelines(islice(whole, most))
    return folder


@pytest.fixture(scope="module")
def load(
    folder: Path, postgres_server: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Loaded]]:
    """Loads an example by its name, each only once."""
    done: dict[str, Loaded] = {}
    databases = ExitStack()
    home = tmp_path_factory.mktemp("real_home")

    def load(name: str) -> Loaded:
        if name not in done:
            start_day, as_of = COMMANDS[name]
            settings = load_settings(
                home=home,
                start_day=start_day,
                as_of=as_of,
                sources_file=folder / f"{name}.yaml",
                catalogue_dirs=str(folder / "catalogue"),
            )
            expected = real_files.EXPECTATIONS[name](folder / "data", as_of)
            with ExitStack() as attempt:
                database = attempt.enter_context(cloned_database(postgres_server, f"real_{name}"))
                done[name] = Loaded(
                    database, expected, _load(database, settings), _load(database, settings)
                )
                databases.push(attempt.pop_all())
        return done[name]

    with databases:
        yield load


def _load(database: Database, settings: Settings) -> LoadReport:
    assert settings.sources_file is not None
    return load_raw(
        database,
        settings,
        Window(settings.start_day, settings.now().date()),
        read_sources(settings.sources_file),
        load_catalogue(settings.catalogue_folders),
    )


def test_every_example_is_on_the_page_and_expected_here() -> None:
    examples = {path.stem for path in EXAMPLES.glob("*.yaml")}

    assert examples == set(COMMANDS) == set(real_files.EXPECTATIONS)


def test_every_example_and_its_catalogue_can_be_read_without_the_data() -> None:
    for path in EXAMPLES.glob("*.yaml"):
        sources = read_sources(path).sources
        assert sources
        assert all(source.path.startswith("data/") for source in sources if source.type == "files")
    catalogue = load_catalogue([EXAMPLES / "catalogue"])
    assert {"community", "chat", "shop", "development"} <= set(catalogue.categories)


@pytest.mark.parametrize("name", sorted(real_files.EXPECTATIONS))
def test_every_row_of_a_real_file_is_accounted_for(
    name: str, load: Callable[[str], Loaded]
) -> None:
    loaded = load(name)

    for table, counts in loaded.first.tables.items():
        expected = loaded.expected.get(table, real_files.Table("", Counter()))
        assert counts.rejected == expected.rejected, table
        assert counts.expired == expected.expired, table
        assert counts.duplicate == 0, table
        assert counts.loaded == expected.rows.total(), table
        assert counts.read == counts.loaded + counts.rejected_rows + counts.expired, table


@pytest.mark.parametrize("name", sorted(real_files.EXPECTATIONS))
def test_raw_holds_the_values_of_the_file_each_as_often_as_there(
    name: str, load: Callable[[str], Loaded]
) -> None:
    loaded = load(name)

    for table, expected in loaded.expected.items():
        found = loaded.rows(expected.query)
        assert list((expected.rows - found).items())[:3] == [], f"missing in raw.{table}"
        assert list((found - expected.rows).items())[:3] == [], f"not in the file of raw.{table}"


@pytest.mark.parametrize("name", sorted(real_files.EXPECTATIONS))
def test_a_real_file_is_not_loaded_twice(name: str, load: Callable[[str], Loaded]) -> None:
    loaded = load(name)

    assert loaded.second.files_skipped == loaded.first.files > 0
    assert all(counts.loaded == 0 for counts in loaded.second.tables.values())


def test_a_rejected_real_row_is_in_quarantine_with_its_line_and_content(
    folder: Path, load: Callable[[str], Loaded]
) -> None:
    """Six downloads of the log name no package."""
    rows = real_files.lines(folder / "data" / "installs_cran_log.csv.gz")
    nameless = Counter(
        (f"data/installs_cran_log.csv.gz:{number}", f"{row['date']}-{row['ip_id']}")
        for number, row in enumerate(rows, start=2)
        if not row["package"]
    )

    found = load("cran_installs").rows(
        "select location, payload ->> 'user_id' from raw.rejected_events"
        " where error_code = 'missing_field' and error_message like 'event_data.server_id %'"
    )

    assert found == nameless
    assert found.total() == 6
