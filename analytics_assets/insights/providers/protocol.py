"""The small protocol behind which every model stands, and the ways a call can end.

Belongs here: requests, answers, typed failures. Does not: any vendor (gemini.py), retries across
calls (asking/asker.py). Invariant: an exception of this module carries a class of error and
numbers, never a word of the prompt, of the answer or of a person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pydantic import BaseModel


@dataclass(frozen=True)
class GenerationConfig:
    temperature: float
    seed: int
    max_output_tokens: int


@dataclass(frozen=True)
class Request:
    """One question: static instructions, the scrubbed text, the answer's schema."""

    system: str
    text: str
    schema: type[BaseModel]
    config: GenerationConfig


@dataclass(frozen=True)
class Usage:
    """Tokens of one or more calls; ``input`` includes ``cached``, ``output`` includes thoughts."""

    input: int = 0
    output: int = 0
    cached: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input, self.output + other.output, self.cached + other.cached
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.input - other.input, self.output - other.output, self.cached - other.cached
        )


NO_USAGE = Usage()


@dataclass(frozen=True)
class Answer:
    """What came back: text that is not validated yet, and what it cost."""

    text: str
    usage: Usage


class ProviderError(Exception):
    """A call that gave no usable answer. ``error_class`` is a short stable code."""

    def __init__(self, error_class: str, usage: Usage = NO_USAGE) -> None:
        super().__init__(error_class)
        self.error_class = error_class
        self.usage = usage


class TransientError(ProviderError):
    """Worth asking again: ``tries`` times in all in this run, then in the next one.

    ``retry_after`` is in seconds, where the server named it; ``maybe_billed``: the request was
    sent, and whether the vendor charged for it is not known.
    """

    def __init__(
        self,
        error_class: str,
        *,
        tries: int = 1,
        retry_after: float | None = None,
        maybe_billed: bool = False,
    ) -> None:
        super().__init__(error_class)
        self.maybe_billed = maybe_billed
        self.tries = tries
        self.retry_after = retry_after


class ConfigError(ProviderError):
    """Key, model or address are wrong: no further call can succeed. The message says what to do."""

    def __init__(self, error_class: str, advice: str) -> None:
        super().__init__(error_class)
        self.advice = advice


class RefusedError(ProviderError):
    """The model will not answer this text, now or later: never ask again."""


class UnusableError(ProviderError):
    """The answer is cut, empty or not of the schema; one repair is worth its price.

    ``problem`` tells the model what was wrong, in words of ours.
    """

    def __init__(self, error_class: str, problem: str, usage: Usage = NO_USAGE) -> None:
        super().__init__(error_class, usage)
        self.problem = problem


class Provider(Protocol):
    """A model. Safe for concurrent calls on one event loop; close it on the same loop."""

    @property
    def model(self) -> str: ...

    def fingerprint(self) -> Mapping[str, str]:
        """What of the provider decides the answer: part of the cache key."""
        ...

    async def generate(self, request: Request) -> Answer:
        """Ask once (transport retries included). Raises ProviderError."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class BatchResult:
    """A job: whether it has ended, why it failed, and its answers by the key of each question.

    ``lost``: the vendor does not know it any more, and may have charged for it.
    """

    ended: bool
    failed: str | None = None
    lost: bool = False
    answers: dict[str, Answer | ProviderError] = field(default_factory=dict)


@runtime_checkable
class BatchProvider(Protocol):
    """A model that takes batches. All raise ProviderError."""

    async def create_batch(self, name: str, requests: Sequence[tuple[str, Request]]) -> str:
        """Send once, without repeating; returns the provider's own name of the job."""
        ...

    async def find_batches(self, names: Collection[str]) -> dict[str, str]:
        """The provider's own names of those of ``names`` it has."""
        ...

    async def read_batch(self, job: str) -> BatchResult: ...

    async def delete_batch(self, job: str) -> None: ...
