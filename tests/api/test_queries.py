"""Single events, aggregations of any zone, metrics: complete, exact, bounded."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from door import Door, event, serving
from marts_world import AS_OF, DAY, MartsWorld, Sent

from analytics_assets.api import event_log, event_pages
from analytics_assets.client import Analytics

EVENTS = "/api/analytics/events"
AGGREGATIONS = "/api/analytics/aggregations"
METRICS = "/api/analytics/metrics"
REALTIME = "/api/analytics/realtime"
ALL = {"start_date": "2025-10-20", "end_date": "2026-06-08"}
FORTNIGHT = {"start_date": "2026-05-25", "end_date": "2026-06-07"}


def newest_first(events: list[Sent], **of: Any) -> list[str]:
    """Ids of the events whose attributes are ``of``."""
    found = [e for e in events if all(getattr(e, name) == v for name, v in of.items())]
    return [e.event_id for e in sorted(found, key=lambda e: (e.timestamp, e.event_id))][::-1]


# --- /events --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [37, 1_000])
def test_following_next_gives_every_event_once_and_newest_first(
    marts: MartsWorld, limit: int
) -> None:
    pages = list(marts.pages(EVENTS, "events", **ALL, limit=limit))
    assert all(len(page) == limit for page in pages[:-1])
    ids = [e["event_id"] for page in pages for e in page]
    assert ids == newest_first(marts.events)


def test_a_page_states_its_limit_its_total_and_where_the_next_begins(marts: MartsWorld) -> None:
    response = marts.ask(EVENTS, **ALL, limit=5)
    page = response.json()
    assert (page["total"], page["limit"], len(page["events"])) == (len(marts.events), 5, 5)
    assert response.headers["x-row-limit"] == "5"
    assert response.headers["x-next-cursor"] == page["next"]
    following = marts.door.client.get(
        response.links["next"]["url"], headers={"x-api-key": marts.key}
    ).json()
    assert following["total"] == page["total"]
    ids = [e["event_id"] for e in page["events"] + following["events"]]
    assert ids == newest_first(marts.events)[:10]
    assert marts.get(EVENTS, **FORTNIGHT, limit=100_000)["limit"] == event_log.MOST_IN_JSON


def test_events_can_be_asked_for_by_type_category_user_and_day(marts: MartsWorld) -> None:
    def ids(**parameters: Any) -> list[str]:
        answer = marts.get(EVENTS, **{**ALL, "limit": 1_000, **parameters})
        assert answer["total"] == len(answer["events"])
        return [e["event_id"] for e in answer["events"]]

    assert ids(event_types="server_installed") == newest_first(
        marts.events, event_type="server_installed"
    )
    both = ids(event_types="server_installed,search.performed", **FORTNIGHT)
    assert both == ids(event_types=["search.performed", "server_installed"], **FORTNIGHT)
    assert ids(event_category="registry") == newest_first(marts.events, category="registry")
    assert ids(user_id="u3") == newest_first(marts.events, user_id="u3")
    assert ids(user_id="u3", event_types="server_installed") == newest_first(
        marts.events, user_id="u3", event_type="server_installed"
    )
    assert ids(event_types="never.heard") == ids(user_id="nobody") == []
    day = [e for e in marts.events if e.timestamp.date() == date(2026, 6, 1)]
    assert ids(start_date="2026-06-01", end_date="2026-06-01") == newest_first(day)
    # The last seven days where none are named.
    week = [e for e in marts.events if e.timestamp.date() > AS_OF.date() - 7 * DAY]
    assert len(marts.get(EVENTS, limit=1_000)["events"]) == len(week)


def test_the_python_client_reads_what_the_api_answers(marts: MartsWorld) -> None:
    types = ["project.viewed", "server_installed"]
    with Analytics(marts.door.url, marts.key) as client:
        page = client.query_events(event_types=types, **ALL, limit=3)
        rest = client.query_events(event_types=types, **ALL, limit=3, cursor=page["next"])
        weeks = client.query_aggregations(
            aggregation_type="weekly", event_category="interaction", **FORTNIGHT
        )
        metrics = client.dashboard_metrics(names=["total_searches"], **FORTNIGHT)
        moment = client.realtime()
    found = [e["event_id"] for e in page["events"] + rest["events"]]
    wanted = [e for e in marts.events if e.event_type in types]
    assert found == newest_first(wanted)[:6]
    assert weeks == marts.get(
        AGGREGATIONS, aggregation_type="weekly", event_category="interaction", **FORTNIGHT
    )
    assert metrics == marts.get(METRICS, names="total_searches", **FORTNIGHT)
    assert set(moment) == set(marts.get(REALTIME))


def test_personal_fields_stay_inside(marts: MartsWorld) -> None:
    answer = marts.ask(EVENTS, event_types="search.performed", limit=3, **FORTNIGHT)
    assert "words" not in answer.text
    assert answer.json()["events"][0]["metadata"] == {"app": "web"}
    assert answer.json()["events"][0]["event_data"] == {"results_count": 3}


def test_csv_and_parquet_hold_what_json_holds(
    marts: MartsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_pages, "_BATCH", 100)
    monkeypatch.setattr(event_pages, "_KEYS", 130)
    asked = {**FORTNIGHT, "limit": 750}
    plain = marts.get(EVENTS, **asked)
    as_csv = marts.ask(EVENTS, **asked, format="csv")
    assert as_csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert as_csv.headers["transfer-encoding"] == "chunked"
    as_parquet = marts.ask(EVENTS, **asked, accept="application/vnd.apache.parquet")
    for response in (as_csv, as_parquet):
        assert response.headers["x-next-cursor"] == plain["next"]
        assert response.headers["x-total"] == str(plain["total"])
        assert "attachment" in response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    assert [r["event_id"] for r in rows] == [e["event_id"] for e in plain["events"]]
    for row, shown in zip(rows, plain["events"], strict=True):
        assert row["timestamp"] == shown["timestamp"]
        assert json.loads(row["event_data"]) == shown["event_data"]
        assert (row["user_id"] or None) == shown["user_id"]
    table = pq.read_table(io.BytesIO(as_parquet.content))
    assert table.num_rows == 750
    assert table["event_id"].to_pylist() == [e["event_id"] for e in plain["events"]]
    times = [t.isoformat().replace("+00:00", "Z") for t in table["timestamp"].to_pylist()]
    assert times == [e["timestamp"] for e in plain["events"]]
    # The rest follows, and is the last of it.
    rest = marts.ask(EVENTS, **asked, format="csv", cursor=plain["next"])
    assert "x-next-cursor" not in rest.headers
    assert rest.text.count("\r\n") - 1 == plain["total"] - 750
    assert marts.ask(EVENTS, user_id="nobody", format="parquet", **ALL).content[:4] == b"PAR1"


def test_writing_parquet_does_not_bring_pandas_along() -> None:
    program = (
        "import sys, io, pyarrow.parquet as pq;"
        "from analytics_assets.api.formats import *;"
        "file = ParquetFile(Table('rows', (Column('name'), Column('n', 'integer'))));"
        "data = file.add([('a', 1), (None, 2)]) + file.add([('c', None)]) + file.end();"
        "assert 'pandas' not in sys.modules;"
        "table = pq.read_table(io.BytesIO(data));"
        "assert table.to_pylist()[1:] == [{'name': None, 'n': 2}, {'name': 'c', 'n': None}];"
        "assert len(table.to_pandas()) == 3"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_is_loaded_meanwhile_disturbs_no_page(own_marts: MartsWorld) -> None:
    first = own_marts.get(EVENTS, **FORTNIGHT, limit=100)
    own_marts.door.send(
        *(event(timestamp=f"2026-06-0{n}T10:00:00Z") for n in (2, 3, 4, 5, 6)),
        event(timestamp="2026-06-07T23:59:59Z"),
    )
    own_marts.door.load()
    seen = first["events"]
    for page in own_marts.pages(EVENTS, "events", **FORTNIGHT, limit=100, cursor=first["next"]):
        seen += page
    ids = [e["event_id"] for e in seen]
    assert len(ids) == len(set(ids))
    before = newest_first([e for e in own_marts.events if e.timestamp.date() >= date(2026, 5, 25)])
    assert [i for i in ids if i in set(before)] == before


# --- /aggregations --------------------------------------------------------------------------------

ZONES = (
    "UTC", "Asia/Kathmandu", "Asia/Tehran", "Europe/Berlin", "America/Santiago", "Asia/Beirut",
    "Australia/Lord_Howe", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago",
)  # fmt: skip


def found(answer: Any) -> dict[Any, Any]:
    return {
        (
            datetime.fromisoformat(row["period_start"]).astimezone(UTC),
            row["event_category"],
            row["event_type"],
        ): (row["total_events"], row["unique_users"])
        for row in answer["aggregations"]
    }


@pytest.mark.parametrize("zone", ZONES)
def test_buckets_and_users_are_those_of_the_zone(marts: MartsWorld, zone: str) -> None:
    ranges = (
        (date(2025, 10, 25), date(2025, 10, 27)),
        (date(2026, 3, 28), date(2026, 4, 5)),
        (date(2026, 5, 28), date(2026, 6, 7)),
    )
    for grain in ("hourly", "daily", "weekly"):
        for first, last in ranges:
            answer = marts.get(
                AGGREGATIONS, aggregation_type=grain, time_zone=zone, start_date=first,
                end_date=last, limit=10_000,
            )  # fmt: skip
            expected = marts.aggregated(grain, zone, first, last)
            assert found(answer) == expected, (grain, first)
            assert len(expected) > 5
            assert len(answer["aggregations"]) == len(expected)


def test_an_hour_that_clocks_repeat_is_two_hours(marts: MartsWorld) -> None:
    answer = marts.get(
        AGGREGATIONS, aggregation_type="hourly", time_zone="Europe/Berlin",
        start_date="2025-10-26", end_date="2025-10-26",
    )  # fmt: skip
    starts = {row["period_start"] for row in answer["aggregations"]}
    assert {"2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"} <= starts


def test_totals_of_a_zone_have_no_longest_range_and_its_users_have(marts: MartsWorld) -> None:
    month = {"time_zone": "Asia/Kathmandu", "start_date": "2026-05-08", "end_date": "2026-06-07"}
    assert marts.ask(AGGREGATIONS, **month).status_code == 200
    longer = {**month, "start_date": "2026-05-07"}
    refused = marts.ask(AGGREGATIONS, **longer)
    assert (refused.status_code, refused.json()["code"]) == (422, "range_too_long")
    assert "31 days" in refused.json()["detail"]
    assert "unique_users=false" in refused.json()["detail"]
    rows = marts.get(AGGREGATIONS, **longer, unique_users=False)["aggregations"]
    assert {row["unique_users"] for row in rows} == {None}
    assert sum(row["total_events"] for row in rows) > 0
    # Where it is UTC, users of any range have been counted already.
    utc = marts.get(AGGREGATIONS, **ALL, time_zone="Etc/UTC")["aggregations"]
    assert all(row["unique_users"] is not None for row in utc)


def test_aggregations_come_in_pages_and_filtered(marts: MartsWorld) -> None:
    for zone in ("UTC", "Asia/Tehran"):
        for grain in ("hourly", "daily", "weekly"):
            asked = {**FORTNIGHT, "time_zone": zone, "aggregation_type": grain}
            whole = marts.get(AGGREGATIONS, **asked, limit=10_000)["aggregations"]
            pages = list(marts.pages(AGGREGATIONS, "aggregations", **asked, limit=7))
            assert [row for page in pages for row in page] == whole
    some = marts.get(
        AGGREGATIONS, **FORTNIGHT, event_category="interaction", event_types="search.performed"
    )["aggregations"]
    assert {row["event_type"] for row in some} == {"search.performed"}
    assert marts.get(AGGREGATIONS, **FORTNIGHT, event_category="other")["aggregations"] == []


def test_weeks_are_whole_and_the_answer_says_which_days_it_used(marts: MartsWorld) -> None:
    answer = marts.get(
        AGGREGATIONS, aggregation_type="weekly", start_date="2026-06-03", end_date="2026-06-03",
        time_zone="Asia/Kathmandu",
    )  # fmt: skip
    assert (answer["start_date"], answer["end_date"]) == ("2026-06-01", "2026-06-07")
    assert {row["period_start"] for row in answer["aggregations"]} == {"2026-06-01T00:00:00+05:45"}


def test_users_that_can_no_longer_be_counted_are_null(own_marts: MartsWorld) -> None:
    asked = {"time_zone": "Asia/Kathmandu", "start_date": "2026-05-25", "end_date": "2026-05-28"}
    with own_marts.door.database.connect("analytics_pipeline", autocommit=True) as connection:
        connection.execute("delete from marts.int_user_hours where day <= '2026-05-26'")
        connection.execute("delete from raw.platform_events where day <= '2026-05-26'")
    rows = own_marts.get(AGGREGATIONS, **asked)["aggregations"]
    users = {}
    for row in rows:
        users.setdefault(row["period_start"][:10], set()).add(row["unique_users"] is None)
    assert users == {
        "2026-05-25": {True}, "2026-05-26": {True}, "2026-05-27": {True, False},
        "2026-05-28": {False},
    }  # fmt: skip


# --- /metrics -------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_mart(marts: MartsWorld) -> None:
    answer = marts.get(METRICS, **FORTNIGHT)
    assert len(answer["metrics"]) == 14 * 6
    shown = {(m["date"], m["metric_name"]): m["metric_value"] for m in answer["metrics"]}
    for day in (date(2026, 5, 25), date(2026, 6, 7)):
        events = [e for e in marts.events if e.timestamp.date() == day]
        searches = sum(e.event_type == "search.performed" for e in events)
        assert shown[day.isoformat(), "total_searches"] == searches
        users = {e.user_id for e in events} - {None}
        assert shown[day.isoformat(), "active_users"] == len(users)
    some = marts.get(METRICS, **FORTNIGHT, names=["active_users", "installation_count"])
    assert {m["metric_name"] for m in some["metrics"]} == {"active_users", "installation_count"}
    pages = list(marts.pages(METRICS, "metrics", **FORTNIGHT, limit=5))
    assert [row for page in pages for row in page] == answer["metrics"]
    rows = list(csv.DictReader(io.StringIO(marts.ask(METRICS, format="csv", **FORTNIGHT).text)))
    assert [float(r["metric_value"]) for r in rows] == [
        m["metric_value"] for m in answer["metrics"]
    ]
    parquet = pq.read_table(io.BytesIO(marts.ask(METRICS, format="parquet", **FORTNIGHT).content))
    assert parquet["date"].to_pylist()[0] == date(2026, 5, 25)


def test_an_answer_that_has_not_changed_is_not_sent_again(marts: MartsWorld) -> None:
    for path in (METRICS, AGGREGATIONS):
        etag = marts.ask(path, **FORTNIGHT).headers["etag"]
        headers = {"x-api-key": marts.key, "if-none-match": etag}
        again = marts.door.client.get(path, params=FORTNIGHT, headers=headers)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        other = marts.door.client.get(path, params=ALL, headers=headers)
        assert other.status_code == 200


# --- /realtime ------------------------------------------------------------------------------------


def test_realtime_is_fresher_than_a_run_and_counts_each_event_once(own_door: Door) -> None:
    key = own_door.key("query:metrics")

    def now() -> dict[str, int]:
        with own_door.database.connect_as_admin(own_door.database.name) as admin:
            admin.execute("update ops.platform_metrics_realtime set expires_at = now()")
        answer = own_door.client.get(REALTIME, headers={"x-api-key": key})
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    # The platform's clock stands at midnight, when the day has just begun.
    at = own_door.settings.now()
    recent, today = (at - timedelta(minutes=30)).isoformat(), at.isoformat()
    sent = [
        event(timestamp=recent, user_id="a"),
        event(timestamp=recent, user_id="a"),
        event(timestamp=(at - timedelta(hours=2)).isoformat(), user_id="old"),
        event(event_type="project.created", timestamp=today, user_id="b",
              event_data={"project_id": "p", "title": "t"}),
        event(event_type="server_installed", timestamp=today, user_id="c",
              event_data={"server_id": "s"}),
        event(event_type="search_performed", timestamp=today, user_id=...,
              event_data={"query": "q"}),
        event(timestamp=today, user_id="refused", event_data={}),
    ]  # fmt: skip
    answer = own_door.send(*sent)
    assert answer["quarantined"] == 1, answer
    before = now()
    assert before["active_users_last_hour"] == 3
    counted = ("projects_created_today", "proposals_submitted_today", "searches_today",
               "installs_today")  # fmt: skip
    assert [before[name] for name in counted] == [1, 0, 1, 1]
    own_door.load()
    assert own_door.waiting() == 0
    # Loaded, and some of it sent again.
    own_door.send(*sent[:4])
    after = now()
    assert {k: v for k, v in after.items() if k[-3:] != "_at"} == {
        k: v for k, v in before.items() if k[-3:] != "_at"
    }


def test_realtime_is_counted_once_in_a_while_and_forgotten(own_door: Door) -> None:
    key = own_door.key("query:metrics")

    def ask() -> Any:
        return own_door.client.get(REALTIME, headers={"x-api-key": key}).json()

    first = ask()
    own_door.send(event(timestamp=own_door.settings.now().isoformat(), user_id="new"))
    assert ask() == first
    left = "select count(*) from ops.platform_metrics_realtime"
    clean = "select ops.clean_realtime()"
    with own_door.database.connect("analytics_api", autocommit=True) as api:
        assert api.execute(clean).fetchone() == (0,)
        with own_door.database.connect_as_admin(own_door.database.name) as admin:
            admin.execute("update ops.platform_metrics_realtime set expires_at = now()")
        assert ask()["active_users_last_hour"] == 1
        with own_door.database.connect_as_admin(own_door.database.name) as admin:
            admin.execute("update ops.platform_metrics_realtime set expires_at = now()")
        assert api.execute(clean).fetchone() == (5,)
    assert own_door.rows(left) == [0]


# --- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "wrong", "named"),
    [
        (EVENTS, {"start_date": "2026-06-02", "end_date": "2026-06-01"}, "start_date"),
        (EVENTS, {"start_date": "1780000000"}, "start_date"),
        (EVENTS, {"start_date": "2026-06-01T00:00:00"}, "start_date"),
        (EVENTS, {"end_date": "2026-02-30"}, "end_date"),
        (EVENTS, {"end_date": "9999-12-31"}, "end_date"),
        (EVENTS, {"limit": 0}, "limit"),
        (EVENTS, {"limit": 100_001}, "limit"),
        (EVENTS, {"format": "xml"}, "format"),
        (EVENTS, {"cursor": "x"}, "cursor"),
        (EVENTS, {"user": "u1"}, "query"),
        (EVENTS, {"user_id": "\0"}, "user_id"),
        (EVENTS, {"event_types": ","}, "event_types"),
        (AGGREGATIONS, {"time_zone": "Mars/Base"}, "time_zone"),
        (AGGREGATIONS, {"time_zone": "../etc/passwd"}, "time_zone"),
        (AGGREGATIONS, {"time_zone": "UTC+3"}, "time_zone"),
        (AGGREGATIONS, {"aggregation_type": "monthly"}, "aggregation_type"),
        (AGGREGATIONS, {"limit": 10_001}, "limit"),
        (METRICS, {"names": "no_such"}, "names.0"),
        ("/api/v1/insights/events", {"period_kind": "year"}, "period_kind"),
        ("/api/v1/insights/events", {"cursor": "WyJ4Il0"}, "cursor"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(
    marts: MartsWorld, path: str, wrong: dict[str, Any], named: str
) -> None:
    response = marts.ask(path, **wrong)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
    assert [e["parameter"] for e in response.json()["errors"]] == [named]


def test_a_cursor_continues_only_its_own_query(marts: MartsWorld) -> None:
    for path in (EVENTS, AGGREGATIONS, METRICS):
        following = marts.get(path, **FORTNIGHT, limit=3)["next"]
        assert marts.ask(path, **FORTNIGHT, limit=9, cursor=following).status_code == 200
        other = marts.ask(path, **ALL, cursor=following)
        assert (other.status_code, other.json()["errors"][0]["parameter"]) == (400, "cursor")


def test_longest_ranges_and_forms_are_stated(marts: MartsWorld) -> None:
    refused = marts.ask(EVENTS, start_date="2025-01-01", end_date="2026-06-01")
    assert (refused.status_code, refused.json()["code"]) == (422, "range_too_long")
    assert "366" in refused.json()["detail"]
    unknown = marts.ask(METRICS, accept="application/xml")
    assert (unknown.status_code, unknown.json()["code"]) == (406, "not_acceptable")
    preferred = marts.ask(METRICS, accept="text/csv;q=0.5, application/json;q=0.9, */*;q=0.1")
    assert preferred.headers["content-type"] == "application/json"


def test_before_the_first_run_it_is_said_what_is_missing(door: Door) -> None:
    headers = {"x-api-key": door.key("query:events", "query:metrics")}
    for path in (EVENTS, AGGREGATIONS, METRICS):
        answer = door.client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_built")
        assert "analytics-assets run" in answer.json()["detail"]


def test_a_query_that_takes_too_long_is_given_up(
    own_marts: MartsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_assets.api.services.STATEMENT_SECONDS", 1)
    with (
        serving(own_marts.door.settings, own_marts.door.database) as hasty,
        own_marts.door.database.connect("analytics_pipeline") as blocker,
    ):
        blocker.execute("lock table marts.daily_metrics in access exclusive mode")
        response = hasty.client.get(METRICS, headers={"x-api-key": own_marts.key})
    assert (response.status_code, response.json()["code"]) == (503, "query_timeout")
