"""The guard over released columns finds what is planted, and says where without saying what."""

from __future__ import annotations

import pytest
from release_rows import SHAPES, Connection, insert_class, release_class

from analytics_assets.privacy.forbidden import Finding, is_forbidden_name, scan

SEARCHES = "published.search_trends"


def test_what_the_release_makes_is_clean(pipeline: Connection) -> None:
    for table in SHAPES:
        release_class(pipeline, table, 20)
    assert scan(pipeline) == []


@pytest.mark.parametrize(
    "name",
    [
        "username", "email", "author_email", "github_id", "ip_address", "session_id",
        "repo_names", "repo_name", "commit_hash", "commit_hashes", "user_id", "userId", "subject",
        "person_key", "USER_ID", "userid", "sessionid", "ingested_at", "primary_repository",
    ],
)  # fmt: skip
def test_forbidden_names_are_known_however_they_are_written(name: str) -> None:
    assert is_forbidden_name(name)


def test_every_planned_column_has_a_name_that_may_be_released() -> None:
    from analytics_assets.store.models import metadata

    for table in metadata.tables.values():
        if table.schema in ("anonymous", "published"):
            assert [c.name for c in table.columns if is_forbidden_name(c.name)] == []


def test_a_planted_column_is_found_by_name_and_by_not_being_planned(planting: Connection) -> None:
    planting.execute("alter table published.event_trends add column author_email text")
    assert scan(planting) == [
        Finding("published", "event_trends", "author_email", "forbidden column name"),
        Finding("published", "event_trends", "author_email", "column is not planned"),
    ]
    assert scan(planting, tables=[("published", "search_trends")]) == []


@pytest.mark.parametrize("kind", ["bytea", "jsonb", "timestamptz", "text[]", "uuid", "inet"])
def test_a_column_that_could_hold_more_than_a_label_is_found(
    planting: Connection, kind: str
) -> None:
    planting.execute(f"alter table anonymous.analytics_events add column extra {kind}".encode())
    (by_type, unplanned) = scan(planting)
    assert by_type.reason.endswith("may not be released")
    assert unplanned.reason == "column is not planned"


def test_a_planted_table_or_view_is_found(planting: Connection) -> None:
    planting.execute("create view published.people as select user_id from raw.users")
    assert {finding.table for finding in scan(planting)} == {"people"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("mail octo@example.com please", "holds an e-mail address"),
        ("from 203.0.113.7", "holds an IP address"),
        ("2001:db8::8a2e:370:7334", "holds an IP address"),
        ("3F2504E0-4F89-11D3-9A0C-0305E82C3301", "holds a UUID"),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "holds a hash"),
        ("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", "holds a hash"),
        ("is Olivia   WHITFIELD there?", "holds a known identifier"),
        ("octo-dev42", "holds a known identifier"),
        ("who is u_000042?", "holds a user id"),
    ],
)
@pytest.mark.parametrize("table", [SEARCHES, "anonymous.analytics_events"])
def test_a_planted_value_is_found_and_not_repeated(
    planting: Connection, table: str, value: str, reason: str
) -> None:
    _know_people(planting)
    column = "query" if table == SEARCHES else "top_languages"
    insert_class(planting, table, 40, **{column: value})
    (finding,) = scan(planting)
    assert finding.reason == reason
    assert finding.column == column
    assert value not in str(finding)


@pytest.mark.parametrize(
    "value",
    [
        "react", "python", "C++", "std::vector", "postgres 16.4", "12:30:45", "top 100000 words",
        "profile_analyzed", "acme/toolbox", "v1.2.3", "whitfield", "42", "a@b", "deadbeef",
        "claude-code",
    ],
)  # fmt: skip
def test_an_ordinary_value_is_left_alone_though_it_is_somebodys_handle(
    planting: Connection, value: str
) -> None:
    """At scale every ordinary word is a handle, and servers are named after their makers."""
    _know_people(planting)
    insert_class(planting, SEARCHES, 40, query=value)
    assert scan(planting) == []


def test_the_release_itself_asks_the_same_function(pipeline: Connection) -> None:
    _know_people(pipeline)
    found = pipeline.execute(
        "select value, reason from vault.forbidden_values(%s) order by 1",
        [["react", "olivia whitfield", "x@example.com", None]],
    ).fetchall()
    assert found == [
        ("olivia whitfield", "a known identifier"),
        ("x@example.com", "an e-mail address"),
    ]


def _know_people(connection: Connection) -> None:
    connection.execute(
        """
        insert into vault.known_identifiers values
        ('u_000042', 'name', 'Olivia Whitfield'), ('u_000042', 'handle', 'Octo-Dev42'),
        ('u_000042', 'name', 'Whitfield'), ('u_000001', 'handle', 'react'),
        ('u_000001', 'repository', 'acme/toolbox'), ('u_000002', 'handle', 'python'),
        ('u_000002', 'handle', 'profile_analyzed')
        """
    )
    connection.execute(
        """
        insert into raw.users (user_id, valid_from, source) values
        ('u_000042', '2026-01-01', 'test'), ('42', '2026-01-01', 'test'),
        ('react', '2026-01-01', 'test')
        """
    )
    connection.execute(
        """
        insert into raw.servers (server_id, valid_from, name, source)
        values ('acme/toolbox', '2026-01-01', 'Toolbox', 'test')
        """
    )
    connection.execute(
        """
        insert into ops.event_schemas
        (event_type, event_category, fields, required_fields, personal_fields, retention_days,
         description, catalogue_hash)
        values ('profile_analyzed', 'analytics', '{}', '{}', '{}', 45, '', '')
        """
    )
