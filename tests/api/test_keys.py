"""Keys: made once, scoped, expiring, revoked, rotated."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from door import EVENTS, Door, event
from typer.testing import CliRunner

from analytics_assets.api.keys import FRESH_SECONDS
from analytics_assets.api.tokens import (
    ApiKeyError,
    NewKey,
    create_key,
    find_key,
    revoke_key,
    rotate_key,
    signing_secret,
)
from analytics_assets.cli.main import app as commands
from analytics_assets.store.database import Database


def refusal(door: Door, key: str | None, **headers: str) -> tuple[int, str]:
    """Status and code of sending an event with a key."""
    given = {} if key is None else {"authorization": f"Bearer {key}"}
    response = door.client.post(EVENTS, json=event(), headers={**given, **headers})
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def accepted(door: Door, key: str) -> bool:
    return door.post(event(), key).status_code == 202


def test_a_key_may_come_as_bearer_or_as_x_api_key(door: Door) -> None:
    key = door.key()
    assert key.startswith("aa_live_")
    assert accepted(door, key)
    assert door.client.post(EVENTS, json=event(), headers={"x-api-key": key}).status_code == 202
    test_key = door.key(environment="test")
    assert test_key.startswith("aa_test_")
    assert accepted(door, test_key)


def test_only_a_hash_is_kept(door: Door) -> None:
    key = door.key(name="secret keeper")
    (row,) = door.rows("select to_jsonb(k)::text from ops.api_keys as k where name = %s",
                       "secret keeper")  # fmt: skip
    assert key not in row
    assert key.rsplit(".", 1)[1] not in row


def test_what_is_no_key_is_refused(door: Door) -> None:
    key = door.key()
    body = key.removeprefix("aa_live_")
    other_secret = jwt.encode(jwt.decode(body, options={"verify_signature": False}), "x" * 40)
    unsigned = jwt.encode(
        jwt.decode(body, options={"verify_signature": False}), None, algorithm="none"
    )
    assert refusal(door, None) == (401, "missing_key")
    for wrong in ("aa_live_", "aa_live_x", key[:-2], body, f"aa_live_{other_secret}",
                  f"aa_live_{unsigned}", "' or 1=1 --", "aa_test_" + body):  # fmt: skip
        assert refusal(door, wrong) == (401, "invalid_key"), wrong
    response = door.client.post(EVENTS, json=event())
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_key_does_only_what_its_scopes_say(door: Door) -> None:
    assert refusal(door, door.key("query:metrics")) == (403, "insufficient_scope")
    assert accepted(door, door.key("query:metrics", "collect:events"))
    assert accepted(door, door.key("admin"))


def test_a_key_expires(door: Door) -> None:
    key = door.key(lifetime=timedelta(seconds=1))
    time.sleep(1.1)
    assert refusal(door, key) == (401, "expired_key")


def test_a_revoked_key_is_refused_within_two_seconds(door: Door) -> None:
    key = door.key(name="soon revoked")
    assert accepted(door, key)
    with door.database.connect("analytics_pipeline", autocommit=True) as connection:
        revoke_key(connection, "soon revoked")
    time.sleep(FRESH_SECONDS + 0.1)
    assert refusal(door, key) == (401, "revoked_key")


def test_rotating_lets_the_old_key_work_for_the_grace_time(door: Door) -> None:
    old = door.key(name="turning", requests_per_minute=77)
    secret = signing_secret(door.database.secrets_dir)
    with door.database.connect("analytics_pipeline", autocommit=True) as connection:
        new_id, new = rotate_key(connection, secret, "turning", grace=timedelta(hours=1))
        assert find_key(connection, new_id)["requests_per_minute"] == 77
        assert accepted(door, old)
        assert accepted(door, new)
        _, newest = rotate_key(connection, secret, new_id, grace=timedelta())
    assert accepted(door, newest)
    time.sleep(FRESH_SECONDS + 0.1)
    assert refusal(door, new) == (401, "expired_key")


def test_a_page_may_use_a_key_only_from_its_origins(door: Door) -> None:
    key = door.key(allowed_origins=("https://app.example",))
    preflight = {"access-control-request-method": "POST"}
    allowed = door.client.options(EVENTS, headers={"origin": "https://app.example", **preflight})
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    refused = door.client.options(EVENTS, headers={"origin": "https://evil.example", **preflight})
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers

    sent = door.post(event(), key, headers={"origin": "https://app.example"})
    assert sent.headers["access-control-allow-origin"] == "https://app.example"
    assert refusal(door, key, origin="https://evil.example") == (403, "origin_not_allowed")
    # A key without a list is for servers: pages get no answer they may read.
    silent = door.post(event(), headers={"origin": "https://app.example"})
    assert "access-control-allow-origin" not in silent.headers


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "", "scopes": ("admin",)},
        {"name": "x", "scopes": ("everything",)},
        {"name": "x", "scopes": ()},
        {"name": "x", "scopes": ("admin",), "allowed_origins": ("*",)},
        {"name": "x", "scopes": ("admin",), "requests_per_minute": 0},
        {"name": "x", "scopes": ("admin",), "lifetime": timedelta()},
    ],
)
def test_a_key_that_cannot_be_is_not_made(door_database: Database, wrong: dict[str, Any]) -> None:
    with (
        door_database.connect("analytics_pipeline", autocommit=True) as connection,
        pytest.raises(ApiKeyError),
    ):
        create_key(connection, "secret" * 8, NewKey(**wrong))


def test_the_commands_make_list_rotate_and_revoke_keys(
    own_door: Door, monkeypatch: pytest.MonkeyPatch, home: Path, database_url: str
) -> None:
    monkeypatch.setenv("ANALYTICS_HOME", str(home))
    monkeypatch.setenv("ANALYTICS_DATABASE_URL", database_url)
    monkeypatch.setenv("ANALYTICS_START_DAY", "2026-04-27")
    # The signing secret of the running API is in the test server's folder.
    secret = signing_secret(own_door.database.secrets_dir)
    (home / "secrets" / "api_keys.signing").write_text(secret)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(commands, ["keys", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    made = run(
        "create", "--scope", "collect:events,query:metrics", "--name", "web", "--rate", "7",
        "--developer", "d1", "--organization", "o1", "--origin", "https://a.example",
    )  # fmt: skip
    assert made.startswith("aa_live_")
    assert "\n" not in made
    assert accepted(own_door, made)
    assert '"requests_per_minute": 7' in run("list", "--json")
    assert accepted(own_door, run("rotate", "web", "--grace-hours", "0"))
    run("revoke", "web")
    assert run("list", "--json").count('"revoked_at": null') == 1
    wrong = CliRunner().invoke(commands, ["keys", "create", "--scope", "all", "--name", "x"])
    assert wrong.exit_code == 1
