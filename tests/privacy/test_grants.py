"""What each role can do, and that it can do nothing else.

The matrix is exact: a new grant, or a new table that a grant reaches, has to be written down here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from release_rows import Connection

from analytics_assets.store.database import LOGIN_ROLES, Database, DatabaseUnavailable

Denied = psycopg.errors.InsufficientPrivilege
READ, APPEND, PRUNE = {"SELECT"}, {"SELECT", "INSERT"}, {"SELECT", "DELETE"}
WRITE = {"SELECT", "INSERT", "UPDATE", "DELETE"}
OWN = {*WRITE, "TRUNCATE", "TRIGGER", "REFERENCES"}
RELEASED = {"anonymous.*": READ, "published.*": READ}
# Role -> table or whole schema -> privileges; "SELECT (column)" is of single columns.
MATRIX: dict[str, dict[str, set[str]]] = {
    "analytics_reader": RELEASED,
    "analytics_analyst": {
        **RELEASED,
        "insights.daily_summary": READ,
        "insights.metric_anomalies": READ,
        "insights.success_metrics": READ,
        "insights.use_cases": READ,
        "insights.feature_requests": READ,
        "insights.friction_points": READ,
        "insights.personas": READ,
    },
    "analytics_api": {
        **RELEASED,
        "inbox.entries": {"INSERT", "SELECT (event_id)"},
        "ops.event_schemas": READ,
        "ops.api_keys": READ,
        "ops.rate_leases": {"SELECT", "INSERT", "UPDATE"},
        "ops.idempotency_keys": WRITE,
        "ops.platform_metrics_realtime": READ,
        "ops.privacy_reports": READ,
    },
    "analytics_retention": {
        "anonymous.*": PRUNE,
        "published.*": PRUNE,
        "ops.retention_log": {"INSERT"},
    },
    "analytics_dagster": {},
    "analytics_pipeline": {
        "inbox.*": OWN,
        "raw.*": OWN,
        "insights.*": OWN,
        "anonymous.*": APPEND,
        "published.*": APPEND,
        "vault.known_identifiers": WRITE,
        "vault.consent_ledger": READ,
        "vault.suppressed": {"SELECT", "INSERT", "UPDATE"},
        "vault.suppression_keys": {"INSERT", "SELECT (key_id)", "SELECT (drawn_at)"},
        "vault.answer_keys": {"SELECT", "INSERT", "DELETE"},
        "vault.batch_items": WRITE,
        "vault.release_counts": {"SELECT", "INSERT", "DELETE"},
        "vault.period_keys": {
            "INSERT",
            "DELETE",
            "SELECT (period_kind)",
            "SELECT (period)",
        },
        "vault.noise_table": READ,
        "vault.laplace_noise": {"SELECT", "INSERT", "DELETE"},
        "ops.*": WRITE,
        "ops.alembic_version": READ,
        "ops.release_plan": READ,
        "ops.release_ledger": {"SELECT", "INSERT"},
        "ops.dp_ledger": {"SELECT", "INSERT"},
    },
}
SECRET_FUNCTIONS = {
    "vault.person_keys(text,date,text[],bigint[])",
    "vault.suppression_codes(text,text[])",
    "vault.suppressed_among(text,text[])",
    "vault.erase_consent(text[],timestamp with time zone)",
    "vault.consenting(text,text[],timestamp with time zone)",
    "vault.forbidden_values(text[])",
    "vault.refuse()",
    "vault.guard_release()",
}


def test_every_login_role_but_the_owner_is_in_the_matrix() -> None:
    assert set(MATRIX) == set(LOGIN_ROLES) - {"analytics_owner"}


@pytest.mark.parametrize("role", sorted(MATRIX))
def test_a_role_holds_exactly_its_privileges(planting: Connection, role: str) -> None:
    expected: dict[str, set[str]] = {}
    for table in _tables(planting):
        schema = table.partition(".")[0]
        privileges = MATRIX[role].get(table, MATRIX[role].get(f"{schema}.*"))
        if privileges is not None:
            expected[table] = privileges
    assert _privileges(planting, role) == expected


@pytest.mark.parametrize("role", sorted(set(MATRIX) - {"analytics_pipeline"}))
def test_only_the_pipeline_runs_the_vaults_functions(planting: Connection, role: str) -> None:
    for function in SECRET_FUNCTIONS:
        assert planting.execute(
            "select has_function_privilege(%s, %s, 'execute'),"
            " has_schema_privilege(%s, %s, 'usage')",
            [role, function, role, "vault"],
        ).fetchone() == (False, False)


def test_no_role_is_more_than_it_seems(planting: Connection) -> None:
    rows = planting.execute(
        """
        select rolname, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication,
               array(
                   select granted.rolname::text from pg_auth_members
                   join pg_roles as granted on granted.oid = roleid
                   where member = pg_roles.oid order by 1
               )
        from pg_roles where rolname = any (%s) or rolname = 'release_owner'
        """,
        [list(LOGIN_ROLES)],
    ).fetchall()
    assert {name for name, *_ in rows} == {*LOGIN_ROLES, "release_owner"}
    for name, powerful, member_of in rows:
        assert not powerful, name
        expected = ["analytics_pipeline", "release_owner"] if name == "analytics_owner" else []
        assert member_of == expected, name


def test_who_may_create_what_where(planting: Connection) -> None:
    creators = planting.execute(
        """
        select rolname, nspname from pg_roles, pg_namespace
        where has_schema_privilege(pg_roles.oid, pg_namespace.oid, 'create')
            and rolname = any (%s) and nspname !~ '^pg_'
        """,
        [list(MATRIX)],
    ).fetchall()
    assert set(creators) == {
        ("analytics_pipeline", schema) for schema in ("inbox", "raw", "marts", "insights")
    }


def test_which_databases_a_role_may_enter(planting: Connection, privacy_database: Database) -> None:
    rows = planting.execute(
        """
        select rolname, has_database_privilege(rolname, current_database(), 'connect'),
               has_database_privilege(rolname, current_database(), 'temporary'),
               has_database_privilege(rolname, current_database(), 'create')
        from pg_roles where rolname = any (%s)
        """,
        [list(MATRIX)],
    ).fetchall()
    assert {name: tuple(rest) for name, *rest in rows} == {
        role: (role != "analytics_dagster", role == "analytics_pipeline", False) for role in MATRIX
    }
    with pytest.raises(DatabaseUnavailable, match="permission denied for database"):
        privacy_database.connect("analytics_dagster")


def test_dagsters_database_is_dagsters_alone(postgres_server: Database) -> None:
    """One that migrations made: clones of the tests have none."""
    dagster = postgres_server.named(postgres_server.dagster_name)
    dagster.connect("analytics_dagster").close()
    for role in set(MATRIX) - {"analytics_dagster"}:
        with pytest.raises(DatabaseUnavailable, match="permission denied for database"):
            dagster.connect(role)


def test_the_owner_of_released_tables_cannot_log_in(planting: Connection) -> None:
    assert planting.execute(
        "select rolcanlogin from pg_roles where rolname = 'release_owner'"
    ).fetchone() == (False,)


@pytest.fixture(params=sorted(set(MATRIX) - {"analytics_dagster", "analytics_pipeline"}))
def outsider(privacy_database: Database, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Each role that serves or prunes, logged in."""
    with privacy_database.connect(request.param, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    "statement",
    [
        "select * from raw.platform_events",
        "select * from raw.users",
        "select * from vault.known_identifiers",
        "select * from vault.release_counts",
        "select * from vault.period_keys",
        "select * from vault.suppressed",
        "select vault.consenting('insights', array['u1'], now())",
        "select * from insights.analysis_cache",
        "select * from insights.conversation_facets",
        "select * from insights.payment_signals",
        "select * from insights.return_predictions",
        "select * from insights.clusters",
        "select * from insights.segments",
        "select * from ops.release_ledger",
        "select payload from inbox.entries",
        "insert into anonymous.analytics_events default values",
        "update published.event_trends set n_people = 11",
        "truncate published.event_trends",
        "set role analytics_pipeline",
        "set role analytics_owner",
        "set session authorization analytics_owner",
        "select pg_read_file('/etc/passwd')",
        "copy (select 1) to program 'true'",
        "create temporary table stolen (x int)",
        "create table public.stolen (x int)",
    ],
)
def test_an_injected_statement_reaches_nothing_personal(
    outsider: Connection, statement: str
) -> None:
    with pytest.raises(Denied):
        outsider.execute(statement.encode())


def test_new_marts_are_for_analysts_and_the_api_and_not_for_readers(
    planting: Connection,
) -> None:
    planting.execute("set local role analytics_pipeline")
    planting.execute("create table marts.fct_new (n int)")
    planting.execute("reset role")
    readers = planting.execute(
        """
        select rolname from pg_roles
        where rolname = any (%s) and has_schema_privilege(oid, 'marts', 'usage')
            and has_table_privilege(oid, 'marts.fct_new', 'select')
        """,
        [list(MATRIX)],
    ).fetchall()
    assert {name for (name,) in readers} == {
        "analytics_analyst",
        "analytics_api",
        "analytics_pipeline",
    }


def _tables(connection: Connection) -> list[str]:
    rows = connection.execute(
        """
        select nspname || '.' || relname from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where nspname !~ '^pg_' and nspname <> 'information_schema'
            and relkind in ('r', 'p', 'v', 'm', 'f')
        """
    ).fetchall()
    return [name for (name,) in rows]


def _privileges(connection: Connection, role: str) -> dict[str, set[str]]:
    """Privileges by table, where the role may use the schema at all."""
    held: dict[str, set[str]] = defaultdict(set)
    rows: list[tuple[Any, ...]] = connection.execute(
        """
        with tables as (
            select pg_class.oid, nspname || '.' || relname as name from pg_class
            join pg_namespace on pg_namespace.oid = relnamespace
            where nspname !~ '^pg_' and nspname <> 'information_schema'
                and relkind in ('r', 'p', 'v', 'm', 'f')
                and has_schema_privilege(%(role)s, pg_namespace.oid, 'usage')
        ),
        whole as (
            select oid, name, privilege
            from tables, unnest(%(privileges)s::text[]) as privilege
            where has_table_privilege(%(role)s, oid, privilege)
        )
        select name, privilege from whole
        union all
        select tables.name, privilege || ' (' || attname || ')'
        from tables
        join pg_attribute on attrelid = tables.oid and attnum > 0 and not attisdropped
        cross join unnest(array['SELECT', 'INSERT', 'UPDATE']) as privilege
        where has_column_privilege(%(role)s, tables.oid, attnum, privilege)
            and (tables.oid, privilege) not in (select oid, privilege from whole)
        """,
        {"role": role, "privileges": sorted(OWN)},
    ).fetchall()
    for table, privilege in rows:
        held[table].add(privilege)
    return dict(held)
