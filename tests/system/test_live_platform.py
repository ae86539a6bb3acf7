"""The running platform: UI, code server and daemon, driven through the webserver's GraphQL API.

One platform of 365 days serves all tests, which go in the order of a deployment's life.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from conftest import drop
from deployment import Deployment, copy_secrets, wait_until
from playwright.sync_api import Browser

from analytics_assets.client import Analytics
from analytics_assets.store.database import Database

FIRST, LAST = date(2025, 6, 9), date(2026, 6, 8)
DAYS = [(FIRST + timedelta(days=n)).isoformat() for n in range(365)]
LATE_DAY = "2026-05-13"
INSTALLS = """
select coalesce(sum(total_events), 0) from marts.event_aggregations
where aggregation_type = 'daily' and event_type = 'server_installed'
"""


NODES = """
{ assetNodes { assetKey { path } groupName kinds description isMaterializable
    owners { ... on TeamAssetOwner { team } }
    partitionStats { numMaterialized numPartitions numFailed }
    metadataEntries { ... on TableSchemaMetadataEntry { schema { columns { name } } } } } }
"""
LAUNCH = """
mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
BACKFILL = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) {
    __typename ... on PartitionBackfill { status } } }
"""
RUNS = """
query($f: RunsFilter!) { runsOrError(filter: $f) { __typename
    ... on Runs { results { runId status jobName tags { key value } } } } }
"""


@pytest.fixture(scope="module")
def deployment(
    postgres_server: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("live")
    copy_secrets(postgres_server, home)
    made = Deployment(
        home,
        postgres_server.named("live"),
        home / "company" / "sources.yaml",
        FIRST.isoformat(),
        LAST.isoformat(),
    )
    sample = ("--users", "80", "--events", "2500", "--days", "10", "--start-day", "2026-05-10")
    written = made.command("sample", str(home / "company"), *sample)
    assert written.returncode == 0, written.stderr
    yield made
    made.kill_all()
    drop(made.database)


@pytest.fixture(scope="module")
def platform(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment with ``up`` running and its code location loaded."""
    process = deployment.start("up")

    def loaded() -> bool:
        assert process.poll() is None, deployment.said()
        try:
            return bool(deployment.ask(NODES)["assetNodes"])
        except httpx.TransportError:
            return False

    wait_until("the assets to be served", loaded)
    deployment.process = process  # type: ignore[attr-defined]
    yield deployment
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def launch(platform: Deployment, assets: list[list[str]], days: list[str]) -> list[dict[str, Any]]:
    """Launch a backfill, wait for its end, and return its runs."""
    selection = [{"path": path} for path in assets]
    told = platform.ask(LAUNCH, p={"assetSelection": selection, "partitionNames": days})
    launched = told["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    backfill = launched["backfillId"]

    def ended() -> str | None:
        status = platform.ask(BACKFILL, id=backfill)["partitionBackfillOrError"]["status"]
        return None if status == "REQUESTED" else str(status)

    status = wait_until("the backfill's end", ended, every=0.5)
    runs = runs_with(platform, "dagster/backfill", backfill)
    assert status == "COMPLETED_SUCCESS", (status, runs, platform.said()[-3000:])
    return runs


def runs_with(platform: Deployment, tag: str, value: str | None = None) -> list[dict[str, Any]]:
    wanted = {"tags": [{"key": tag, "value": value}]} if value else {}
    results = platform.ask(RUNS, f=wanted)["runsOrError"]["results"]
    return [run for run in results if any(each["key"] == tag for each in run["tags"])]


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in run["tags"]}


@pytest.fixture(scope="module")
def sent_over_http(platform: Deployment) -> tuple[str, int, set[str]]:
    """The id of an event the API has accepted, and what was there before: installs, runs."""
    [(before,)] = platform.query(INSTALLS)
    known = {run["runId"] for run in runs_with(platform, "analytics/dirty")}
    made = platform.command("keys", "create", "--scope", "collect:events", "--name", "shop")
    assert made.returncode == 0, made.stderr
    with Analytics(f"http://127.0.0.1:{platform.api_port}", made.stdout.strip()) as client:
        event_id = client.track_server_installed(server_id="s-http", user_id="u_http")
        assert client.flush()
        assert client.stats().accepted == 1
    return str(event_id), before, known


# --- before it runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["UI_PORT", "CODE_SERVER_PORT"])
def test_a_taken_port_is_named_with_what_to_do_and_nothing_is_touched(
    deployment: Deployment, setting: str
) -> None:
    name = f"ANALYTICS_{setting}"
    before = sorted(path.name for path in deployment.home.iterdir())
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(deployment.environment[name])))
        holder.listen()
        done = deployment.command("up")
    assert done.returncode == 1
    assert f"port {deployment.environment[name]} on 127.0.0.1 cannot be used" in done.stderr
    assert f"set {name} to another port" in done.stderr
    assert sorted(path.name for path in deployment.home.iterdir()) == before
    assert deployment.processes() == {}


def test_a_taken_port_of_the_http_api_is_named_and_the_rest_starts(deployment: Deployment) -> None:
    """And stopping it while it starts leaves no process."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", deployment.api_port))
        holder.listen()
        process = deployment.start("up")
        wait_until(
            "the code server's process",
            lambda: any("code-server" in line for line in deployment.processes().values()),
        )
    said = " ".join(deployment.said().split())
    assert f"port {deployment.api_port} on 127.0.0.1 cannot be used" in said
    assert "the HTTP API is not started" in said
    assert "set ANALYTICS_API_PORT to another port" in said
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, deployment.said()
    assert deployment.processes() == {}


# --- while it runs --------------------------------------------------------------------------------


def test_the_graph_shows_every_asset_with_group_kinds_owner_and_columns(
    platform: Deployment,
) -> None:
    page = httpx.get(f"http://127.0.0.1:{platform.ui_port}/asset-groups", timeout=60)
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]

    nodes = {tuple(n["assetKey"]["path"]): n for n in platform.ask(NODES)["assetNodes"]}
    groups = {node["groupName"] for node in nodes.values()}
    assert groups == {"raw", "ops", "marts", "anonymous", "published", "insights", "retention"}
    for key, node in nodes.items():
        assert node["description"], key
        assert node["owners"] == [{"team": "analytics"}], key
        assert "postgres" in node["kinds"], key
        assert len(node["kinds"]) > 1, key
        assert any(entry.get("schema") for entry in node["metadataEntries"]), key
        if node["groupName"] != "ops":
            assert node["isMaterializable"], key
            assert node["partitionStats"]["numPartitions"] == 365, key
    assert set(nodes["raw", "platform_events"]["kinds"]) == {"postgres", "python"}
    assert "dbt" in nodes["published", "event_trends"]["kinds"]


def test_a_backfill_of_365_days_is_exactly_one_run_and_fills_every_partition(
    platform: Deployment,
) -> None:
    assets = [
        node["assetKey"]["path"]
        for node in platform.ask(NODES)["assetNodes"]
        if node["isMaterializable"]
    ]
    [run] = launch(platform, assets, DAYS)
    assert run["status"] == "SUCCESS"
    tags = tags_of(run)
    assert tags["dagster/asset_partition_range_start"] == DAYS[0]
    assert tags["dagster/asset_partition_range_end"] == DAYS[-1]
    for node in platform.ask(NODES)["assetNodes"]:
        stats = node["partitionStats"]
        if not node["isMaterializable"]:
            continue
        assert (stats["numMaterialized"], stats["numFailed"]) == (365, 0), node["assetKey"]
    truth = json.loads((platform.home / "company" / "truth.json").read_text())
    loaded = platform.query(
        "select sum(rows_loaded) from ops.load_log where source = 'sample_events' and finished"
    )
    assert loaded == [(truth["events"]["valid_distinct"],)]
    assert platform.query("select count(*) > 0 from published.event_trends") == [(True,)]


def test_a_late_row_dirties_its_day_and_the_daemon_rebuilds_and_closes_it(
    platform: Deployment, request: pytest.FixtureRequest
) -> None:
    counted = (
        "select coalesce(sum(total_events), 0) from marts.event_aggregations"
        f" where aggregation_type = 'daily' and event_type = 'share' and day = '{LATE_DAY}'"
    )
    [(before,)] = platform.query(counted)
    late = [
        {
            "event_id": f"00000000-0000-4000-8000-{n:012d}",
            "event_type": "share",
            "timestamp": f"{LATE_DAY}T0{n}:30:00Z",
            "user_id": "u_late",
            "event_data": {},
        }
        for n in range(3)
    ]
    (platform.home / "company" / "events-late.jsonl").write_text(
        "".join(json.dumps(event) + "\n" for event in late)
    )
    raw = [["raw", "platform_events"]]
    [loading] = launch(platform, raw, [DAYS[-1]])
    marked = platform.query("select day::text from ops.dirty_days where reason = 'late_data'")
    assert (LATE_DAY,) in marked
    # For the next test: one tick of the sensor sees to both.
    request.getfixturevalue("sent_over_http")

    def closed() -> list[Any]:
        return platform.query(
            "select closed_by from ops.dirty_days"
            f" where day = '{LATE_DAY}' and closed_at is not null"
        )

    [(by,)] = wait_until("the daemon's rebuild", closed, every=1)
    runs = {run["runId"]: tags_of(run) for run in runs_with(platform, "analytics/dirty")}
    assert by != loading["runId"]
    assert runs[by]["dagster/sensor_name"] == "dirty_days"
    assert runs[by]["dagster/asset_partition_range_start"] <= LATE_DAY
    assert runs[by]["dagster/asset_partition_range_end"] >= LATE_DAY
    assert platform.query(counted) == [(before + 3,)]
    assert platform.query("select count(*) from ops.dirty_days where closed_at is null") == [(0,)]


def test_the_browser_shows_the_whole_graph_with_its_groups(
    platform: Deployment, chromium: Browser
) -> None:
    context = chromium.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(error.message))
    page.goto(f"http://127.0.0.1:{platform.ui_port}/asset-groups", wait_until="domcontentloaded")
    for group in ("raw", "marts", "anonymous", "published", "insights", "retention"):
        page.get_by_text(group, exact=True).first.wait_for(timeout=60_000)
    page.goto(f"http://127.0.0.1:{platform.ui_port}/assets/published/event_trends")
    page.get_by_text("event_trends", exact=True).first.wait_for(timeout=60_000)
    page.get_by_text("n_people", exact=True).first.wait_for(timeout=60_000)
    assert broken == []
    context.close()


def test_an_event_sent_over_http_is_in_raw_and_the_marts_after_one_run_of_the_sensor(
    platform: Deployment, sent_over_http: tuple[str, int, set[str]]
) -> None:
    event_id, before, known = sent_over_http
    wait_until("the mart", lambda: platform.query(INSTALLS) == [(before + 1,)], every=0.5)
    found = platform.query(
        "select event_id::text, user_id, source, day from raw.platform_events"
        " where event_data->>'server_id' = 's-http'"
    )
    assert [row[:3] for row in found] == [(event_id, "u_http", "shop")]
    day = found[0][3].isoformat()
    ranges = [
        (tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"])
        for run in runs_with(platform, "analytics/dirty")
        if run["runId"] not in known and (tags := tags_of(run))
    ]
    assert len([first for first, last in ranges if first <= day <= last]) == 1


def test_how_long_the_backfill_took_was_kept(platform: Deployment) -> None:
    def kept() -> list[Any]:
        return platform.query(
            "select status, seconds > 0 from ops.run_durations"
            f" where partition_start = '{DAYS[0]}' and partition_end = '{DAYS[-1]}'"
        )

    assert wait_until("the duration", kept, every=1) == [("SUCCESS", True)]


# --- the end --------------------------------------------------------------------------------------


def test_ctrl_c_stops_everything_cleanly_and_leaves_no_process(platform: Deployment) -> None:
    process = platform.process  # type: ignore[attr-defined]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, platform.said()
    assert "Traceback" not in platform.said()
    assert platform.processes() == {}
    for port in (platform.ui_port, platform.code_port, platform.api_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert platform.query("select count(*) > 0 from raw.platform_events") == [(True,)]
