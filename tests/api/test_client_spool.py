"""The client's spool: what it was told is saved reaches the server, whoever died in between."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from servers.collector import Answer, Collector, Request, accept, told

from analytics_assets.client import Analytics, Problem, delivery
from analytics_assets.client import spool as spool_module

KEY = "aa_test_key"
SOON: dict[str, Any] = {"flush_interval": 0.01, "backoff_base": 0.01, "backoff_cap": 0.05}
NOBODY = "http://127.0.0.1:9"
# Saves events, says which, and is killed before any of them can be sent.
DIES = """
import os, signal, sys
from analytics_assets.client import Analytics
client = Analytics(sys.argv[1], "k", spool=sys.argv[2], flush_interval=3600)
for n in range(int(sys.argv[3])):
    print(client.track_share(media_id=str(n)), flush=True)
if sys.argv[4] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def dying(folder: Path, number: int, url: str = NOBODY, program: str = DIES) -> list[str]:
    """The ids of events that a killed process had saved."""
    done = subprocess.run(
        [sys.executable, "-c", program, url, folder, str(number), "dies"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.split()


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def test_a_restart_sends_what_a_killed_process_had_saved(tmp_path: Path) -> None:
    ids = dying(tmp_path, 30)
    assert len(ids) == 30
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    with Collector() as collector, Analytics(collector.url, KEY, spool=tmp_path, **SOON) as client:
        ids.append(str(client.track_share()))
        assert client.flush()
        assert (client.stats().recovered, client.stats().taken) == (30, 1)
    assert Counter(collector.ids) == Counter(ids)
    assert files(tmp_path) == []


def test_what_was_acknowledged_is_not_sent_again_after_a_crash(tmp_path: Path) -> None:
    program = DIES.replace("flush_interval=3600", "flush_interval=0.5, batch_events=4").replace(
        "if sys.argv[4]", "while client.stats().accepted < 4: pass\nif sys.argv[4]"
    )
    with Collector(accept, otherwise=lambda _: told(503, {})) as first:
        ids = dying(tmp_path, 10, url=first.url, program=program)
        assert first.requests[0].ids == ids[:4]
    with Collector() as second, Analytics(second.url, KEY, spool=tmp_path, **SOON) as client:
        assert client.flush()
    assert second.ids == ids[4:]


def test_a_line_that_a_crash_cut_off_harms_no_other(tmp_path: Path) -> None:
    ids = dying(tmp_path, 3)
    [segment] = tmp_path.glob("*.events")
    content = segment.read_bytes()
    segment.write_bytes(content[:-20])
    with Collector() as collector, Analytics(collector.url, KEY, spool=tmp_path, **SOON) as client:
        event_id = client.track_share()
        assert client.flush()
    assert sorted(collector.ids) == sorted([*ids[:2], str(event_id)])


def test_processes_share_a_folder_and_one_that_lives_takes_over_from_one_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_LOOK_AROUND_SECONDS", 0.05)
    with Collector() as collector, Analytics(collector.url, KEY, spool=tmp_path, **SOON) as client:
        other = subprocess.Popen(
            [sys.executable, "-c", DIES, NOBODY, tmp_path, "5", "lives"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert other.stdout is not None
        theirs = [other.stdout.readline().strip() for _ in range(5)]
        for _ in range(3):
            client.track_share()
            assert client.flush()
        assert client.stats().recovered == 0
        other.send_signal(signal.SIGKILL)
        other.wait()
        while client.stats().recovered < 5:
            client.track_share()
            assert client.flush()
        assert client.flush()
        other.communicate()
    assert Counter(collector.ids)[theirs[0]] == 1
    assert set(theirs) <= set(collector.ids)
    assert max(Counter(collector.ids).values()) == 1
    assert files(tmp_path) == []


def test_what_does_not_fit_into_memory_waits_on_disk(tmp_path: Path) -> None:
    options = {**SOON, "batch_events": 10, "max_queue": 10}
    with (
        Collector(*[told(503, {})] * 3) as collector,
        Analytics(collector.url, KEY, spool=tmp_path, **options) as client,
    ):
        ids = [client.track_share(media_id=str(n)) for n in range(95)]
        assert client.flush()
        told_of = client.stats()
    assert all(ids)
    accepted = [event_id for request in collector.requests[3:] for event_id in request.ids]
    assert Counter(accepted) == Counter(ids)
    assert (told_of.taken, told_of.accepted, told_of.recovered, told_of.dropped) == (95, 95, 0, 0)
    assert files(tmp_path) == []


def test_segments_are_removed_as_they_are_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "EVENTS_A_SEGMENT", 10)
    left: list[int] = []

    def counting(request: Request) -> Answer:
        left.append(files(tmp_path).count(".events"))
        return accept(request)

    with Collector(otherwise=counting) as collector:
        options = {**SOON, "batch_events": 10}
        with Analytics(collector.url, KEY, spool=tmp_path, **options) as client:
            for _ in range(5):
                for _ in range(10):
                    client.track_share()
                assert client.flush()
    assert max(left) <= 2
    assert len(collector.ids) == 50


def test_a_revoked_key_leaves_the_events_on_disk_for_the_next_one(tmp_path: Path) -> None:
    def refused(_: Request) -> Answer:
        return told(401, {"code": "revoked_key"})

    problems: list[Problem] = []
    with Collector(otherwise=refused) as collector:
        client = Analytics(collector.url, KEY, spool=tmp_path, **SOON, on_problem=problems.append)
        ids = [client.track_share() for _ in range(3)]
        assert not client.flush(0.3)
        assert not client.close(0.1)
    with Collector() as collector, Analytics(collector.url, KEY, spool=tmp_path, **SOON) as client:
        assert client.flush()
    assert collector.ids == ids
    assert problems == []


def test_a_full_disk_is_told_and_the_event_is_sent_from_memory(tmp_path: Path) -> None:
    with Collector() as collector:
        options = {**SOON, "spool_max_bytes": 500}
        with Analytics(collector.url, KEY, spool=tmp_path, **options) as client:
            promised = [client.track_share(media_id="x" * 100) for _ in range(4)]
            assert client.flush()
            assert client.stats().accepted == 4
    assert promised[-1] is None
    assert len(set(collector.ids)) == 4


def test_a_write_that_fails_half_way_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write

    def half(descriptor: int, content: bytes) -> int:
        if b'"media_id":"unlucky"' in content:
            return whole(descriptor, content[: len(content) // 2])
        return whole(descriptor, content)

    monkeypatch.setattr(os, "write", half)
    client = Analytics(NOBODY, KEY, spool=tmp_path, flush_interval=3600)
    saved = [client.track_share(media_id=name) for name in ("one", "unlucky", "two")]
    client.close(0)
    assert saved[1] is None
    [segment] = tmp_path.glob("*.events")
    assert [line.count(b"event_id") for line in segment.read_bytes().splitlines()] == [1, 1]


def test_with_fsync_the_disk_has_an_event_before_track_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: order.append("disk"))
    client = Analytics(NOBODY, KEY, spool=tmp_path, spool_fsync=True, flush_interval=3600)
    order.clear()
    assert client.track_share()
    order.append("returned")
    client.close(0)
    assert order == ["disk", "returned"]
