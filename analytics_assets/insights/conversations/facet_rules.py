"""Facets without a model: words that hint at a value, looked up in what the user wrote.

Belongs here: the hints and how they are weighed. Does not: when rules stand in (facets.py).
Invariant: pure and deterministic; the sentences are made from the chosen values alone, so that no
word of a conversation gets into them; in doubt a field says "other", "unclear" or "none".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from analytics_assets.insights.conversations.facet_prompt import Facets, sentences
from analytics_assets.insights.taxonomy import (
    FeatureRequest,
    Friction,
    Outcome,
    Task,
    Topic,
)

RULES_VERSION = "rules-2"
Value = TypeVar("Value", bound=StrEnum)

_USER_LINE = re.compile(r"^U: ", re.MULTILINE)


def _hints(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})", re.IGNORECASE)


_TASK: Mapping[Task, re.Pattern[str]] = {
    Task.FIX: _hints(
        r"fix|debug|broken|crash|error|exception|stack ?trace|fails?\b|failing|bug|leak|flaky"
    ),
    Task.INTEGRATE: _hints(r"connect|integrat|webhook|oauth|plugin|install"),
    Task.AUTOMATE: _hints(r"automat|schedul|every (?:night|day|morning|week)|cron|workflow|bot\b"),
    Task.ANALYSE_DATA: _hints(r"chart|report|dashboard|cohort|metric|analy[sz]|query|sql\b|csv"),
    Task.WRITE: _hints(r"write|draft|translate|summari[sz]e|brief|e-?mail|blog|letter|story"),
    Task.BUILD: _hints(r"build|create|implement|generate|develop|prototype|make (?:me|a)\b"),
    Task.CONFIGURE: _hints(r"configur|set ?up|setting|permission|upgrade|partition"),
    Task.MANAGE_ACCOUNT: _hints(r"my account|invoice|subscription|billing|log ?in|password"),
    Task.LEARN: _hints(r"how (?:do|does|can)|explain|what is|what are|difference between|learn"),
    Task.FIND_INFORMATION: _hints(r"where|which|who|when|find|recommend|is there"),
}
_TOPIC: Mapping[Topic, re.Pattern[str]] = {
    Topic.DEBUGGING: _hints(
        r"debug|stack ?trace|traceback|exception|keyerror|crash|leak|heap|bug\b|flaky|at random"
        r"|every \w+ run|memory|grows to|stay alive|sleep calls|reproduce"
    ),
    Topic.TESTING: _hints(r"unit test|integration test|pytest|test coverage|mock"),
    Topic.DATA_PIPELINES: _hints(
        r"pipeline|csv|ingest|backfill|duplicate|dedupe|etl|import|load .*file|partition"
        r"|every order twice|newest record"
    ),
    Topic.DASHBOARDS: _hints(
        r"dashboard|chart|report|cohort|retention|kpi|metric|conversion|revenue|alert|sign-ups"
        r"|customers stay|false alarm|triangle|by country"
    ),
    Topic.INTEGRATIONS: _hints(
        r"integrat|connect|oauth|webhook|plugin|scopes|install|redirect|refresh token"
        r"|read only access|callback"
    ),
    Topic.AUTOMATION: _hints(
        r"automat|bot\b|agent|workflow|release|in one go|chain|bulk|every morning|unattended"
        r"|over a list|generate \d+|checks pass|on every tag"
    ),
    Topic.PLANNING: _hints(
        r"brief|budget|contract|estimate|milestone|job post|deadline|roadmap|cost me"
        r"|hours realistic|clause|payment terms|owns the code|freelancer"
    ),
    Topic.DATABASES: _hints(r"database|sql\b|postgres|mysql|index|schema|query|table"),
    Topic.MACHINE_LEARNING: _hints(r"machine learning|neural|training|model|embedding|llm\b"),
    Topic.WEB_DEVELOPMENT: _hints(r"html|css|javascript|react|frontend|browser|website|http"),
    Topic.MOBILE_DEVELOPMENT: _hints(r"android|ios app|swift\b|flutter|mobile app"),
    Topic.INFRASTRUCTURE: _hints(r"docker|kubernetes|deploy|terraform|cloud|container|servers?\b"),
    Topic.OPERATING_SYSTEMS: _hints(
        r"ubuntu|linux|windows|kernel|driver|apt\b|grub|sudo|boot|xorg|disk|package"
    ),
    Topic.SECURITY: _hints(r"security|encrypt|password|vulnerab|firewall|certificate"),
    Topic.WRITING: _hints(r"essay|story|poem|translate|blog|letter|article|write"),
    Topic.DESIGN: _hints(r"design|logo|colou?r|layout|font"),
    Topic.SCIENCE_AND_MATHS: _hints(r"physics|chemistry|biology|math|equation|theorem|planet"),
    Topic.HEALTH_AND_LIFE: _hints(r"health|diet|recipe|cook|exercise|travel|sleep|bike|bicycle"),
    Topic.ACCOUNT_AND_BILLING: _hints(r"my account|invoice|subscription|billing|refund|credits"),
    Topic.LEARNING: _hints(r"explain|learn|course|tutorial|homework"),
    Topic.SMALL_TALK: _hints(r"hello|hi\b|how are you|thanks"),
}
# A topic that says what for counts more than one that says with what; what everybody says, least.
_SETTINGS = frozenset(
    {
        Topic.DATABASES,
        Topic.INFRASTRUCTURE,
        Topic.MACHINE_LEARNING,
        Topic.MOBILE_DEVELOPMENT,
        Topic.OPERATING_SYSTEMS,
        Topic.SECURITY,
        Topic.WEB_DEVELOPMENT,
        Topic.WRITING,
        Topic.DESIGN,
    }
)
_COMMONPLACE = frozenset({Topic.LEARNING, Topic.SMALL_TALK, Topic.ACCOUNT_AND_BILLING})
_OPENING_WEIGHT, _PURPOSE_WEIGHT, _SETTING_WEIGHT, _COMMONPLACE_WEIGHT = 8, 3, 2, 1
_FRICTION: Mapping[Friction, re.Pattern[str]] = {
    Friction.LIMIT_REACHED: _hints(
        r"(?:out of|ran out of) credits|credits? (?:limit|are used)|credit limit|quota|rate limit"
    ),
    Friction.SLOW: _hints(
        r"(?:too|so|far too|very) slow|takes forever|waited \w+ minutes|timed? out"
    ),
    Friction.LOST_CONTEXT: _hints(
        r"you forgot|lost the context|repeat my|already told you|as i said before"
    ),
    Friction.SIGN_IN: _hints(r"logged out|sign-?in|log in again|login (?:page|loop)|can'?t log"),
    Friction.BROKEN_FEATURE: _hints(
        r"(?:export|download|upload|button)[^.]{0,40}(?:empty|fails|broken|does not work)"
        r"|exported file cannot"
    ),
    Friction.HARD_TO_USE: _hints(
        r"confusing|can'?t find the|where did the|don'?t understand how|clicked through"
    ),
    Friction.WRONG_ANSWER: _hints(
        r"wrong (?:answer|language|programming|again|result)|that'?s (?:wrong|not what)"
        r"|that is (?:wrong|the wrong|not what)|in another language|language i don'?t use|incorrect"
    ),
    Friction.REPEATED_ATTEMPTS: _hints(
        r"still (?:the same|not|doesn|does not)|again and again|tried everything|same error"
    ),
    Friction.ERROR: _hints(r"fails with|i get an? \w*error|error message|error each time"),
}
_WISH = re.compile(
    r"\b(?:it would be (?:great|nice|lovely)|please (?:add|raise|make this)|i wish"
    r"|i'd (?:love|like) to|would be (?:lovely|perfect|a nice)|could you (?:add|support|send)"
    r"|can you (?:support|keep)|feature|what i miss|is there a way|we need shared"
    r"|should be (?:possible|much)|would (?:save|help) me|is a \w+ \w+ planned"
    r"|could (?:this|the assistant)|i want a message|offline mode)",
    re.IGNORECASE,
)
_REQUEST: Mapping[FeatureRequest, re.Pattern[str]] = {
    FeatureRequest.IMPORT_EXPORT: _hints(r"export|excel|xlsx|spreadsheet|import|csv"),
    FeatureRequest.NOTIFICATIONS: _hints(r"notif|alert|slack|message in our"),
    FeatureRequest.HISTORY: _hints(r"version history|history|undo|older versions|go back"),
    FeatureRequest.COLLABORATION: _hints(r"share|shared|team|colleague|invite"),
    FeatureRequest.OFFLINE: _hints(r"offline|without an internet|run locally"),
    FeatureRequest.HIGHER_LIMITS: _hints(r"upload limit|size limit|bigger upload|above \d+ ?mb"),
    FeatureRequest.AUTOMATION: _hints(r"schedul|automatically|timer|recurring|once a day"),
    FeatureRequest.APPEARANCE: _hints(r"dark (?:mode|theme)|theme|font"),
    FeatureRequest.PERFORMANCE: _hints(r"faster|speed|performance"),
    FeatureRequest.INTEGRATION: _hints(r"integrat|connector|plugin"),
    FeatureRequest.MOBILE: _hints(r"mobile|phone app|android|ios\b"),
    FeatureRequest.PRICING: _hints(r"price|cheaper|plan\b|credits"),
    FeatureRequest.DOCUMENTATION: _hints(r"documentation|docs\b|tutorial|example"),
    FeatureRequest.CUSTOMISATION: _hints(r"custom|option to|setting"),
}
_ACHIEVED = _hints(
    r"thanks|thank you|perfect|that works|it works|works now|runs now|solved|exactly what"
)
_GAVE_UP = _hints(
    r"give up|never mind|does not help|doesn'?t help|wasting my time|by hand|useless|still the same"
)
_GLAD = _hints(r"thanks|thank you|perfect|great,|awesome|love it|saved me|excellent")
_ANGRY = _hints(r"wasting|useless|terrible|awful|hate|ridiculous|stop giving")


def facets_by_rules(transcript: str) -> Facets:
    """Facets of a scrubbed transcript, from the user's lines alone."""
    said = [part.split("\nAssistant: ", 1)[0] for part in _USER_LINE.split(transcript) if part]
    said = [one for one in said if not one.startswith("Assistant: ")]
    text = "\n".join(said)
    opening = said[0] if said else ""
    friction = _first(_FRICTION, text, Friction.NONE)
    wishes = [one for one in said if _WISH.search(one)]
    request = _strongest(_REQUEST, wishes, FeatureRequest.NONE) if wishes else FeatureRequest.NONE
    task = _first(_TASK, opening, Task.OTHER)
    topic = _topic(opening, said[1:])
    return Facets(
        task=task,
        topic=topic,
        outcome=_outcome(said, friction),
        friction=friction,
        sentiment=_sentiment(text, friction),
        feature_request=request,
        **sentences(task, topic, request),
    )


def _topic(opening: str, later: Sequence[str]) -> Topic:
    """The topic with most hints, those of the opening first."""
    scores = {
        topic: _weight(topic)
        * (
            _OPENING_WEIGHT * len(words.findall(opening))
            + sum(len(words.findall(text)) for text in later)
        )
        for topic, words in _TOPIC.items()
    }
    best = max(scores.values())
    return next((topic for topic, score in scores.items() if score == best > 0), Topic.OTHER)


def _weight(topic: Topic) -> int:
    if topic in _COMMONPLACE:
        return _COMMONPLACE_WEIGHT
    return _SETTING_WEIGHT if topic in _SETTINGS else _PURPOSE_WEIGHT


def _outcome(said: Sequence[str], friction: Friction) -> Outcome:
    ending = "\n".join(said[-2:])
    if _GAVE_UP.search(ending):
        return Outcome.NOT_ACHIEVED
    if _ACHIEVED.search(ending):
        return Outcome.ACHIEVED if friction is Friction.NONE else Outcome.PARTLY
    return Outcome.UNCLEAR


def _sentiment(text: str, friction: Friction) -> int:
    glad, angry = bool(_GLAD.search(text)), bool(_ANGRY.search(text) or _GAVE_UP.search(text))
    mood = 3 + glad - angry - (friction is not Friction.NONE and not glad)
    return max(1, min(5, mood))


def _first(hints: Mapping[Value, re.Pattern[str]], text: str, otherwise: Value) -> Value:
    return next((value for value, words in hints.items() if words.search(text)), otherwise)


def _strongest(
    hints: Mapping[Value, re.Pattern[str]], texts: Sequence[str], otherwise: Value
) -> Value:
    """The value with the most hints over all texts; of equals, the first in the list."""
    scores = {
        value: sum(len(words.findall(text)) for text in texts) for value, words in hints.items()
    }
    best = max(scores.values(), default=0)
    return next((value for value, score in scores.items() if score == best > 0), otherwise)
