"""One question until it is answered, refused or given up: waiting, repairing, validating.

Belongs here: what to do about each typed failure. Does not: the wire (providers/gemini.py), the
ledger. Invariant: ``ask`` never raises a ProviderError; it says how the question ended and what it
cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import BaseModel, ValidationError

from analytics_assets.insights.asking.stage import CANARY, REPAIR_NOTE
from analytics_assets.insights.asking.wording import leaks_canary
from analytics_assets.insights.providers.pacing import Breaker, Pacer
from analytics_assets.insights.providers.protocol import (
    NO_USAGE,
    Answer,
    ConfigError,
    Provider,
    RefusedError,
    Request,
    TransientError,
    UnusableError,
    Usage,
)

State = Literal["done", "failed", "poison"]


@dataclass(frozen=True)
class Reply:
    """How a question ended. ``poison``: never ask it again; ``failed``: the next run may.

    ``maybe_billed``: no answer came, and nobody knows whether the vendor charged for one.
    """

    state: State
    usage: Usage
    answer: BaseModel | None = None
    error_class: str | None = None
    advice: str | None = None
    maybe_billed: bool = False


@dataclass
class Asker:
    """Puts questions to one provider at one pace. ``backoff``: first wait (seconds) where a server
    that limits its rate names none; waits above ``longest_pause`` end the run instead.
    """

    provider: Provider
    pacer: Pacer
    breaker: Breaker = field(default_factory=Breaker)
    backoff: float = 1.0
    longest_pause: float = 120.0
    calls: int = 0

    async def ask(self, request: Request) -> Reply:
        """Ask, and once more for a repair. The caller has acquired the first slot of the pacer."""
        spent = NO_USAGE
        for repairing in (False, True):
            if repairing:
                await self.pacer.acquire()
            try:
                answer = await self._generate(request)
                found = validated(answer, request.schema)
            except UnusableError as error:
                self.breaker.succeeded()
                spent += error.usage
                if repairing:
                    return Reply("poison", spent, error_class=error.error_class)
                request = repaired(request, error)
            except RefusedError as error:
                self.breaker.succeeded()
                return Reply("poison", spent + error.usage, error_class=error.error_class)
            except TransientError as error:
                self.breaker.failed()
                return Reply(
                    "failed",
                    spent,
                    error_class=error.error_class,
                    maybe_billed=error.maybe_billed,
                )
            except ConfigError as error:
                return Reply("failed", spent, error_class=error.error_class, advice=error.advice)
            else:
                self.breaker.succeeded()
                return Reply("done", spent + answer.usage, answer=found)
        raise AssertionError("a repair ends in a reply")

    async def _generate(self, request: Request) -> Answer:
        tries = 0
        while True:
            tries += 1
            self.calls += 1
            try:
                return await self.provider.generate(request)
            except TransientError as error:
                wait = error.retry_after
                if wait is not None and wait > self.longest_pause:
                    # A quota for the day: every other call would wait as long.
                    self.breaker.trip()
                    raise
                if tries >= error.tries or self.breaker.is_open:
                    raise
                self.pacer.pause(self.backoff * 2 ** (tries - 1) if wait is None else wait)
                await self.pacer.acquire()
                if self.breaker.is_open:
                    raise


def validated(answer: Answer, schema: type[BaseModel]) -> BaseModel:
    """The object in an answer. Raises UnusableError naming fields, never values."""
    if leaks_canary(answer.text, CANARY):
        raise UnusableError("instructions_leaked", "it broke rule 6", answer.usage)
    try:
        return schema.model_validate_json(answer.text)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        names = sorted({str(problem["loc"][0]) for problem in problems if problem["loc"]})
        if not names:
            raise UnusableError("bad_json", "it was not a JSON object", answer.usage) from None
        problem = f"these fields were missing, not allowed or out of range: {', '.join(names)}"
        raise UnusableError("bad_value", problem, answer.usage) from None


def repaired(request: Request, error: UnusableError) -> Request:
    """The request again, saying what was wrong; an answer that was cut gets twice the room."""
    config = request.config
    if error.error_class == "finish_max_tokens":
        config = replace(config, max_output_tokens=config.max_output_tokens * 2)
    note = REPAIR_NOTE.format(problem=error.problem)
    return replace(request, text=request.text + note, config=config)
