"""A Postgres of the distribution, named by ``ANALYTICS_DATABASE_URL``: the whole way once.

Belongs here: what may differ from the embedded server: its version, its settings, its owner.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from deployment import Deployment, free_ports

from analytics_assets.store.database import MINIMUM_VERSION, Database

ACCOUNT = "postgres"
PASSWORD = "of-the-administrator"


def installed() -> Path | None:
    """The folder of programs of the newest installed version the platform supports."""
    found = {
        int(path.parents[1].name): path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")
        if path.parents[1].name.isdigit()
    }
    newest = max(found, default=0)
    return found[newest] if newest * 10_000 >= MINIMUM_VERSION else None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    programs = installed()
    if programs is None:
        pytest.skip("no Postgres of version 15 or later in /usr/lib/postgresql; install one")
    account = ACCOUNT if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="analytics-debian-"))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if account is not None:
        owner = pwd.getpwnam(account)
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    [port] = free_ports(1)

    def call(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, *arguments],
            user=account,
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )

    data = str(folder / "data")
    call("initdb", "-D", data, "-U", "boss", "-A", "scram-sha-256", f"--pwfile={secret}",
         "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")  # fmt: skip
    settings = (
        f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        " -c fsync=off -c full_page_writes=off"
    )
    call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", settings, "start")
    try:
        yield Database.from_url(
            f"postgresql://boss:{PASSWORD}@127.0.0.1:{port}/analytics",
            tmp_path_factory.mktemp("debian") / "secrets",
        )
    finally:
        call("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_the_main_job_fills_every_zone_of_a_postgres_of_ones_own(server: Database) -> None:
    home = server.secrets_dir.parent
    sources = home / "company" / "sources.yaml"
    deployment = Deployment(home, server, sources, "2026-04-27", "2026-06-08")
    sample = ("--users", "150", "--events", "12000", "--days", "35", "--start-day", "2026-04-27")
    written = deployment.command("sample", str(sources.parent), *sample)
    assert written.returncode == 0, written.stderr

    deployment.run()

    for table in (
        "raw.platform_events", "raw.messages", "marts.event_aggregations", "marts.servers",
        "anonymous.analytics_events", "published.event_trends", "insights.user_activity",
        "ops.retention_log",
    ):  # fmt: skip
        assert deployment.query(f"select count(*) > 0 from {table}") == [(True,)], table
    with (
        server.connect("analytics_pipeline") as pipeline,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        pipeline.execute("truncate published.event_trends")
