"""The privacy report: made from what is there, kept, and handed to officers alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import dagster as dg
import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from analytics_assets.api.tokens import NewKey, create_key, signing_secret
from analytics_assets.cli.main import app
from analytics_assets.definitions import build_definitions
from analytics_assets.events.catalogue import load_catalogue
from analytics_assets.manifest import ensure_manifest
from analytics_assets.privacy.compliance import as_markdown, make_report
from analytics_assets.privacy.plan import shipped_plan
from analytics_assets.settings import Settings, exported
from analytics_assets.store.database import Database


@pytest.fixture
def kept(settings: Settings) -> dg.MaterializeResult[None]:
    """The report as the asset keeps it, of a deployment that has run nothing yet."""
    ensure_manifest(settings)
    definitions = build_definitions(settings)
    key = dg.AssetKey(["retention", "compliance_report"])
    result = dg.materialize(
        [definitions.get_assets_def(key)],
        partition_key="2026-06-07",
        resources={"platform": definitions.resources["platform"]},
        instance=dg.DagsterInstance.ephemeral(),
    )
    assert result.success
    (event,) = result.asset_materializations_for_node("retention__compliance_report")
    return event


def test_the_report_names_every_category_table_and_role_there_is(
    database: Database, settings: Settings
) -> None:
    made = make_report(database, load_catalogue(), shipped_plan(), settings.now())
    assert {row["category"] for row in made["collected"]["events"]} == set(
        load_catalogue().categories
    )
    tables = {row["table"]: row for row in made["stored"]}
    assert tables["published.event_trends"]["read_by"] == [
        "analytics_analyst",
        "analytics_api",
        "analytics_pipeline",
        "analytics_reader",
        "analytics_retention",
    ]
    assert tables["raw.platform_events"]["read_by"] == ["analytics_pipeline"]
    assert tables["raw.platform_events"]["about_people"]
    assert {row["table"] for row in made["plan"]} == set(shipped_plan().tables)
    page = as_markdown(made)
    assert "| analytics |" in page
    assert "What is not promised" in page


def test_a_view_that_reads_as_its_reader_is_read_by_those_who_may_read_beneath_it(
    database: Database, settings: Settings
) -> None:
    with database.connect("analytics_pipeline") as pipeline:
        for name, option in (("own", "true"), ("lent", "false")):
            statement = f"create view marts.{name} with (security_invoker = {option}) as"
            pipeline.execute(f"{statement} select content from raw.messages".encode())
    made = make_report(database, load_catalogue(), shipped_plan(), settings.now())
    read_by = {row["table"]: row["read_by"] for row in made["stored"]}
    assert read_by["marts.own"] == ["analytics_pipeline"]
    assert read_by["marts.lent"] == ["analytics_analyst", "analytics_api", "analytics_pipeline"]
    with (
        database.connect("analytics_analyst") as analyst,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        analyst.execute("select content from marts.own")


def test_consent_of_ten_people_is_not_told_and_of_eleven_is(
    database: Database, settings: Settings
) -> None:
    with database.connect_as_admin(database.name) as admin:
        for purpose, people in (("insights", 11), ("research", 10)):
            admin.execute(
                "insert into vault.consent_ledger"
                " (user_id, purpose, text_version, decision, decided_at, source)"
                " select 'u' || n, %s, '1', 'granted', %s, 'test' from generate_series(1, %s) n",
                [purpose, settings.now(), people],
            )
    made = make_report(database, load_catalogue(), shipped_plan(), settings.now(), audited=False)
    assert made["consent"] == [
        {"purpose": "insights", "granted_by": 11},
        {"purpose": "research", "granted_by": None},
    ]
    assert made["erased"] == {
        "requests_fulfilled": None, "any_unfinished": False, "places_that_name_somebody": 0,
    }  # fmt: skip


def test_the_daily_report_is_kept_and_only_officers_read_it(
    kept: dg.MaterializeResult[None], database: Database, settings: Settings
) -> None:
    from analytics_assets.api.app import create_app

    with database.connect("analytics_pipeline", autocommit=True) as connection:
        secret = signing_secret(database.secrets_dir)
        tokens = {
            scope: create_key(connection, secret, NewKey(name=scope[:5], scopes=(scope,)))[1]
            for scope in ("privacy:admin", "schemas:read")
        }
    from starlette.testclient import TestClient

    with TestClient(create_app(settings, database), client=("127.0.0.1", 1)) as client:

        def get(scope: str, **params: str) -> httpx.Response:
            headers = {"x-api-key": tokens[scope]} if scope else {}
            return client.get("/api/privacy/report", headers=headers, params=params)

        assert get("").status_code == 401
        assert get("schemas:read").status_code == 403
        answer = get("privacy:admin")
        assert answer.status_code == 200
        assert {row["table"] for row in answer.json()["plan"]} == set(shipped_plan().tables)
        page = get("privacy:admin", format="markdown")
        assert page.headers["content-type"].startswith("text/markdown")
        assert page.text.startswith("# Privacy report")


@pytest.fixture
def command(settings: Settings) -> Iterator[CliRunner]:
    assert settings.database_url
    with exported(
        {
            "ANALYTICS_HOME": str(settings.home),
            "ANALYTICS_DATABASE_URL": settings.database_url.get_secret_value(),
            "ANALYTICS_START_DAY": str(settings.start_day),
            "ANALYTICS_AS_OF": settings.now().isoformat(),
        }
    ):
        yield CliRunner()


def test_the_commands_print_json_that_can_be_read(command: CliRunner) -> None:
    audit = command.invoke(app, ["privacy", "audit", "--json"])
    assert audit.exit_code == 0, audit.output
    outcomes = json.loads(audit.stdout)
    assert {row["attack"] for row in outcomes} >= {"T1", "T7", "T18"}
    report = command.invoke(app, ["privacy", "report", "--json", "--no-audit"])
    assert json.loads(report.stdout)["audit"] == []
