"""Clusters that last, and groups that may be told of."""

from __future__ import annotations

import random

import numpy as np
import pytest

from analytics_assets.insights.floor import FLOOR_PEOPLE
from analytics_assets.insights.groups.grouping import (
    FLOOR_CONVERSATIONS,
    MAX_SHARE,
    Group,
    Row,
    Size,
    groups_of,
    merged_by,
)
from analytics_assets.insights.groups.term_labels import term_labels
from analytics_assets.insights.vectors.clustering import (
    Clustering,
    cluster,
    distances,
    wanted_clusters,
)
from analytics_assets.insights.vectors.embedding import HASHED_WORDS, MINILM, embedder, unit
from analytics_assets.insights.vectors.wordpiece import WordPiece


def blobs(sizes: list[int], seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(len(sizes), 384)))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return unit(centres[labels] + 0.02 * rng.normal(size=(len(labels), 384)))


def flat(labels: list[int], parents: list[list[int]] | None = None) -> Clustering:
    k = max(labels) + 1
    return Clustering(
        np.array(labels),
        np.arange(1, k + 1),
        np.eye(k, 384, dtype=np.float32),
        np.array(parents or [[0] * k]),
    )


def rows(people: int, each: int = 2, prefix: str = "p") -> list[Row]:
    return [Row(f"{prefix}{n}", f"{prefix}{n}-{c}") for n in range(people) for c in range(each)]


def test_what_lies_together_is_one_cluster_and_the_same_arrays_give_the_same_clusters() -> None:
    vectors = blobs([40, 30, 30])
    first, again = cluster(vectors, 3), cluster(vectors, 3)
    assert len({tuple(first.labels[a:b]) for a, b in ((0, 40), (40, 70), (70, 100))}) == 3
    assert all(len(set(first.labels[a:b])) == 1 for a, b in ((0, 40), (40, 70), (70, 100)))
    assert np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.centroids, again.centroids)


def test_clusters_keep_their_numbers_when_people_come_and_go_and_new_ones_get_new_numbers() -> None:
    vectors = blobs([40, 30, 30, 25])
    before = cluster(vectors[:100], 3)
    renumbered = Clustering(before.labels, np.array([7, 3, 9]), before.centroids, before.parents)
    shuffled = np.random.default_rng(3).permutation(len(vectors))
    after = cluster(
        vectors[shuffled], 4, before=renumbered.centroids, before_numbers=renumbered.numbers
    )
    now = dict(zip(shuffled.tolist(), after.numbers[after.labels].tolist(), strict=True))
    then = renumbered.numbers[renumbered.labels].tolist()
    assert [now[place] for place in range(100)] == then
    assert {now[place] for place in range(100, 125)} == {10}
    less = cluster(vectors[40:100], 2, before=before.centroids, before_numbers=before.numbers)
    assert set(less.numbers.tolist()) < set(before.numbers.tolist())


def test_clusters_know_from_which_distance_on_something_is_unlike_all_of_them() -> None:
    vectors = blobs([200, 199, 1])
    found = cluster(vectors, 2, before=vectors[[0, 200]])
    assert len(found.centroids) == 2
    far = distances(vectors, found.centroids)
    assert 0 < (far > found.far).sum() <= 4
    assert far[399] == far.max() > 2 * found.far


def test_sentences_that_are_alike_make_no_clusters_of_their_own() -> None:
    vectors = np.repeat(blobs([1, 1]), [50, 5], axis=0)
    found = cluster(vectors, 20)
    assert len(found.centroids) == 2
    assert found.parents.shape == (1, 2)


def test_the_number_of_clusters_holds_still_near_what_it_was() -> None:
    assert wanted_clusters(1000) == 40
    assert wanted_clusters(1000, before=36) == 36
    assert wanted_clusters(1000, before=12) == 40
    assert wanted_clusters(3) == 1


def test_a_group_needs_eleven_people_twenty_conversations_and_nobody_with_a_fifth() -> None:
    assert Size.of(rows(11)).stands
    assert not Size.of(rows(10, each=5)).stands
    assert not Size.of(rows(19, each=1)).stands
    assert Size.of(rows(20, each=1)).stands
    # 11 people, 22 conversations and five of one: 5 of 27 is below a fifth, 8 of 30 is not.
    assert Size.of([*rows(11), *(Row("p0", f"more{n}") for n in range(3))]).stands
    assert not Size.of([*rows(11), *(Row("p0", f"more{n}") for n in range(6))]).stands
    # A conversation of two days counts once.
    assert not Size.of([row for row in rows(15, each=1) for _ in range(2)]).stands


def test_what_is_too_small_joins_its_neighbour_instead_of_being_left_over() -> None:
    big, small = rows(30, prefix="big"), rows(5, prefix="small")
    groups, left = groups_of(flat([0] * 60 + [1] * 10), [*big, *small])
    assert [len(group.members) for group in groups] == [70]
    assert left == 0
    assert groups[0].level == 1


def test_two_that_are_too_small_are_told_together_and_the_large_one_alone() -> None:
    everyone = [*rows(30, prefix="big"), *rows(7, prefix="a"), *rows(8, prefix="b")]
    groups, left = groups_of(flat([0] * 60 + [1] * 14 + [2] * 16), everyone)
    assert [(len(g.members), g.level) for g in groups] == [(60, 0), (30, 1)]
    assert left == 0


def test_a_pool_goes_up_to_the_nearest_parent_that_can_hold_it() -> None:
    everyone = [*rows(30, prefix="far"), *rows(4, prefix="a"), *rows(15, prefix="near")]
    labels = [0] * 60 + [1] * 8 + [2] * 30
    groups, _ = groups_of(flat(labels, [[0, 1, 1], [0, 0, 0]]), everyone)
    assert [(len(g.members), g.level) for g in groups] == [(60, 0), (38, 1)]


def test_where_nobody_can_hold_them_nothing_is_told() -> None:
    groups, left = groups_of(flat([0] * 6 + [1] * 8), [*rows(3), *rows(4, prefix="q")])
    assert groups == []
    assert left == 14


@pytest.mark.parametrize("seed", range(20))
def test_no_row_is_lost_or_told_twice_and_every_group_stands(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    labels, everyone = [], []
    for label in range(12):
        for number in range(draw.choice([1, 4, 10, 11, 40])):
            person = f"p{draw.randrange(60) if draw.random() < 0.3 else f'{label}-{number}'}"
            for conversation in range(draw.choice([1, 2, 9])):
                labels.append(label)
                everyone.append(Row(person, f"{label}-{number}-{conversation}"))
    first = [label // 3 for label in range(12)]
    groups, left = groups_of(flat(labels, [first, [0] * 12]), everyone)
    told = [place for group in groups for place in group.members]
    assert len(told) == len(set(told))
    assert len(told) + left == len(everyone)
    for group in groups:
        size = Size.of(everyone[place] for place in group.members)
        assert size == group.size
        assert size.people >= FLOOR_PEOPLE
        assert size.conversations >= FLOOR_CONVERSATIONS
        assert size.top_share <= MAX_SHARE


def test_groups_of_one_name_are_one() -> None:
    everyone = rows(40)
    parts = [
        Group(tuple(range(start, start + 40)), 0, Size.of(everyone[start : start + 40]))
        for start in (0, 40)
    ]
    merged = merged_by([("same", parts[0]), ("same", parts[1])], everyone)
    assert merged["same"].size.people == 40
    assert len(merged["same"].members) == 80


def test_a_word_labels_a_group_only_if_eleven_people_used_it() -> None:
    group = [(f"p{n}", "export the tables nightly") for n in range(11)]
    group += [("p0", "zebra zebra zebra"), ("p1", "zebra")]
    other = [(f"q{n}", "tables of contents") for n in range(11)]
    assert term_labels([group, other])[0] == "export, nightly, tables"
    assert term_labels([group[:10], other])[0] == ""


GOLDEN = [
    [101, 13675, 21382, 7987, 9307, 2063, 5366, 1574, 2629, 1010, 15743, 999, 102],
    [101, 2695, 17603, 2015, 100, 4895, 8671, 2666, 3567, 6321, 18037, 28753, 21628, 102],
]


def test_the_tokenizer_gives_the_ids_of_the_published_one() -> None:
    encode = WordPiece.shipped().encode
    # As tokenizers 0.23 reads the tokenizer.json of all-MiniLM-L6-v2.
    assert encode("Crème brûlée costs €5, naïve!") == GOLDEN[0]
    assert encode("postgres 表 unbelievablyxyzzy\u200b \ttab") == GOLDEN[1]
    assert len(encode("word " * 500)) == 128


@pytest.mark.parametrize("name", [MINILM, HASHED_WORDS])
def test_a_vector_depends_on_its_text_alone(name: str) -> None:
    model = embedder(name)
    texts = ["load a csv file", "import tables of customers", "my dog is ill", "load a csv file"]
    together = model.embed(texts)
    alone = model.embed([texts[1]])
    assert np.array_equal(together[1], alone[0])
    assert np.array_equal(together[0], together[3])
    assert np.allclose(np.linalg.norm(together, axis=1), 1)
    if name == MINILM:
        assert together[0] @ together[1] > together[0] @ together[2] + 0.2
