"""The sample's events against the platform's own validation, in a real Postgres.

Belongs here: that every planted defect is refused for its own reason and nothing else is refused.
Does not: loading into raw. Invariant: lines that no JSON reader or UTF-8 decoder takes never reach
Postgres; the loader quarantines them before.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from psycopg import sql
from psycopg.types.json import Jsonb

from analytics_assets.events.catalogue import load_catalogue
from analytics_assets.events.envelope import EnvelopeRules
from analytics_assets.events.validation import problem_code, problem_expression
from analytics_assets.settings import Settings
from analytics_assets.sources.sample import generate_sample
from analytics_assets.store.database import Database

CODES = {
    "unknown_event_type": {"unknown_event_type"},
    "wrong_type": {"wrong_type", "invalid_timestamp"},
    "missing_field": {"missing_field", "missing_timestamp"},
    "future_timestamp": {"future_timestamp"},
    "ancient_timestamp": {"before_start_day"},
    "oversized": {"oversized"},
}


def test_every_planted_defect_is_refused_for_its_own_reason(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    sample = generate_sample(tmp_path, users=100, days=14, events=20_000)
    planted = sample.truth()["events"]["malformed"]
    unreadable: Counter[str] = Counter()
    rules = EnvelopeRules(settings.now(), settings.clock_skew, sample.parameters.start_day)
    with database.connect("analytics_pipeline") as connection:
        connection.execute(
            "create temporary table staged (event_id_text text, event_type text, ts_text text,"
            " user_id text, event_data jsonb, metadata jsonb, byte_size integer)"
        )
        with connection.cursor().copy("copy staged from stdin") as copy:
            for raw in sample.event_files[0].read_bytes().splitlines():
                try:
                    event = json.loads(raw)
                except UnicodeDecodeError:
                    unreadable["invalid_utf8"] += 1
                    continue
                except ValueError:
                    unreadable["broken_json"] += 1
                    continue
                if "\\u0000" in raw.decode():
                    unreadable["nul_escape"] += 1
                    continue
                data, metadata = event["event_data"], event["metadata"]
                size = len(json.dumps(data)) + len(json.dumps(metadata))
                copy.write_row(
                    (event["event_id"], event["event_type"], event["timestamp"],
                     event["user_id"], Jsonb(data), Jsonb(metadata), size)
                )  # fmt: skip
        query = sql.SQL(
            "select {} from (select *, ops.try_timestamptz(ts_text) as ts from staged) as s"
        ).format(problem_code(problem_expression(load_catalogue(), rules)))
        rows = connection.execute(query).fetchall()
    codes = Counter(code for (code,) in rows if code is not None)
    assert unreadable == {kind: count for kind, count in planted.items() if kind not in CODES}
    for kind, expected in CODES.items():
        found = {code: codes[code] for code in expected}
        assert sum(found.values()) == planted[kind], f"{kind}: {codes}"
    assert sum(codes.values()) + sum(unreadable.values()) == sample.malformed
    assert len(rows) - sum(codes.values()) == sample.events + sample.duplicates
