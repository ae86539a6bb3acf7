"""What a conversation can be about: the closed lists every answer of a model must choose from.

Belongs here: enumerations and their version. Does not: instructions (facet_prompt.py,
users/prompt.py) or words that hint at a value (facet_rules.py). Invariant: a value is never renamed
in place; a change of meaning is a new value and a new version, because rows of other days keep the
old one.
"""

from __future__ import annotations

from enum import StrEnum

# Part of every cache key: with another list the same text has another answer.
TAXONOMY_VERSION = "1"


class Task(StrEnum):
    """What U wanted the product to do."""

    BUILD = "build"
    FIX = "fix"
    LEARN = "learn"
    WRITE = "write"
    ANALYSE_DATA = "analyse_data"
    AUTOMATE = "automate"
    INTEGRATE = "integrate"
    CONFIGURE = "configure"
    FIND_INFORMATION = "find_information"
    MANAGE_ACCOUNT = "manage_account"
    OTHER = "other"


class Topic(StrEnum):
    """The field U worked in."""

    DATA_PIPELINES = "data_pipelines"
    DASHBOARDS = "dashboards"
    DATABASES = "databases"
    MACHINE_LEARNING = "machine_learning"
    DEBUGGING = "debugging"
    TESTING = "testing"
    WEB_DEVELOPMENT = "web_development"
    MOBILE_DEVELOPMENT = "mobile_development"
    INFRASTRUCTURE = "infrastructure"
    OPERATING_SYSTEMS = "operating_systems"
    SECURITY = "security"
    INTEGRATIONS = "integrations"
    AUTOMATION = "automation"
    PLANNING = "planning"
    WRITING = "writing"
    DESIGN = "design"
    LEARNING = "learning"
    SCIENCE_AND_MATHS = "science_and_maths"
    HEALTH_AND_LIFE = "health_and_life"
    ACCOUNT_AND_BILLING = "account_and_billing"
    SMALL_TALK = "small_talk"
    OTHER = "other"


class Outcome(StrEnum):
    """Whether U got it done."""

    ACHIEVED = "achieved"
    PARTLY = "partly"
    NOT_ACHIEVED = "not_achieved"
    UNCLEAR = "unclear"


class Friction(StrEnum):
    """What stood most in U's way."""

    NONE = "none"
    WRONG_ANSWER = "wrong_answer"
    UNCLEAR_ANSWER = "unclear_answer"
    LOST_CONTEXT = "lost_context"
    REPEATED_ATTEMPTS = "repeated_attempts"
    MISSING_FEATURE = "missing_feature"
    BROKEN_FEATURE = "broken_feature"
    ERROR = "error"
    SLOW = "slow"
    LIMIT_REACHED = "limit_reached"
    SIGN_IN = "sign_in"
    HARD_TO_USE = "hard_to_use"
    INTEGRATION_FAILED = "integration_failed"
    OTHER = "other"


class FeatureRequest(StrEnum):
    """The area of what U asked the product to have or to do better."""

    NONE = "none"
    INTEGRATION = "integration"
    IMPORT_EXPORT = "import_export"
    AUTOMATION = "automation"
    NOTIFICATIONS = "notifications"
    COLLABORATION = "collaboration"
    HISTORY = "history"
    CUSTOMISATION = "customisation"
    APPEARANCE = "appearance"
    PERFORMANCE = "performance"
    HIGHER_LIMITS = "higher_limits"
    OFFLINE = "offline"
    PRICING = "pricing"
    MOBILE = "mobile"
    DOCUMENTATION = "documentation"
    OTHER = "other"


class WillReturn(StrEnum):
    LIKELY = "likely"
    UNSURE = "unsure"
    UNLIKELY = "unlikely"


class Segment(StrEnum):
    """How active somebody was in a month."""

    NEW = "new"
    REGULAR = "regular"
    OCCASIONAL = "occasional"
    FADING = "fading"
