"""The key under which an answer is kept: everything that decides the answer, and nothing else.

Belongs here: the key's canonical form. Does not: looking keys up (ledger.py). Invariant: no date
and no plain user id; the text enters as an HMAC under a key of its user, so that equal texts of two
people share neither key nor answer. The dictionary's version is left out on purpose: what it
changes is the scrubbed text itself, and a new colleague must not cause every question anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from analytics_assets.insights.prompts import GENERATION, STAGE, UserInsight, prompt_digest
from analytics_assets.insights.scrub import SCRUBBER_VERSION


def cache_key(text: str, user_id: str, provider: Mapping[str, str]) -> str:
    """Hex digest for one scrubbed transcript of ``user_id`` put to ``provider``."""
    return _digest({**_constants(provider), "text": text_digest(text, user_key(user_id))})


def user_key(user_id: str) -> bytes:
    """The user's key. Derived, so that it separates people but does not yet shred on erasure:
    a random key kept in ``vault`` can take its place without another change.
    """
    return hashlib.sha256(b"analysis-cache:" + user_id.encode()).digest()


def text_digest(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _constants(provider: Mapping[str, str]) -> dict[str, Any]:
    return {
        "stage": STAGE,
        "prompt": prompt_digest(),
        "schema": _digest(UserInsight.model_json_schema()),
        "generation": asdict(GENERATION),
        "provider": dict(provider),
        "scrubber": SCRUBBER_VERSION,
    }


def _digest(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
