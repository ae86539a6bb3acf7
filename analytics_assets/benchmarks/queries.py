"""The query API over a store of many events: latency of each kind of query, memory, bytes an event.

Belongs here: filling the store, what is asked. Invariant: the API runs as its command starts it, in
a process of its own; marts are built by dbt from the events they are asked about, and every answer
counted is a success.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any, Final

from psycopg import sql

from analytics_assets.api.event_pages import Wanted
from analytics_assets.api.reading import Days, write_cursor
from analytics_assets.api.tokens import NewKey, create_key, signing_secret
from analytics_assets.benchmarks.api_server import ApiServer, running_api
from analytics_assets.benchmarks.load_generator import Answers, query, send_all
from analytics_assets.benchmarks.measure import BenchmarkError, Figure
from analytics_assets.events.catalogue import load_catalogue
from analytics_assets.events.schema_table import sync_event_schemas
from analytics_assets.process_memory import peak_mib
from analytics_assets.resources import dbt_environment, dbt_executable
from analytics_assets.settings import Settings, child_environment, load_settings
from analytics_assets.store.database import Database
from analytics_assets.store.embedded import EmbeddedPostgres
from analytics_assets.store.migrate import migrate
from analytics_assets.store.partitions import ensure_event_partitions
from analytics_assets.windows import Window

DAYS: Final = 90
FIRST: Final = date(2026, 3, 1)
USERS: Final = 20_000
LAST: Final = FIRST + timedelta(days=DAYS - 1)
AS_OF: Final = datetime.combine(LAST + timedelta(days=1), clock_time(), UTC) - timedelta(seconds=1)
ASKED: Final = 100
PAGE: Final = 100
FILE_ROWS: Final = 100_000
SERIES_MS, PAGE_MS, PEAK_MIB, EVENT_BYTES = 50, 100, 250, 650
MODELS: Final = (
    "stg_events", "event_log", "int_event_counts_15min", "int_user_hours", "user_days",
    "event_aggregations", "search_usage", "server_installs", "daily_metrics",
)  # fmt: skip
# Kept long enough for all days to be there.
CATEGORIES: Final = (
    "transaction", "interaction", "user_activity", "content", "action", "registry",
)  # fmt: skip


@dataclass(frozen=True)
class _Store:
    settings: Settings
    database: Database
    key: str


def queries(events: int, folder: Path | None = None) -> list[Figure]:
    """Fill a store with ``events`` over 90 days, then ask."""
    with _filled(events, folder) as store:
        size = _bytes_an_event(store.database)
        with running_api(store.settings.home, AS_OF.isoformat()) as api:
            figures = [Figure("events", events), size]
            for name, limit, path in _questions(store):
                figures += _latencies(api, store.key, name, path, limit)
            figures += _files(api, store.key)
            _load(api, store)
            figures.append(
                Figure("peak memory of the API", peak_mib(api.pid) or 0.0, "MiB", at_most=PEAK_MIB)
            )
    return figures


def _questions(store: _Store) -> list[tuple[str, float | None, Callable[[int], str]]]:
    """(name, p95 in ms at most, path of request number n); requests differ in their days."""
    aggregations, events = "/api/analytics/aggregations", "/api/analytics/events"
    quarter = f"start_date={FIRST}&end_date={LAST}"
    kathmandu = "time_zone=Asia/Kathmandu"
    cursor = _before_the_last_page(store.database)

    def month(n: int) -> str:
        first = FIRST + timedelta(days=n % (DAYS - 30))
        return f"start_date={first}&end_date={first + timedelta(days=29)}"

    def day(n: int) -> str:
        return (LAST - timedelta(days=n % 7)).isoformat()

    return [
        ("/metrics, 30 days", SERIES_MS, lambda n: f"/api/analytics/metrics?{month(n)}"),
        ("/metrics, 90-day series", SERIES_MS, lambda _: f"/api/analytics/metrics?{quarter}"),
        ("/aggregations, 30 days", SERIES_MS, lambda n: f"{aggregations}?{month(n)}"),
        (
            "/aggregations, 90-day series of a type",
            SERIES_MS,
            lambda _: f"{aggregations}?{quarter}&event_types=project.viewed",
        ),
        (
            "/aggregations, a day by the hour",
            SERIES_MS,
            lambda n: (
                f"{aggregations}?aggregation_type=hourly&start_date={day(n)}&end_date={day(n)}"
            ),
        ),
        (
            "/aggregations, 90-day series of a type in +05:45",
            SERIES_MS,
            lambda _: (
                f"{aggregations}?{quarter}&{kathmandu}&unique_users=false"
                "&event_types=project.viewed"
            ),
        ),
        (
            "/aggregations, 90-day series of all types in +05:45",
            None,
            lambda _: f"{aggregations}?{quarter}&{kathmandu}&unique_users=false&limit=10000",
        ),
        (
            "/aggregations, users of a type and week in +05:45",
            None,
            lambda n: (
                f"{aggregations}?{kathmandu}&event_types=project.created"
                f"&start_date={LAST - timedelta(days=n % 7 + 6)}&end_date={day(n)}"
            ),
        ),
        ("/events, first page", PAGE_MS, lambda _: f"{events}?{quarter}&limit={PAGE}"),
        (
            "/events, last page",
            PAGE_MS,
            lambda _: f"{events}?{quarter}&limit={PAGE}&cursor={cursor}",
        ),
        (
            "/events, a user's first page of 7 days",
            None,
            lambda n: f"{events}?user_id=user_{n}&limit={PAGE}",
        ),
        ("/realtime", None, lambda _: "/api/analytics/realtime"),
    ]


def _latencies(
    api: ApiServer, key: str, name: str, path: Callable[[int], str], limit: float | None
) -> list[Figure]:
    requests = [query(path(n), key) for n in range(ASKED)]
    _succeeded(name, send_all(api.port, requests[:5], connections=1))
    answers = _succeeded(name, send_all(api.port, requests, connections=1))
    return [
        Figure(f"p50 of {name}", answers.percentile(0.5) * 1e3, "ms"),
        Figure(f"p95 of {name}", answers.percentile(0.95) * 1e3, "ms", at_most=limit),
    ]


def _succeeded(name: str, answers: Answers) -> Answers:
    if set(answers.statuses) != {200}:
        raise BenchmarkError(f"{name}: answers {dict(answers.statuses)}")
    return answers


def _files(api: ApiServer, key: str) -> list[Figure]:
    """The longest file of each form."""
    return [
        Figure(
            f"/events, {FILE_ROWS:,} rows as {form}",
            FILE_ROWS / _download(api, key, form),
            "rows/s",
        )
        for form in ("csv", "parquet")
    ]


def _download(api: ApiServer, key: str, form: str) -> float:
    import httpx

    began = time.monotonic()
    path = (
        f"/api/analytics/events?start_date={FIRST}&end_date={LAST}&limit={FILE_ROWS}&format={form}"
    )
    with httpx.stream(
        "GET", f"http://127.0.0.1:{api.port}{path}", headers={"x-api-key": key}, timeout=120
    ) as response:
        received = sum(len(block) for block in response.iter_raw())
    if not response.is_success or received < FILE_ROWS:
        raise BenchmarkError(f"a file as {form}: {response.status_code}, {received} bytes")
    return time.monotonic() - began


def _load(api: ApiServer, store: _Store) -> None:
    """All kinds of questions at once, beside files that are being read."""
    questions = [path for _, limit, path in _questions(store) if limit is not None]
    requests = [query(path(n), store.key) for n in range(40) for path in questions]
    with ThreadPoolExecutor(4) as pool:
        files = [pool.submit(_download, api, store.key, form) for form in ("csv", "parquet", "csv")]
        _succeeded("under load", send_all(api.port, requests, connections=8))
        for file in files:
            file.result()


def _before_the_last_page(database: Database) -> str:
    """The cursor that ``next`` of the last page but one would hold."""
    wanted = Wanted(Days(FIRST, LAST))
    with database.connect("analytics_api") as connection:
        found = connection.execute(
            'select "timestamp", event_id from marts.event_log where day = %s'
            ' order by "timestamp", event_id offset %s limit 1',
            [FIRST, PAGE],
        ).fetchone()
    if found is None:
        raise BenchmarkError("the first day has too few events")
    return write_cursor(wanted.fingerprint, *found, 0)


def _bytes_an_event(database: Database) -> Figure:
    with database.connect("analytics_pipeline") as connection:
        row = connection.execute(
            "select sum(pg_total_relation_size(relid))::float8 from"
            " pg_partition_tree('raw.platform_events')"
        ).fetchone()
        events = connection.execute("select count(*) from raw.platform_events").fetchone()
    size = row[0] / events[0] if row and events else 0.0
    return Figure("raw, bytes an event with indexes", size, "B", at_most=EVENT_BYTES)


# --- the store ------------------------------------------------------------------------------------


@contextmanager
def _filled(events: int, folder: Path | None) -> Iterator[_Store]:
    home = Path(tempfile.mkdtemp(prefix="analytics-bench-", dir=folder))
    server = EmbeddedPostgres(home)
    try:
        settings = load_settings(
            home=home, database_url=None, start_day=FIRST, as_of=AS_OF, catalogue_dirs="",
            sources_file=None, gemini_api_key=None, slack_webhook_url=None,
        )  # fmt: skip
        database = Database.open(settings)
        migrate(database)
        _fill(database, events)
        _build(settings, database)
        new = NewKey("bench", ("query:events", "query:metrics"), requests_per_minute=1_000_000_000)
        with database.connect("analytics_pipeline", autocommit=True) as connection:
            _, key = create_key(connection, signing_secret(database.secrets_dir), new)
        yield _Store(settings, database, key)
    finally:
        server.destroy()
        shutil.rmtree(home, ignore_errors=True)


def _fill(database: Database, events: int) -> None:
    catalogue = load_catalogue([])
    types = [
        (name, schema.category)
        for name, schema in catalogue.schemas.items()
        if schema.category in CATEGORIES
    ]
    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        sync_event_schemas(connection, catalogue)
        ensure_event_partitions(connection, {(c, day) for c in CATEGORIES for day in days})

    def fill(lane: int) -> None:
        with database.connect("analytics_pipeline", autocommit=True) as connection:
            connection.execute("set synchronous_commit = off")
            for n in range(lane, DAYS, 2):
                connection.execute(
                    _FILL,
                    {
                        "day": days[n],
                        "events": events * (n + 1) // DAYS - events * n // DAYS,
                        "users": USERS,
                        "types": [name for name, _ in types],
                        "categories": [category for _, category in types],
                    },
                )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill, range(2)))
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        connection.execute("vacuum (analyze) raw.platform_events")


def _build(settings: Settings, database: Database) -> None:
    window = Window(FIRST, LAST + timedelta(days=1))
    done = subprocess.run(
        [dbt_executable(), "run", "--select", *MODELS, "--threads", "2",
         "--target-path", settings.home / "dbt"],
        cwd=settings.dbt_project_dir,
        env=child_environment(dict(dbt_environment(settings, database, window))),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchmarkError(f"dbt failed:\n{done.stdout[-2000:]}")
    tables: list[Any] = []
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'marts'"
        ).fetchall()
        for (name,) in tables:
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier("marts", name)))


# Few types are frequent and most are rare, as in life.
_FILL: Final = """
with drawn as (
    select
        1 + floor(power(random(), 2) * cardinality(%(types)s::text[]))::integer as place,
        'user_' || floor(random() * %(users)s)::integer as user_id,
        %(day)s::date::timestamp at time zone 'UTC'
        + (n - 1) * (interval '1 day' / %(events)s::float8) as happened_at
    from generate_series(1, %(events)s) as n
)

insert into raw.platform_events (
    event_category, day, event_id, event_type, "timestamp", user_id, user_role, user_tenure_days,
    subject, session_id, event_data, metadata, source
)
select
    (%(categories)s::text[])[place],
    %(day)s,
    gen_random_uuid(),
    (%(types)s::text[])[place],
    happened_at,
    user_id,
    'client',
    floor(random() * 400)::integer,
    user_id,
    'session_' || floor(random() * 100000)::integer,
    jsonb_build_object(
        'project_id', 'project_' || floor(random() * 1000)::integer,
        'referrer', 'https://example.com/search',
        'duration_seconds', round((random() * 600)::numeric, 2),
        'position', floor(random() * 50)::integer
    ),
    '{"app": "bench"}',
    'bench'
from drawn
"""
