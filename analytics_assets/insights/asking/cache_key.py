"""The key under which an answer is kept: everything that decides the answer, and nothing else.

Belongs here: the key's canonical form. Does not: looking keys up (ledger.py) or the users' own keys
(user_keys.py). Invariant: no date and no user id; the text enters as an HMAC under a random key of
its user, so that equal texts of two people share neither key nor answer, and without that key
nobody can tell what was asked. The dictionary's version is left out on purpose: what it changes is
the scrubbed text itself, and a new colleague must not cause every question anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from analytics_assets.insights.asking.stage import Stage
from analytics_assets.insights.providers.json_schema import schema_of
from analytics_assets.insights.scrubbing.scrubber import SCRUBBER_VERSION
from analytics_assets.insights.taxonomy import TAXONOMY_VERSION


def cache_key(
    stage: Stage, digest: str, provider: Mapping[str, str], scrubber: str | None = None
) -> str:
    """Hex digest for the question of ``stage`` about the text of ``digest`` put to ``provider``.

    ``scrubber`` is the version of the layers that masked the text; default: the first two.
    """
    return _hash(
        {
            **_constants(stage),
            "provider": dict(provider),
            "taxonomy": TAXONOMY_VERSION,
            "scrubber": scrubber or SCRUBBER_VERSION,
            "text": digest,
        }
    )


def text_digest(text: str, user_key: bytes) -> str:
    """HMAC of one user's text; equal for equal texts of this user alone."""
    return hmac.new(user_key, text.encode(), hashlib.sha256).hexdigest()


@cache
def _constants(stage: Stage) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "prompt": stage.digest(),
        "schema": _hash(schema_of(stage.answer)),
        "generation": asdict(stage.config),
    }


def _hash(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
