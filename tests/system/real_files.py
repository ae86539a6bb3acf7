"""What the examples must make of the real files, told without the loader from the files themselves.

Belongs here: one function per example that gives the rows, rejections and expiries to expect.
Does not: loading. Invariant: nothing of the platform is imported, so that a mistake of the loader
cannot hide behind itself.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

Row = dict[str, Any]
# What is read of the largest files: the first lines, so that the suite keeps to its budget.
HEADS = {
    "events_se_bicycles_meta.jsonl.gz": 2_500,
    "events_uci_online_retail_2010-12_2011-03.csv.gz": 30_000,
}
KEPT_DAYS = 365  # of conversations and messages
AGENT_FILES = ("commits_agentsview", "commits_git-ai_to-2026-01")


@dataclass
class Table:
    """What one raw table must hold: ``query`` gives ``rows``, as often as they are there."""

    query: str
    rows: Counter[tuple[Any, ...]]
    rejected: dict[str, int] = field(default_factory=dict)
    expired: int = 0


Expected = dict[str, Table]
EVENT = 'select event_type, "timestamp", user_id{} from raw.platform_events'


@cache
def lines(path: Path) -> list[Row]:
    """Records of a JSONL or CSV file; nothing and the empty text are both None in CSV."""
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        if ".jsonl" in path.name:
            return [json.loads(line) for line in file]
        blank = path.name == "survey_uci_adult.csv.gz"  # as published, after each comma
        records = csv.DictReader(file, skipinitialspace=blank)
        return [{name: value or None for name, value in row.items()} for row in records]


def moment(text: str) -> datetime:
    """An instant; without a zone it is UTC."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def kept(rows: Iterable[tuple[Any, ...]], as_of: datetime, query: str) -> Table:
    """Rows of a table that keeps a year; the time is the second value of a row."""
    every = list(rows)
    first = (as_of - timedelta(days=KEPT_DAYS)).date()
    young = Counter(row for row in every if row[1].date() >= first)
    return Table(query, young, expired=len(every) - young.total())


def web_searches(data: Path, _: datetime) -> Expected:
    searches = Counter(
        (
            "search_performed" if row["query"] else "search_without_query",
            datetime.strptime("19" + row["timestamp"], "%Y%m%d%H%M%S").replace(tzinfo=UTC),
            row["user"],
            row["query"],
        )
        for row in lines(data / "search_excite_queries.csv.gz")
    )
    return {"platform_events": Table(EVENT.format(", event_data ->> 'query'"), searches)}


def cran_installs(data: Path, _: datetime) -> Expected:
    rows = lines(data / "installs_cran_log.csv.gz")
    named = [row for row in rows if row["package"]]
    installs = Counter(
        (
            "server_installed",
            moment(f"{row['date']}T{row['time']}Z"),
            f"{row['date']}-{row['ip_id']}",
            row["package"],
            row["country"],
        )
        for row in named
    )
    return {
        "servers": Table("select name from raw.servers", Counter({(r["package"],) for r in named})),
        "platform_events": Table(
            EVENT.format(", event_data ->> 'server_id', geo_location ->> 'country'"),
            installs,
            rejected={"missing_field": len(rows) - len(named)},
        ),
    }


def online_retail(data: Path, _: datetime) -> Expected:
    rows = lines(data / "events_uci_online_retail_2010-12_2011-03.csv.gz")
    bought = Counter(
        (
            "order.line_cancelled" if row["InvoiceNo"].startswith("C") else "order.line_bought",
            moment(row["InvoiceDate"]),
            row["CustomerID"] and row["CustomerID"].removesuffix(".0"),
            row["InvoiceNo"],
            row["StockCode"],
            int(row["Quantity"]),
            float(row["UnitPrice"]),
        )
        for row in rows
    )
    assert max(bought.values()) > 1, "the file has lines that are alike; none may be lost"
    values = (
        ", entity_id, event_data ->> 'stock_code', (event_data ->> 'quantity')::int"
        ", (event_data ->> 'unit_price')::float"
    )
    return {"platform_events": Table(EVENT.format(values), bought)}


def developer_survey(data: Path, _: datetime) -> Expected:
    shares = {"daily": 90, "weekly": 50, "infrequently": 10, "soon": 0, "to": 0}
    rows = lines(data / "survey_stackoverflow_2025_first1000.csv.gz")
    profiles = Counter(
        (
            f"respondent-{row['ResponseId']}",
            "not stated" if row["DevType"] == "NA" else row["DevType"],
            shares[row["AISelect"].rsplit(maxsplit=1)[-1]],
            tuple([] if languages == "NA" else languages.split(";")),
        )
        for row in rows
        if row["AISelect"] != "NA" and (languages := row["LanguageHaveWorkedWith"])
    )
    query = """
        select
            user_id, event_data ->> 'archetype', (event_data ->> 'ai_percentage')::int,
            array(select jsonb_array_elements_text(event_data -> 'languages'))
        from raw.platform_events
    """
    silent = {"missing_field": len(rows) - profiles.total()}
    return {"platform_events": Table(query, profiles, rejected=silent)}


def adult_census(data: Path, _: datetime) -> Expected:
    people = Counter(
        (
            "not stated" if row["occupation"] == "?" else row["occupation"],
            int(row["hours-per-week"]),
            int(row["age"]),
            int(row["education-num"]) * 100 / 16,
            None if row["native-country"] == "?" else row["native-country"],
        )
        for row in lines(data / "survey_uci_adult.csv.gz")
    )
    query = """
        select
            event_data ->> 'archetype', (event_data ->> 'activity_score')::int,
            (event_data ->> 'diversity_score')::int, (event_data ->> 'ai_percentage')::float,
            event_data -> 'languages' ->> 0
        from raw.platform_events
    """
    return {"platform_events": Table(query, people)}


def oasst(data: Path, as_of: datetime) -> Expected:
    rows = lines(data / "conv_oasst2_messages.jsonl.gz")
    roles = {"prompter": "user", "assistant": "assistant"}
    messages = (
        (
            row["message_id"],
            moment(row["created_date"]),
            row["message_tree_id"],
            row["user_id"],
            roles[row["role"]],
            row["text"],
            row["lang"],
        )
        for row in rows
    )
    trees: dict[str, list[datetime]] = {}
    for row in rows:
        trees.setdefault(row["message_tree_id"], []).append(moment(row["created_date"]))
    return {
        "conversations": kept(
            ((tree, min(times), max(times)) for tree, times in trees.items()),
            as_of,
            "select conversation_id, started_at, ended_at from raw.conversations",
        ),
        "messages": kept(
            messages,
            as_of,
            "select message_id, created_at, conversation_id, user_id, role, content,"
            " metadata ->> 'lang' from raw.messages",
        ),
    }


def coding_sessions(data: Path, as_of: datetime) -> Expected:
    rows = lines(data / "conv_ai_coding_sessions.jsonl.gz")
    began = {row["session_id"]: moment(row["session_started_at"]) for row in rows}
    return {
        "conversations": kept(
            began.items(), as_of, "select conversation_id, started_at from raw.conversations"
        ),
        "messages": kept(
            (
                (
                    row["session_id"],
                    moment(row["sent_at"] or row["session_started_at"]),
                    row["user_id"],
                    row["role"],
                    row["text"],
                )
                for row in rows
            ),
            as_of,
            "select conversation_id, created_at, user_id, role, content from raw.messages",
        ),
    }


def mcp_registry(data: Path, as_of: datetime) -> Expected:
    days = lines(data / "registry_mcp_toolhive_daily.csv.gz")
    packages = lines(data / "registry_npm_mcp_monthly_downloads.csv.gz")
    now = lines(data / "registry_mcp_toolhive_servers.jsonl.gz")
    start = datetime(2025, 3, 1, tzinfo=UTC)
    states = [
        (
            row["server"],
            moment(row["committed_at"]),
            row["section"],
            row["status"] and row["status"].lower(),
            int(row["stars"] or 0),
        )
        for row in days
    ]
    states += [(r["name"], as_of, r["section"], r["status"].lower(), 0) for r in now]
    states += [(f"npm:{row['package']}", start, "npm", None, 0) for row in packages]
    query = """
        select
            server_id, valid_from, category, status, coalesce((metadata ->> 'stars')::int, 0)
        from raw.servers
    """
    return {"servers": Table(query, Counter(states))}


def agent_commits(data: Path, _: datetime) -> Expected:
    made = [row for name in AGENT_FILES for row in lines(data / "agent" / f"{name}.jsonl.gz")]
    commits = (
        (
            "commit.created",
            moment(row["timestamp"]),
            row["author_email_hash"],
            row.get("lines_added"),
            len(row.get("agents", [])),
        )
        for row in made
    )
    sessions = (
        ("agent.session", moment(row["started_at"]), row.get("developer_email_hash"), None, None)
        for row in lines(data / "agent" / "sessions_git-ai_to-2026-01.jsonl.gz")
    )
    robots = {r["author_email_hash"] for r in made if "author_bot" in r}
    people = {(row["author_email_hash"], row["author_email_hash"] in robots) for row in made}
    values = ", (event_data ->> 'lines_added')::int, jsonb_array_length(event_data -> 'agents')"
    return {
        "users": Table("select user_id, is_internal from raw.users", Counter(people)),
        "platform_events": Table(EVENT.format(values), Counter([*commits, *sessions])),
    }


def ubuntu_irc(data: Path, as_of: datetime) -> Expected:
    types = {"message": "chat.message", "nick_change": "chat.nick_changed"}
    said: list[tuple[Any, ...]] = []
    days: dict[str, list[datetime]] = {}
    events: Counter[tuple[Any, ...]] = Counter()
    rows = lines(data / "conv_ubuntu_irc.jsonl.gz")
    for row in rows:
        at = moment(f"{row['date']}T{row.get('time') or '00:00'}:00")
        events[(types.get(row["type"], "chat.system_line"), at, row.get("nick"))] += 1
        if row["type"] == "message":
            said.append((f"{row['file']}:{row['line']}", at, row["nick"], row.get("text") or ""))
            days.setdefault(row["file"], []).append(at)
    people = {(r["nick"], not r["nick"].startswith("nick_")) for r in rows if r.get("nick")}
    return {
        "users": Table("select user_id, is_internal from raw.users", Counter(people)),
        "conversations": kept(
            ((file, min(times), max(times)) for file, times in days.items()),
            as_of,
            "select conversation_id, started_at, ended_at from raw.conversations",
        ),
        "messages": kept(
            said, as_of, "select message_id, created_at, user_id, content from raw.messages"
        ),
        "platform_events": Table(EVENT.format(""), events),
    }


def stack_exchange(data: Path, as_of: datetime) -> Expected:
    people = (
        (row["Id"], moment(row["CreationDate"]), row["Id"] == "-1")
        for row in lines(data / "users_se_bicycles_meta.csv.gz")
    )
    events = Counter(map(_se_event, lines(data / "events_se_bicycles_meta.jsonl.gz")))
    posts = lines(data / "conv_se_bicycles_meta_posts.jsonl.gz")
    question = {
        row["Id"]: row.get("ParentId") or row["Id"] for row in posts if row["table"] == "Posts"
    }
    return {
        "users": Table("select user_id, signup_at, is_internal from raw.users", Counter(people)),
        "conversations": kept(
            (
                (row["Id"], moment(row["CreationDate"]), row.get("OwnerUserId"), row.get("Title"))
                for row in posts
                if row["table"] == "Posts" and row["PostTypeId"] != "2"
            ),
            as_of,
            "select conversation_id, started_at, user_id, title from raw.conversations",
        ),
        "messages": kept(
            (
                (
                    f"{row['table']}-{row['Id']}",
                    moment(row["CreationDate"]),
                    question[row["PostId" if row["table"] == "Comments" else "Id"]],
                    row.get("UserId") or row.get("OwnerUserId"),
                    row.get("Text") or row.get("Body") or "",
                )
                for row in posts
            ),
            as_of,
            "select message_id, created_at, conversation_id, user_id, content from raw.messages",
        ),
        "platform_events": Table(
            EVENT.format(", entity_id, event_data ->> 'badge', event_data ->> 'vote'"), events
        ),
    }


def _se_event(row: Row) -> tuple[Any, ...]:
    at = moment(row.get("Date") or row["CreationDate"])
    vote = None
    if row["table"] == "Badges":
        kind = "badge.earned"
    elif row["table"] == "Votes":
        kind = "vote.cast"
        vote = {1: "accepted", 2: "up", 3: "down"}.get(int(row["VoteTypeId"]), "other")
    else:
        change = int(row["PostHistoryTypeId"])
        if change <= 3:
            kind = "post.created"
        else:
            kind = "post.edited" if change <= 9 or change == 24 else "post.moderated"
    return kind, at, row.get("UserId"), row.get("PostId"), row.get("Name"), vote


Expectation = Callable[[Path, datetime], Expected]
EXPECTATIONS: dict[str, Expectation] = {
    function.__name__: function
    for function in (
        web_searches,
        cran_installs,
        online_retail,
        developer_survey,
        adult_census,
        oasst,
        coding_sessions,
        mcp_registry,
        agent_commits,
        ubuntu_irc,
        stack_exchange,
    )
}
