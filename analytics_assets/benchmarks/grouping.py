"""Sentences into vectors, and vectors into clusters, each in the process the pipeline uses.

Invariant: no server and no data of a deployment; sentences are made up and vectors drawn from a
seed, so that two machines are given the same work.
"""

from __future__ import annotations

from analytics_assets.benchmarks.measure import Figure, timed
from analytics_assets.insights.vectors.embedding import available
from analytics_assets.insights.vectors.workshop import Work, work

SENTENCES, FACETS, CENTRES, DIMENSIONS = 1_200, 50_000, 800, 384
LEAST_A_SECOND, MOST_SECONDS, MOST_MIB = 60.0, 60.0, 1024.0
SPREAD = 0.04


def grouping() -> list[Figure]:
    """Embed SENTENCES and cluster FACETS, once from nothing and once from those before."""
    import numpy as np

    from analytics_assets.insights.vectors.embedding import unit

    sentence = "U wanted to find out why the nightly import of customers fails on some dates"
    words = sentence.split()
    # Of many lengths, because only sentences of one length are embedded together.
    texts = [
        f"debugging: job {number} " + " ".join(words[: 4 + number % 11])
        + " and what to do about it" * (number % 3)
        for number in range(SENTENCES)
    ]  # fmt: skip
    done: list[Work] = []
    # What starting the process and loading the model take is not sentences.
    start = timed(lambda: done.append(work("embed", {"model": available(), "texts": texts[:1]})))
    embedded = timed(lambda: done.append(work("embed", {"model": available(), "texts": texts})))
    rng = np.random.default_rng(7)
    centres = unit(rng.normal(size=(CENTRES, DIMENSIONS)))
    drawn = centres[rng.integers(0, CENTRES, FACETS)]
    arrays = {"w.vectors": unit(drawn + SPREAD * rng.normal(size=drawn.shape)).astype("float16")}
    first = timed(lambda: done.append(work("cluster", {"kinds": ["w"]}, arrays)))
    before = {
        "w.centroids": done[-1].arrays["w.centroids"],
        "w.numbers": done[-1].arrays["w.numbers"],
    }
    again = timed(lambda: done.append(work("cluster", {"kinds": ["w"]}, arrays | before)))
    return [
        Figure(
            "sentences embedded", (SENTENCES - 1) / (embedded - start), "/s",
            at_least=LEAST_A_SECOND,
        ),
        Figure(f"{FACETS:,} facets clustered", first, "s", at_most=MOST_SECONDS),
        Figure("the same, from the clusters before", again, "s", at_most=MOST_SECONDS),
        Figure(
            "peak memory of the process", max(one.peak_mib for one in done), "MiB",
            at_most=MOST_MIB,
        ),
    ]  # fmt: skip
