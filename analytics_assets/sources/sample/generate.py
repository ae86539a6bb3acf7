"""Generates a sample: the one public door of the package.

Belongs here: the order of the work and the files it leaves. Does not: any drawing or formatting.
Invariant: files of an earlier sample are removed first and ``truth.json`` is written last, so an
interrupted run is never taken for a finished sample. numpy is imported on the first call only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analytics_assets.sources.sample.manifest import (
    CONVERSATION_TRUTH_FILE,
    SOURCES_FILE,
    TRUTH_FILE,
    USER_TRUTH_FILE,
    EventFormat,
    SampleManifest,
    SampleParameters,
    manifest_of,
)

if TYPE_CHECKING:
    from analytics_assets.sources.sample.company import Company
    from analytics_assets.sources.sample.truth import EventTruth

Progress = Callable[[int, int], None]

DEFAULT_USERS: Final = 400
DEFAULT_DAYS: Final = 35
DEFAULT_EVENTS: Final = 60_000
DEFAULT_SEED: Final = 7
DEFAULT_START_DAY: Final = date(2026, 4, 27)

_TABLE_FILES: Final = {
    "user": "users.jsonl",
    "server": "servers.jsonl",
    "conversation": "conversations.jsonl",
    "message": "messages.jsonl",
    "service_job": "service_jobs.jsonl",
}
_TABLES: Final = {
    "user": "users",
    "server": "servers",
    "conversation": "conversations",
    "message": "messages",
    "service_job": "service_jobs",
}


def generate_sample(
    destination: Path,
    *,
    users: int = DEFAULT_USERS,
    days: int = DEFAULT_DAYS,
    events: int = DEFAULT_EVENTS,
    seed: int = DEFAULT_SEED,
    start_day: date = DEFAULT_START_DAY,
    progress: Progress | None = None,
    format: EventFormat = "jsonl",  # noqa: A002 (the name users know from other tools)
    rows_per_file: int = 2_000_000,
    events_only: bool = False,
) -> SampleManifest:
    """Write a made-up company into ``destination`` and say what is in it.

    ``events`` counts valid distinct events; duplicates and malformed rows come on top. Samples of
    more than ``rows_per_file`` events are written in parts. ``events_only`` leaves out
    conversations, messages and jobs (users and servers are always written). ``progress`` is
    called with events done and events in all. Raises ``SampleError`` for parameters out of range
    and ``OSError`` when the folder cannot be written.
    """
    parameters = SampleParameters(
        users=users,
        days=days,
        events=events,
        seed=seed,
        start_day=start_day,
        format=format,
        rows_per_file=rows_per_file,
        events_only=events_only,
    )
    from analytics_assets.sources.sample.company import build_company

    destination.mkdir(parents=True, exist_ok=True)
    _remove_earlier(destination)
    company = build_company(users, days, seed)
    truth = _write_activity(destination, parameters, company, progress)
    _write_sources(destination, parameters)
    for name, facts in truth["files"].items():
        facts["bytes"] = (destination / name).stat().st_size
    unfinished = destination / f"{TRUTH_FILE}.part"
    unfinished.write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(destination / TRUTH_FILE)
    return manifest_of(destination, parameters, truth)


def _remove_earlier(destination: Path) -> None:
    """Remove what an earlier run wrote, and nothing else."""
    (destination / TRUTH_FILE).unlink(missing_ok=True)
    names = {*_TABLE_FILES.values(), CONVERSATION_TRUTH_FILE, USER_TRUTH_FILE, SOURCES_FILE}
    for path in destination.iterdir():
        event_file = path.suffix in (".jsonl", ".csv", ".parquet") and (
            path.stem == "events" or path.stem.removeprefix("events-").isdigit()
        )
        if path.is_file() and (event_file or path.name in names):
            path.unlink()


def _write_activity(
    destination: Path, parameters: SampleParameters, company: Company, progress: Progress | None
) -> dict[str, Any]:
    """All files of data, day by day; returns the truth about them."""
    from analytics_assets.sources.sample.behaviour import Behaviour
    from analytics_assets.sources.sample.conversations import ConversationWriter
    from analytics_assets.sources.sample.defects import Defects
    from analytics_assets.sources.sample.payloads import Entities, Observations
    from analytics_assets.sources.sample.rows import render
    from analytics_assets.sources.sample.truth import EventTruth
    from analytics_assets.sources.sample.writer import event_writer

    start, days, seed = parameters.start_day, parameters.days, parameters.seed
    behaviour = Behaviour(company, start, days, parameters.events, seed)
    counted = EventTruth(company, start)
    defects = Defects(parameters)
    entities, observed = Entities(), Observations()
    whole = parameters.events <= parameters.rows_per_file
    done = 0
    with ExitStack() as stack:
        text_files = {
            kind: stack.enter_context(
                (destination / name).open("w", encoding="utf-8", newline="\n")
            )
            for kind, name in (_TABLE_FILES | {"truth": CONVERSATION_TRUTH_FILE}).items()
        }
        written = event_writer(
            destination, parameters.format, None if whole else parameters.rows_per_file
        )
        stack.callback(written.close)
        talk = ConversationWriter(company, start, days, seed, text_files)
        for number in range(days):
            day = behaviour.day(number)
            for slab in behaviour.slabs(day):
                counted.add(slab)
                batch = render(
                    company,
                    slab,
                    behaviour.date_of(number),
                    seed=seed,
                    entities=entities,
                    observations=observed,
                )
                written.write(defects.tamper(batch, number, slab.number))
                done += slab.rows
                if progress is not None:
                    progress(done, parameters.events)
            counted.end_day(number, last=number == days - 1)
            if not parameters.events_only:
                talk.write_day(number, day.active)
    rows = _write_registers(destination, parameters, company, counted)
    dialogue = talk.truth.as_json()
    for kind, name in (
        ("conversation", "conversations_by_day"),
        ("message", "messages_by_day"),
        ("service_job", "service_jobs_by_day"),
    ):
        rows[kind] = sum(dialogue[name].values())
    files: dict[str, dict[str, Any]] = {
        file.path.name: {"kind": "event", "rows": file.rows} for file in written.files
    }
    files |= {name: {"kind": kind, "rows": rows[kind]} for kind, name in _TABLE_FILES.items()}
    return {
        "parameters": parameters.as_json(),
        "end_day": parameters.end_day.isoformat(),
        "files": files,
        "rows": rows,
        "events": {
            "lines": sum(file.rows for file in written.files),
            "valid_distinct": done,
            "late": defects.late,
            "late_by_day": {
                behaviour.date_of(number).isoformat(): count
                for number, count in sorted(defects.late_by_day.items())
            },
            "duplicates": defects.duplicates,
            "malformed": defects.malformed,
        }
        | counted.as_json()
        | {
            "installs_by_server": dict(sorted(observed.installs.items())),
            "searches_by_common_query": dict(
                sorted(observed.queries.items(), key=lambda pair: (-pair[1], pair[0]))
            ),
            "ai_percentage_by_day": {
                behaviour.date_of(number).isoformat(): {"analyses": count, "sum": total}
                for number, (count, total) in sorted(observed.ai.items())
            },
        },
        "users": _user_totals(company, days),
        "conversations": dialogue,
    }


def _write_registers(
    destination: Path, parameters: SampleParameters, company: Company, counted: EventTruth
) -> dict[str, int]:
    """Users, servers and the truth per user; returns rows per kind."""
    from analytics_assets.sources.sample import registers

    start, days = parameters.start_day, parameters.days

    def write(name: str, rows: Iterable[dict[str, Any]]) -> int:
        count = 0
        with (destination / name).open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(registers.json_row(row))
                count += 1
        return count

    truths = registers.user_truth(company, start, days, counted.active_days, counted.last_day)
    write(USER_TRUTH_FILE, truths)
    servers = registers.server_rows(company, start, days, parameters.seed)
    return {
        "user": write(_TABLE_FILES["user"], registers.user_rows(company, start)),
        "server": write(_TABLE_FILES["server"], servers),
    }


def _user_totals(company: Company, days: int) -> dict[str, int]:
    """How many users are what."""
    return {
        "total": len(company.user_ids),
        "internal": int(company.internal.sum()),
        "bots": int(company.bot.sum()),
        "consenting_at_start": int(company.consent.sum()),
        "signed_up_during_sample": int((company.signup_ms >= 0).sum()),
        "leaving": int((company.churn_day < days).sum()),
        "returning": int((company.gap_end < days).sum()),
        "changing_role": int((company.role != company.next_role).sum()),
    }


def _write_sources(destination: Path, parameters: SampleParameters) -> None:
    """The sources file for the loader; kinds without rows are left out."""
    lines = [
        "# Written with the sample; paths are relative to this file.",
        "sources:",
        "  - name: sample_events",
        "    type: files",
        "    table: platform_events",
        f"    path: events*.{parameters.format}",
    ]
    for kind, file_name in _TABLE_FILES.items():
        if parameters.events_only and kind not in ("user", "server"):
            continue
        lines += [
            f"  - name: sample_{_TABLES[kind]}",
            "    type: files",
            f"    table: {_TABLES[kind]}",
            f"    path: {file_name}",
        ]
    (destination / SOURCES_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
