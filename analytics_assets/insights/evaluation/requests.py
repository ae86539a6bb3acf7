"""Whether the features most people ask for are found, and the frictions they meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.evaluation.world import World
from analytics_assets.insights.taxonomy import FeatureRequest, Friction

TOP = 5
RECALL = 0.8
# What the generator plants, in the words of the closed lists.
AREAS = {
    "export_to_excel": FeatureRequest.IMPORT_EXPORT,
    "team_sharing": FeatureRequest.COLLABORATION,
    "slack_alerts": FeatureRequest.NOTIFICATIONS,
    "version_history": FeatureRequest.HISTORY,
    "offline_mode": FeatureRequest.OFFLINE,
    "larger_files": FeatureRequest.HIGHER_LIMITS,
    "scheduled_runs": FeatureRequest.AUTOMATION,
    "dark_mode": FeatureRequest.APPEARANCE,
}
FRICTIONS = {
    "slow_responses": Friction.SLOW,
    "credits_run_out": Friction.LIMIT_REACHED,
    "lost_context": Friction.LOST_CONTEXT,
    "wrong_language_output": Friction.WRONG_ANSWER,
    "broken_export": Friction.BROKEN_FEATURE,
    "login_loop": Friction.SIGN_IN,
    "confusing_navigation": Friction.HARD_TO_USE,
}


def measure(world: World) -> list[Measure]:
    """The five that most people are behind, planted against found."""
    pairs = list(zip(world.facets, world.planted("feature_request"), strict=True))
    wanted = _top((f.person, AREAS[planted]) for f, planted in pairs if planted)
    found = _top((f.person, f.feature_request) for f, _ in pairs if f.feature_request != "none")
    met = list(zip(world.facets, world.planted("friction"), strict=True))
    known = [f.friction == FRICTIONS[planted] for f, planted in met if planted]
    return [
        Measure(
            "feature requests, recall of the top 5",
            len(set(wanted) & set(found)) / max(len(wanted), 1),
            RECALL,
        ),
        Measure(
            "friction of one conversation",
            sum(known) / len(known) if known else None,
            None,
            note="of those with one",
        ),
    ]


def _top(said: Iterable[tuple[str, str]]) -> list[str]:
    people: dict[str, set[str]] = defaultdict(set)
    for person, value in said:
        people[value].add(person)
    return sorted(people, key=lambda value: (-len(people[value]), value))[:TOP]
