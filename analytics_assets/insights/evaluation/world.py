"""The world that is evaluated on: a generated company whose every conversation is known.

Belongs here: the sample as facets, with and without a model. Does not: measures. Invariant: what
reads the conversations is the code that reads them in production (scrubber, transcript, rules or
provider); only the database is left out, so that no server is needed.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_assets.insights.asking.stage_run import Limits
from analytics_assets.insights.asking.wording import worded
from analytics_assets.insights.conversations.facet_prompt import FACETS, Facets, transcript
from analytics_assets.insights.conversations.facet_rules import facets_by_rules
from analytics_assets.insights.groups.facet_vectors import opening
from analytics_assets.insights.groups.rows import Facet, Kind
from analytics_assets.insights.providers.protocol import NO_USAGE, Provider, Usage
from analytics_assets.insights.scrubbing.lexicon import Lexicon
from analytics_assets.insights.scrubbing.scrubber import Placeholders, Scrubber
from analytics_assets.insights.vectors.embedding import available
from analytics_assets.insights.vectors.workshop import work

if TYPE_CHECKING:
    from analytics_assets.insights.vectors.clustering import Clustering

USERS, DAYS, SEED = 400, 35, 7
START_DAY = date(2026, 4, 27)
IDENTIFIERS = ("name", "email", "handle")


@dataclass
class World:
    """Facets of the company's conversations, and ``truth`` by conversation id.

    ``read_by`` is ``rules`` or the model; ``unread`` counts conversations it gave no answer to.
    """

    facets: list[Facet]
    truth: dict[str, dict[str, Any]]
    scrubber: Scrubber
    openings: dict[str, str]
    read_by: str = "rules"
    unread: int = 0
    usage: Usage = NO_USAGE
    embedder: str = field(default_factory=available)

    def planted(self, name: str) -> list[Any]:
        """The planted label of every facet's conversation, in their order."""
        return [self.truth[facet.conversation_id][name] for facet in self.facets]

    @cached_property
    def vectors(self) -> Any:
        """A vector for what each conversation was about, as the pipeline places it."""
        texts = [
            f.placed_by(
                Kind.USE_CASE,
                self.openings[f.conversation_id] if f.opens(Kind.USE_CASE) else "",
            )
            for f in self.facets
        ]
        distinct = list(dict.fromkeys(texts))
        made = work("embed", {"model": self.embedder, "texts": distinct}).arrays["vectors"]
        place = {text: row for row, text in enumerate(distinct)}
        return made[[place[text] for text in texts]]

    @cached_property
    def clustering(self) -> Clustering:
        return clustered(self.vectors)


def clustered(
    vectors: Any, before: Clustering | None = None, shapes: Sequence[bool] | None = None
) -> Clustering:
    """Clusters of vectors, as the pipeline makes them; ``shapes``: of which alone."""
    from analytics_assets.insights.vectors.clustering import Clustering

    arrays = {"w.vectors": vectors}
    if before is not None:
        arrays |= {"w.centroids": before.centroids, "w.numbers": before.numbers}
    if shapes is not None:
        import numpy as np

        arrays["w.shapes"] = np.array(shapes)
    done = work("cluster", {"kinds": ["w"]}, arrays)
    return Clustering(*(done.arrays[f"w.{name}"] for name in Clustering.__dataclass_fields__))


def generated(
    folder: Path,
    *,
    users: int = USERS,
    days: int = DAYS,
    provider: Provider | None = None,
    limits: Limits | None = None,
    most: int | None = None,
) -> World:
    """Write the company into ``folder`` and read its conversations, at most ``most`` of them.

    ``provider`` is closed at the end.
    """
    from analytics_assets.sources.sample import generate_sample

    generate_sample(
        folder, users=users, days=days, events=users * days * 4, seed=SEED, start_day=START_DAY
    )
    truth = {row["conversation_id"]: row for row in _rows(folder / "truth_conversations.jsonl")}
    scrubber = Scrubber(
        Lexicon.of(
            (kind, row[kind])
            for row in _rows(folder / "users.jsonl")
            for kind in IDENTIFIERS
            if row.get(kind)
        )
    )
    said: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in _rows(folder / "messages.jsonl"):
        if row["role"] in ("user", "assistant"):
            said[row["conversation_id"]].append((row["role"], row["content"]))
    ids = _spread(sorted(truth), most)
    texts = {}
    for conversation in ids:
        book = Placeholders()
        texts[conversation] = transcript(
            (role, scrubber.scrub(text, book)) for role, text in said[conversation]
        )
    world = World([], truth, scrubber, {})
    for conversation in ids:
        first = next(text for role, text in said[conversation] if role == "user")
        world.openings[conversation] = opening(scrubber.scrub(first[:1000]))
    if provider is None:
        answers: dict[str, Facets | None] = {id_: facets_by_rules(texts[id_]) for id_ in ids}
    else:
        world.read_by = provider.model
        answers, world.usage = asyncio.run(_asked(provider, limits or Limits(), texts, scrubber))
    world.unread = sum(answer is None for answer in answers.values())
    source = "rules" if provider is None else "model"
    world.facets = [
        _facet(truth[id_], answer, source) for id_, answer in answers.items() if answer is not None
    ]
    return world


async def _asked(
    provider: Provider, limits: Limits, texts: dict[str, str], scrubber: Scrubber
) -> tuple[dict[str, Facets | None], Usage]:
    asker = limits.asker(provider)
    slots = asyncio.Semaphore(limits.concurrency)
    usage = NO_USAGE
    answers: dict[str, Facets | None] = dict.fromkeys(texts)

    async def one(conversation: str, text: str) -> None:
        nonlocal usage
        async with slots:
            if asker.breaker.is_open:
                return
            await asker.pacer.acquire()
            reply = await asker.ask(FACETS.request(text, f"evaluation:{conversation}"))
            usage += reply.usage
            if isinstance(reply.answer, Facets):
                answers[conversation] = worded(reply.answer, FACETS, text, scrubber)

    try:
        async with asyncio.TaskGroup() as group:
            for conversation, text in texts.items():
                group.create_task(one(conversation, text))
    finally:
        await provider.aclose()
    return answers, usage


def _facet(planted: dict[str, Any], answer: Facets, source: str) -> Facet:
    return Facet(
        user_id=planted["user_id"],
        person=planted["user_id"],
        day=date.fromisoformat(planted["day"]),
        conversation_id=planted["conversation_id"],
        source=source,
        text_digest=planted["conversation_id"],
        user_messages=planted["messages"],
        **answer.model_dump(mode="json"),
    )


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _spread(ids: Sequence[str], most: int | None) -> list[str]:
    """Every so-manieth id, so that few conversations are of all days."""
    if most is None or len(ids) <= most:
        return list(ids)
    return [ids[place * len(ids) // most] for place in range(most)]
