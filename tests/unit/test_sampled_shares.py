"""What a sample of days tells of their conversations, and which clusters the rest falls into."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from analytics_assets.insights.conversations.tiers import draw, weighted_share
from analytics_assets.insights.evaluation.agreement import adjusted_rand
from analytics_assets.insights.groups.grouping import Row, Size
from analytics_assets.insights.groups.rows import Facet
from analytics_assets.insights.groups.sampled import TOO_FEW_READ, Sample, Shares, weights_of
from analytics_assets.insights.vectors import clustering
from analytics_assets.insights.vectors.cluster_work import perform
from analytics_assets.insights.vectors.clustering import cluster
from analytics_assets.insights.vectors.embedding import unit

FIRST = date(2026, 6, 1)


def facet(number: int, day: date = FIRST, **fields: Any) -> Facet:
    return replace(
        Facet(
            f"u{number}", f"u{number}", day, f"c{number}", "fix", "debugging", "unclear", "none",
            3, "none", "U wrote.", "", "rules", f"t{number}", 1,
        ),
        **fields,
    )  # fmt: skip


class Days:
    """Four days that are sampled and one read in full, with strata that differ in what they say."""

    def __init__(self, share: float) -> None:
        source = random.Random(5)  # noqa: S311
        self.facets: list[Facet] = []
        self.strata: dict[str, str] = {}
        self.drawn: dict[str, Facet] = {}
        self.by_model: dict[str, Facet] = {}
        self.hits: set[str] = set()
        for number, (day, stratum) in enumerate(
            (day, stratum)
            for day, size in enumerate((700, 500, 300, 900, 60))
            for stratum, part in (("calm", 0.75), ("busy", 0.24), ("busy other", 0.01))
            for _ in range(round(part * size))
        ):
            one = facet(number, FIRST + timedelta(days=day))
            self.facets.append(one)
            self.strata[one.conversation_id] = stratum
            self.drawn[one.conversation_id] = replace(one, stratum=stratum)
            self.by_model[one.conversation_id] = replace(one, source="model", stratum=stratum)
            if source.random() < share * (2.5 if stratum == "busy" else 0.5) * (0.8 + day / 10):
                self.hits.add(one.conversation_id)

    @property
    def truth(self) -> float:
        return len(self.hits) / len(self.facets)

    def read(self, seed: str, unread: float = 0.0) -> tuple[Sample, list[Facet]]:
        """The days with a sample of each read by a model, but a part of it."""
        source = random.Random(seed)  # noqa: S311
        plans: dict[date, dict[str, list[int]]] = {}
        drawn: dict[str, str] = {}
        for day in sorted({one.day for one in self.facets})[:4]:
            of_day = [f.conversation_id for f in self.facets if f.day == day]
            plan = plans[day] = {
                stratum: [n, 0] for stratum, n in Counter(map(self.strata.get, of_day)).items()
            }  # fmt: skip
            for one in draw([(talk, self.strata[talk]) for talk in of_day], 120, f"{seed} {day}"):
                drawn[str(one.unit)] = str(one.stratum)
                plan[str(one.stratum)][1] += 1
        facets = []
        for one in self.facets:
            talk = one.conversation_id
            if one.day in plans and talk not in drawn:
                facets.append(one)
            else:
                by = self.drawn if source.random() < unread else self.by_model
                facets.append(by[talk])
        counts = Counter((f.day, f.stratum, f.by_model) for f in facets)
        return (
            Sample.counted(
                plans, [(d, s, n, n * by_model) for (d, s, by_model), n in counts.items()]
            ),
            facets,
        )


@pytest.mark.parametrize(("share", "unread"), [(0.01, 0.0), (0.03, 0.0), (0.2, 0.0), (0.2, 0.3)])
def test_shares_of_a_sample_hold_the_truth_as_often_as_they_say(
    share: float, unread: float
) -> None:
    days = Days(share)
    held = 0
    estimates = []
    for number in range(200):
        sample, facets = days.read(f"draw {number}", unread)
        found = Shares(sample, facets).share(f for f in facets if f.conversation_id in days.hits)
        held += found.low <= days.truth <= found.high
        estimates.append(found.estimate)
    assert 0.93 <= held / 200 <= 0.97
    assert np.mean(estimates) == pytest.approx(days.truth, rel=0.03)


def test_a_share_stands_on_what_was_drawn_and_read_alone() -> None:
    days = Days(0.2)
    sample, facets = days.read("s")
    in_group = [f for f in facets if f.conversation_id in days.hits]
    before = Shares(sample, facets).share(in_group)
    # What rules read, and what a model read beside the sample, is in the group and changes nothing.
    by_rules = [facet(9_000 + n, FIRST, stratum="calm") for n in range(500)]
    outliers = [facet(9_500 + n, FIRST, source="model") for n in range(50)]
    found = Shares(sample, [*facets, *by_rules, *outliers])
    assert found.share([*in_group, *by_rules, *outliers]) == before
    assert found.share([*by_rules, *outliers]).estimate == 0
    assert found.share([*by_rules, *outliers]).high > 0


def test_who_was_read_stands_for_who_was_not() -> None:
    # Where all drawn were read it is the stratum's size by those drawn.
    assert weights_of({"a": 90, "b": 10}, {"a": 30, "b": 2}) == {"a": 3, "b": 5}
    assert weights_of({None: 40}, {None: 40}) == {None: 1}
    # Of "b" none was: "a" stands for all of the day.
    assert weights_of({"a": 90, "b": 10}, {"a": 30}) == {"a": pytest.approx(100 / 30)}
    assert weights_of({"a": 90}, {"a": 0}) == {}


def test_none_of_a_sample_is_not_none_of_all() -> None:
    sample = draw([(n, n % 2) for n in range(1_000)], 100, "s")
    none = weighted_share(sample, [False] * 100)
    assert (none.estimate, none.low) == (0, 0)
    assert none.high == pytest.approx(0.034, abs=0.005)
    assert weighted_share(sample, [True] * 100).low == pytest.approx(0.966, abs=0.005)
    whole = draw([(n, 0) for n in range(50)], 50, "s")
    assert weighted_share(whole, [False] * 50) == (0, 0, 0)


def test_where_nothing_was_sampled_every_row_shapes_and_nothing_is_weighed() -> None:
    facets = [facet(n) for n in range(50)]
    assert Sample().shaping(facets) == (None, None)
    assert Shares(Sample(), facets).strata == {}


def test_rules_rows_of_a_sampled_day_shape_nothing_unless_the_model_read_too_few() -> None:
    sample = Sample.counted({FIRST: {"calm": [500, 30]}}, [(FIRST, "calm", 30, 30)])
    other = FIRST + timedelta(days=1)
    read = [facet(n, source="model", stratum="calm") for n in range(30)]
    by_rules = [facet(n) for n in range(100, 140)]
    in_full = [facet(n, other) for n in range(200, 205)]
    assert sample.shaping([*read, *by_rules, *in_full]) == (
        [True] * 30 + [False] * 40 + [True] * 5,
        None,
    )
    assert sample.shaping([*read[:21], *by_rules]) == (None, TOO_FEW_READ)
    assert sample.shaping(read[:3]) == ([True] * 3, None)


def test_a_group_is_told_of_only_where_those_who_shape_it_would_stand_alone() -> None:
    read = [Row(f"p{n}", (n, c)) for n in range(11) for c in range(2)]
    others = [Row(f"q{n}", n, shapes=False) for n in range(100)]
    size = Size.of([*read, *others])
    assert (size.people, size.conversations, size.stands) == (111, 122, True)
    assert not Size.of([*read[2:], *others]).stands
    talker = [Row("q0", f"more {n}", shapes=False) for n in range(40)]
    assert not Size.of([*read, *others, *talker]).stands


def blobs(sizes: list[int], noise: float) -> tuple[Any, Any]:
    rng = np.random.default_rng(2)
    centres = unit(rng.normal(size=(len(sizes), 384)))
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return labels, unit(centres[labels] + noise * rng.normal(size=(len(labels), 384)))


def test_what_is_not_read_falls_where_clusters_of_all_would_have_put_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clustering, "CHUNK", 100)
    truth, vectors = blobs([900, 500, 400, 200], 0.06)
    rng = np.random.default_rng(4)
    shapes = rng.random(len(vectors)) < 0.2
    # Rules' words lie a little further off than a model's.
    vectors = unit(vectors + np.where(shapes, 0, 0.02)[:, None] * rng.normal(size=vectors.shape))
    arrays = {"k.vectors": vectors.astype(np.float16), "k.shapes": shapes}
    asked = {"kinds": ["k"], "k": {"k": 4}}
    _, made = perform(asked, arrays)
    # They move nothing: the centroids are those of the rows that shape, alone.
    _, alone = perform(asked, {"k.vectors": arrays["k.vectors"][shapes]})
    for name in ("centroids", "numbers", "parents"):
        assert np.array_equal(made[f"k.{name}"], alone[f"k.{name}"])
    assert np.array_equal(made["k.labels"][shapes], alone["k.labels"])
    labels = made["k.labels"].tolist()
    assert adjusted_rand(labels, truth.tolist()) > 0.98
    whole = cluster(vectors, 4, before=made["k.centroids"])
    assert adjusted_rand(labels, whole.labels.tolist()) > 0.98
    # What is unlike all clusters is looked for among all rows, so the limit is of all of them.
    far = clustering.distances(vectors.astype(np.float32), made["k.centroids"])
    assert 0.005 < (far > made["k.far"]).mean() < 0.015
