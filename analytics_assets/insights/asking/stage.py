"""A stage: one kind of question, with its instructions, the shape of its answer and its version.

Belongs here: what all stages share. Does not: any one stage (conversations/facet_prompt.py,
users/prompt.py) or who answers (providers/protocol.py). Invariant: the instructions are the same
bytes for every call (vendors cache prefixes); a person's text comes last, between marks that nobody
can guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, BeforeValidator

from analytics_assets.insights.providers.protocol import GenerationConfig, Request

# An answer that repeats this has followed the transcript instead of the instructions.
CANARY = "canary-5e1f0c7a92"
REPAIR_NOTE = """\

Your previous answer could not be used: {problem}. Answer again with one complete, short JSON object
of the schema.
"""


@dataclass(frozen=True)
class Stage:
    """One kind of question. ``free_text`` names the answer's fields that a model words itself.

    With a ``stand_in`` they are held to general words (wording.py): it makes sentences of the
    answer's other fields, for those that are not. ``reads_conversations``: the texts are people's
    own words, of which an answer quotes none.
    """

    name: str
    version: str
    system: str
    answer: type[BaseModel]
    config: GenerationConfig
    free_text: tuple[str, ...]
    stand_in: Callable[[Any], Mapping[str, str]] | None = None
    reads_conversations: bool = False

    def digest(self) -> str:
        """Hash of the instructions: changing a word asks every question anew."""
        return hashlib.sha256((self.system + REPAIR_NOTE).encode()).hexdigest()

    def request(self, text: str, cache_key: str) -> Request:
        """The request about one text. The marks come from the key, so that a repeated request is
        the same bytes, and nobody can write a mark into a text whose hash decides it.
        """
        mark = f"<<<{hashlib.sha256(f'mark:{cache_key}'.encode()).hexdigest()[:24]}>>>"
        return Request(
            system=self.system,
            text=f"{mark}\n{text}\n{mark}",
            schema=self.answer,
            config=self.config,
        )


def shortened(limit: int) -> BeforeValidator:
    """Cut a sentence of more than ``limit`` characters: models miscount letters, and a sentence
    too long is not worth paying for a second time.
    """

    def cut(value: Any) -> Any:
        if not isinstance(value, str) or len(value) <= limit:
            return value
        return value[: limit - 1].rsplit(" ", 1)[0].rstrip() + "…"

    return BeforeValidator(cut)
