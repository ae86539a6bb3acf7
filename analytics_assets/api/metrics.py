"""Counters and latencies of this process in Prometheus' text format.

Belongs here: counting. Does not: what is counted. Invariant: labels come from closed sets (routes,
codes, key ids), never from what a client sends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
Labels = tuple[tuple[str, str], ...]
HELP: Final = {
    "http_requests_total": ("counter", "Requests by route, method and status."),
    "http_request_seconds": ("histogram", "Time from request to answer, by route."),
    "collector_records_total": ("counter", "Records by kind, key and what became of them."),
    "collector_problems_total": ("counter", "Quarantined records by kind, key and reason."),
    "collector_refused_total": ("counter", "Requests refused as a whole, by key and code."),
    "collector_commits_total": ("counter", "Transactions of the inbox writer, by path."),
    "collector_commit_seconds": ("histogram", "Time of a transaction of the inbox writer."),
    "collector_queue_records": ("gauge", "Records that wait for their transaction."),
    "inbox_entries": ("gauge", "Entries no load has taken yet, counted up to 100,000."),
    "inbox_oldest_seconds": ("gauge", "Age of the oldest entry: how far the load lags."),
}


class Metrics:
    """What one process has counted since it started."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._histograms: dict[str, dict[Labels, list[float]]] = defaultdict(dict)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._counters[name][tuple(labels.items())] += amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        key = tuple(labels.items())
        series = self._histograms[name].get(key)
        if series is None:
            series = self._histograms[name][key] = [0.0] * (len(BUCKETS) + 2)
        series[bisect_left(BUCKETS, seconds)] += 1
        series[-1] += seconds

    def value(self, name: str, **labels: str) -> float:
        """A counter's value, for tests and the dashboard."""
        wanted = set(labels.items())
        return sum(n for key, n in self._counters[name].items() if wanted <= set(key))

    def render(self, gauges: dict[str, float]) -> str:
        """Everything in the text format 0.0.4; ``gauges`` are measured now."""
        lines: list[str] = []
        for name, (kind, text) in HELP.items():
            samples = list(self._samples(name, kind, gauges))
            if samples:
                lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *samples]
        return "\n".join(lines) + "\n"

    def _samples(self, name: str, kind: str, gauges: dict[str, float]) -> Iterable[str]:
        if kind == "gauge":
            if name in gauges:
                yield f"{name} {gauges[name]:g}"
        elif kind == "counter":
            for labels, value in sorted(self._counters[name].items()):
                yield f"{name}{_labels(labels)} {value:.15g}"
        else:
            for labels, series in sorted(self._histograms[name].items()):
                total = 0.0
                for bound, n in zip([*BUCKETS, float("inf")], series[:-1], strict=True):
                    total += n
                    le = "+Inf" if bound == float("inf") else f"{bound:g}"
                    yield f"{name}_bucket{_labels((*labels, ('le', le)))} {total:g}"
                yield f"{name}_sum{_labels(labels)} {series[-1]:.6f}"
                yield f"{name}_count{_labels(labels)} {total:g}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    inner = ",".join(f'{name}="{_escape(value)}"' for name, value in labels)
    return f"{{{inner}}}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
