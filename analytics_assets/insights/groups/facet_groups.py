"""Use cases, feature requests and friction points: 28 days of facets as groups that may be told of.

Belongs here: the order of things, and the tables' rows. Does not: arithmetic
(vectors/clustering.py), the floor (grouping.py), names (naming.py). Invariant: a day's groups are
replaced as a whole, and a second run over the same facets asks nothing and leaves the same rows; no
row names a person, and nothing of a group below the floor is written anywhere but as a direction in
``insights.clusters``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from analytics_assets.insights.asking.configured import configured
from analytics_assets.insights.asking.stage_run import Connect, Limits
from analytics_assets.insights.asking.user_keys import user_keys
from analytics_assets.insights.conversations.tiers import (
    NAMES_A_DAY,
    Interval,
    tier_of,
    wilson,
)
from analytics_assets.insights.floor import FLOOR_PEOPLE
from analytics_assets.insights.groups.asking import (
    GroupRun,
    forget_names,
    forget_unused,
)
from analytics_assets.insights.groups.facet_vectors import Placed, Vectors
from analytics_assets.insights.groups.grouping import (
    LEAST_PEOPLE,
    Group,
    Row,
    groups_of,
    merged_by,
    top_share_by_value,
)
from analytics_assets.insights.groups.naming import (
    MODEL,
    Name,
    OldName,
    ToName,
    centroid_of,
    described,
    names_of,
)
from analytics_assets.insights.groups.outcome import GroupsOutcome, KindOutcome
from analytics_assets.insights.groups.prompts import NAME_GROUP
from analytics_assets.insights.groups.rows import Facet, Kind, facets_of, people_of, span_of
from analytics_assets.insights.groups.sampled import CONVERSATIONS, PEOPLE, Sample, Shares
from analytics_assets.insights.providers.protocol import Provider
from analytics_assets.insights.scrubbing.dictionary import Scrubbers
from analytics_assets.insights.vectors.centroids import centroid_bytes, centroids_of
from analytics_assets.insights.vectors.clustering import DISTANCE_DIGITS
from analytics_assets.insights.vectors.embedding import available
from analytics_assets.insights.vectors.workshop import work
from analytics_assets.store.database import lock_table

if TYPE_CHECKING:
    from analytics_assets.insights.vectors.clustering import Clustering
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database
    from analytics_assets.windows import Window

TABLES = {
    Kind.USE_CASE: "insights.use_cases",
    Kind.FEATURE_REQUEST: "insights.feature_requests",
    Kind.FRICTION_POINT: "insights.friction_points",
}
LOCK = "insights.clusters"
# Clusters and answers of older runs name nothing any more.
KEPT = timedelta(days=35)
TOO_FEW = (
    f"not enough people: groups need {LEAST_PEOPLE} who agreed to the analysis and talked in 28 "
    "days"
)

_COLUMNS = (
    "as_of_day", "label", "description", "value", "n_people", "n_conversations", "top_share",
    "share", "share_low", "share_high", "label_source", "score", "share_of",
)  # fmt: skip
_BEFORE = """
select level, number, centroid, label, description, label_source, score, prompt_version
from insights.clusters
where kind = %(kind)s and embedder = %(embedder)s and as_of_day = (
    select max(as_of_day) from insights.clusters
    where kind = %(kind)s and embedder = %(embedder)s and as_of_day < %(day)s
)
order by level, number
"""
_KEEP_CLUSTER = """
insert into insights.clusters (
    kind, as_of_day, level, number, centroid, embedder, label, description, label_source, score,
    prompt_version, far
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def group_window(database: Database, window: Window, settings: Settings) -> GroupsOutcome:
    """Groups as of the window's last day that has begun, as the settings say."""
    model = configured(settings)
    now = settings.now()
    return group_facets(
        lambda: database.connect("analytics_pipeline"),
        min(window.last_day, now.date()),
        model.provider,
        now,
        model.limits,
    )


def group_facets(
    connect: Connect,
    last_day: date,
    provider: Provider | None,
    now: datetime,
    limits: Limits | None = None,
    embedder: str | None = None,
) -> GroupsOutcome:
    """Replace the groups of the 28 days that end with ``last_day``.

    ``provider`` is closed at the end. Raises psycopg.Error, and WorkshopError where there is no
    memory for the arithmetic.
    """
    outcome = GroupsOutcome(last_day, embedder=embedder or available())
    with connect() as conn:
        with conn.transaction():
            vectors = Vectors(conn, now, outcome.embedder)
            if vectors.forget():
                # What a model said before the gate may hold something of who withdrew.
                forget_names(conn)
            facets = facets_of(conn, span_of(last_day), now)
            sample = Sample.of(conn, span_of(last_day))
            outcome.people = people_of(facets)
        if outcome.people < LEAST_PEOPLE:
            outcome.skipped = TOO_FEW
            facets = []
        of_kind = {kind: [f for f in facets if f.belongs_to(kind)] for kind in Kind}
        placed = {}
        for kind, rows in of_kind.items():
            with conn.transaction():
                placed[kind] = vectors.of(kind, rows)
        outcome.vectors_made = sum(one.made for one in placed.values())
        outcome.peak_mib = max(one.peak_mib for one in placed.values())
        _Groups(conn, outcome, provider, limits or Limits(), now, sample).replace(of_kind, placed)
    return outcome


@dataclass
class _Made:
    """The groups of one kind with their names, and what the next run goes on from."""

    kind: Kind
    rows: list[tuple[Any, ...]]
    clusters: list[tuple[Any, ...]]


@dataclass
class _Groups:
    conn: psycopg.Connection[Any]
    outcome: GroupsOutcome
    provider: Provider | None
    limits: Limits
    now: datetime
    sample: Sample
    # Which rows shape groups, of kinds that the sample has a say in.
    shaping: dict[Kind, list[bool]] = field(default_factory=dict)
    shares: Shares = field(init=False)

    def replace(self, of_kind: dict[Kind, list[Facet]], placed: dict[Kind, Placed]) -> None:
        before = {kind: self._before(kind) for kind in Kind}
        self.shares = Shares(self.sample, of_kind[Kind.USE_CASE])
        for kind, facets in of_kind.items():
            self.outcome.kinds[kind] = KindOutcome(facets=len(facets))
            shapes, why_all = self.sample.shaping(facets)
            self.outcome.kinds[kind].why_all_shape = why_all
            if shapes is not None:
                self.shaping[kind] = shapes
                self.outcome.kinds[kind].nearest = shapes.count(False)
        clusterings = self._clustered(of_kind, placed, before)
        with self.conn.transaction():
            scrubber = Scrubbers(self.conn).of(
                facet.line(kind) for kind, rows in of_kind.items() for facet in rows
            )
        run = GroupRun(
            self.conn,
            self.provider,
            self.limits,
            self.now,
            self.outcome.day,
            scrubber,
            self.outcome.asked,
            NAMES_A_DAY[tier_of(self.outcome.people)],
        )
        self.conn.commit()

        async def make(run: GroupRun) -> list[_Made]:
            return [
                await self._made(
                    run, kind, of_kind[kind], placed[kind], clusterings.get(kind), before[kind]
                )
                for kind in Kind
            ]

        made = run.run(make)
        with self.conn.transaction():
            lock_table(self.conn, LOCK)
            for one in made:
                self._write(one)
            oldest = self.outcome.day - KEPT
            self.conn.execute("delete from insights.clusters where as_of_day < %s", [oldest])
            forget_unused(self.conn, oldest)

    def _before(self, kind: Kind) -> list[tuple[Any, ...]]:
        with self.conn.transaction():
            return self.conn.execute(
                _BEFORE,
                {"kind": kind, "embedder": self.outcome.embedder, "day": self.outcome.day},
            ).fetchall()

    def _clustered(
        self,
        of_kind: dict[Kind, list[Facet]],
        placed: dict[Kind, Placed],
        before: dict[Kind, list[tuple[Any, ...]]],
    ) -> dict[Kind, Clustering]:
        """All kinds in one short-lived process."""
        import numpy as np

        from analytics_assets.insights.vectors.clustering import Clustering

        wanted = [kind for kind, rows in of_kind.items() if len(rows) >= FLOOR_PEOPLE]
        if not wanted:
            return {}
        arrays: dict[str, Any] = {}
        for kind in wanted:
            arrays[f"{kind}.vectors"] = placed[kind].vectors
            if kind in self.shaping:
                arrays[f"{kind}.shapes"] = np.array(self.shaping[kind])
            old = [row for row in before[kind] if row[0] == "cluster"]
            if old:
                arrays[f"{kind}.centroids"] = centroids_of([row[2] for row in old])
                arrays[f"{kind}.numbers"] = np.array([row[1] for row in old])
        done = work("cluster", {"kinds": wanted}, arrays)
        self.outcome.peak_mib = max(self.outcome.peak_mib, done.peak_mib)
        return {
            kind: Clustering(
                *(done.arrays[f"{kind}.{name}"] for name in Clustering.__dataclass_fields__)
            )
            for kind in wanted
        }

    async def _made(
        self,
        run: GroupRun,
        kind: Kind,
        facets: list[Facet],
        placed: Placed,
        clustering: Clustering | None,
        before: list[tuple[Any, ...]],
    ) -> _Made:
        outcome = self.outcome.kinds[kind]
        if clustering is None:
            outcome.ungrouped = len(facets)
            return _Made(kind, [], [])
        shapes = self.shaping.get(kind, [True] * len(facets))
        rows = [
            Row(facet.person, facet.conversation_id, does)
            for facet, does in zip(facets, shapes, strict=True)
        ]
        groups, _ = groups_of(clustering, rows)
        named = [_to_name(group, facets, placed, shapes) for group in groups]
        described(named, kind)
        old = [row for row in before if row[0] == "group"]
        with self.conn.transaction():
            keys = user_keys(
                self.conn, sorted({facet.user_id for one in named for facet, _ in one.lines})
            )
        names = await names_of(
            run,
            kind,
            named,
            [OldName(Name(row[3], row[4], row[5], row[6]), row[7]) for row in old],
            centroids_of([row[2] for row in old]),
            keys,
        )
        told_of = self._rows(kind, facets, rows, groups, names)
        outcome.clusters = len(clustering.numbers)
        outcome.groups = len(told_of)
        outcome.by_model = sum(row[10] == MODEL for row in told_of)
        outcome.ungrouped = len(facets) - len(
            {place for group in groups for place in group.members}
        )
        return _Made(kind, told_of, self._kept(kind, clustering, named, names))

    def _rows(
        self,
        kind: Kind,
        facets: Sequence[Facet],
        rows: Sequence[Row],
        groups: Sequence[Group],
        names: Sequence[Name],
    ) -> list[tuple[Any, ...]]:
        merged = merged_by(
            [(name.label, group) for name, group in zip(names, groups, strict=True)], rows
        )
        by_label = {name.label: name for name in reversed(names)}
        found = []
        for label, group in sorted(merged.items()):
            name = by_label[label]
            values = Counter(
                facets[place].value(kind) for place in group.members if rows[place].shapes
            )
            value, _ = top_share_by_value(values)
            share, share_of = self._share(kind, [facets[place] for place in group.members])
            found.append(
                (
                    self.outcome.day, label, name.description, value, group.size.people,
                    group.size.conversations, round(group.size.top_share, 3), share.estimate,
                    share.low, share.high, name.source, name.score, share_of,
                )
            )  # fmt: skip
        return found

    def _share(self, kind: Kind, members: Sequence[Facet]) -> tuple[Interval, str]:
        """People are not what was sampled: where days were, the share is one of conversations."""
        if kind in self.shaping and self.shares.strata:
            return self.shares.share(members), CONVERSATIONS
        return wilson(people_of(members), self.outcome.people), PEOPLE

    def _kept(
        self,
        kind: Kind,
        clustering: Clustering,
        named: Sequence[ToName],
        names: Sequence[Name],
    ) -> list[tuple[Any, ...]]:
        day, embedder = self.outcome.day, self.outcome.embedder
        far = round(float(clustering.far), DISTANCE_DIGITS)
        clusters = [
            (
                kind, day, "cluster", int(number), centroid_bytes(centroid), embedder,
                *[None] * 5, far,
            )
            for number, centroid in zip(clustering.numbers, clustering.centroids, strict=True)
        ]  # fmt: skip
        groups = [
            (
                kind, day, "group", number, centroid_bytes(one.centroid), embedder, name.label,
                name.description, name.source, name.score,
                NAME_GROUP.version if name.source == MODEL else None, None,
            )
            for number, (one, name) in enumerate(zip(named, names, strict=True), start=1)
        ]  # fmt: skip
        return clusters + groups

    def _write(self, made: _Made) -> None:
        table = sql.Identifier(*TABLES[made.kind].split("."))
        self.conn.execute(
            sql.SQL("delete from {} where as_of_day = %s").format(table), [self.outcome.day]
        )
        self.conn.execute(
            "delete from insights.clusters where kind = %s and as_of_day = %s",
            [made.kind, self.outcome.day],
        )
        insert = sql.SQL("insert into {} ({}) values ({})").format(
            table,
            sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)),
            sql.SQL(", ").join([sql.Placeholder()] * len(_COLUMNS)),
        )
        with self.conn.cursor() as cursor:
            cursor.executemany(insert, made.rows)
            cursor.executemany(_KEEP_CLUSTER, made.clusters)


def _to_name(
    group: Group, facets: Sequence[Facet], placed: Placed, shapes: Sequence[bool]
) -> ToName:
    """The group with what may be said of it: by the rows that shape it alone."""
    from analytics_assets.insights.vectors.embedding import unit

    members = [place for place in group.members if shapes[place]]
    vectors = unit(placed.vectors[members].astype("float32"))
    return ToName(group, centroid_of(vectors), [facets[place] for place in members], vectors)
