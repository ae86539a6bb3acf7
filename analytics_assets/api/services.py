"""What all routes share: settings, connections, keys, limits, the writer.

Belongs here: making and ending them with the app. Does not: routes. Invariant: an app that starts
while Postgres is down answers, unready, and serves as soon as Postgres is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from analytics_assets.api.arbiter import Arbiter
from analytics_assets.api.client_facts import Geography, Network
from analytics_assets.api.inbox_writer import InboxWriter
from analytics_assets.api.keys import KeyRing
from analytics_assets.api.metrics import Metrics
from analytics_assets.api.rate_limit import AddressLimiter, RateLimiter
from analytics_assets.api.realtime import clean_now_and_then
from analytics_assets.api.tokens import signing_secret
from analytics_assets.events.catalogue import Catalogue, load_catalogue
from analytics_assets.events.quick_check import QuickCheck
from analytics_assets.settings import Settings
from analytics_assets.store.database import Database

POOL_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 10
_DOOR_CONNECTIONS: Final = 6
_QUERY_CONNECTIONS: Final = 4


@dataclass
class Services:
    """One process's share of the API.

    ``pool`` is for keys, limits and checks; ``queries`` reads only. Both connect as
    ``analytics_api``, commit each statement, and raise ``psycopg_pool.PoolTimeout`` when no
    connection is to be had.
    """

    settings: Settings
    catalogue: Catalogue
    pool: Any
    queries: Any
    keys: KeyRing
    limiter: RateLimiter
    addresses: AddressLimiter
    metrics: Metrics
    writer: InboxWriter
    arbiter: Arbiter
    check: QuickCheck
    geography: Geography
    trusted_proxies: list[Network]


@asynccontextmanager
async def running(settings: Settings, database: Database) -> AsyncIterator[Services]:
    """The services, started; stopped in an order that commits what was accepted."""
    from psycopg_pool import AsyncConnectionPool

    parameters = database.parameters("analytics_api")
    options = f"-c timezone=UTC -c jit=off -c statement_timeout={STATEMENT_SECONDS * 1000}"

    def make_pool(name: str, size: int, more: str = "") -> Any:
        return AsyncConnectionPool(
            kwargs={
                **parameters,
                "autocommit": True,
                "application_name": f"analytics-assets api {name}",
                "connect_timeout": 5,
                "options": options + more,
            },
            min_size=1,
            max_size=size,
            open=False,
            timeout=POOL_SECONDS,
            # After a restart of Postgres every pooled connection is dead: see before handing out.
            check=AsyncConnectionPool.check_connection,
            reconnect_timeout=10,
            name=name,
        )

    catalogue = load_catalogue(settings.catalogue_folders)
    metrics = Metrics()
    pool = make_pool("door", _DOOR_CONNECTIONS)
    # Users of a month are told apart in memory, where the server's own setting is that of a laptop.
    queries = make_pool(
        "queries",
        _QUERY_CONNECTIONS,
        " -c default_transaction_read_only=on -c work_mem=32MB -c hash_mem_multiplier=2",
    )
    writer = InboxWriter(database, settings, metrics)
    services = Services(
        settings=settings,
        catalogue=catalogue,
        pool=pool,
        queries=queries,
        keys=KeyRing(signing_secret(database.secrets_dir), pool),
        limiter=RateLimiter(pool),
        addresses=AddressLimiter(settings.api_public_requests_per_minute),
        metrics=metrics,
        writer=writer,
        arbiter=Arbiter(settings, catalogue, pool),
        check=QuickCheck(catalogue),
        geography=Geography(settings.geo_database),
        trusted_proxies=settings.trusted_proxies,
    )
    await pool.open(wait=False)
    await queries.open(wait=False)
    writer.start()
    cleaning = asyncio.create_task(clean_now_and_then(pool), name="clean realtime")
    try:
        yield services
    finally:
        cleaning.cancel()
        await writer.stop()
        await queries.close()
        await pool.close()
        services.geography.close()
