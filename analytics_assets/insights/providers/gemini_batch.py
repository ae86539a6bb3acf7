"""Gemini's Batch API: many questions in one job, at half the price, answered within a day.

Belongs here: creating, finding, reading and deleting jobs through the SDK. Does not: which
questions, ledgers (asking/batching.py). Invariant: a job carries our name and random keys of its
questions, nothing of a person but scrubbed texts; creating is never repeated by the SDK, which
would make a second job of it; what the SDK leaves out (an item's error, a failed job) is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from analytics_assets.insights.providers.gemini import (
    NOT_FOUND,
    GeminiProvider,
    answer_of,
    config_of,
    is_transport,
)
from analytics_assets.insights.providers.protocol import (
    Answer,
    BatchResult,
    ConfigError,
    ProviderError,
    Request,
    TransientError,
)

T = TypeVar("T")

_DONE = frozenset({"JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"})
_ENDED = frozenset({"JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"})
_LOST = f"http_{NOT_FOUND}"
_PAGE = 100


@dataclass
class GeminiBatchProvider(GeminiProvider):
    """GeminiProvider that also takes batches; see BatchProvider."""

    async def create_batch(self, name: str, requests: Sequence[tuple[str, Request]]) -> str:
        from google.genai import types

        inlined = [
            types.InlinedRequest(
                contents=request.text, metadata={"key": key}, config=config_of(request)
            )
            for key, request in requests
        ]
        once = types.HttpOptions(retry_options=types.HttpRetryOptions(attempts=1))
        client = self._client or self._open()
        job = await self._told(
            client.aio.batches.create(
                model=self.model,
                src=inlined,
                config=types.CreateBatchJobConfig(display_name=name, http_options=once),
            )
        )
        if not job.name:
            raise TransientError("unreadable_answer", maybe_billed=True)
        return job.name

    async def find_batches(self, names: Collection[str]) -> dict[str, str]:
        from google.genai import types

        return await self._told(self._found(types.ListBatchJobsConfig(page_size=_PAGE), names))

    async def read_batch(self, job: str) -> BatchResult:
        client = self._client or self._open()
        try:
            found = await self._told(client.aio.batches.get(name=job))
        except ConfigError as error:
            if error.error_class != _LOST:
                raise
            return BatchResult(ended=True, failed="batch_lost", lost=True)
        state = "" if found.state is None else str(found.state.value)
        if state in _ENDED:
            return BatchResult(ended=True, failed=f"batch_{state.rpartition('_')[2].lower()}")
        if state not in _DONE:
            return BatchResult(ended=False)
        responses = (found.dest.inlined_responses if found.dest else None) or []
        return BatchResult(
            ended=True,
            answers={
                str((one.metadata or {}).get("key", "")): _item(one.response) for one in responses
            },
        )

    async def delete_batch(self, job: str) -> None:
        client = self._client or self._open()
        await self._told(client.aio.batches.delete(name=job))

    async def _found(self, config: Any, names: Collection[str]) -> dict[str, str]:
        client = self._client or self._open()
        found: dict[str, str] = {}
        async for job in await client.aio.batches.list(config=config):
            if job.display_name and job.display_name in names and job.name:
                found[job.display_name] = job.name
        return found

    async def _told(self, call: Awaitable[T]) -> T:
        """The call's result; raises ProviderError as ``generate`` does."""
        from google.genai import errors

        try:
            async with asyncio.timeout(self.deadline):
                return await call
        except errors.APIError as error:
            self._raise_api_error(error)
        except ValueError:
            raise TransientError("unreadable_answer", maybe_billed=True) from None
        except Exception as error:
            if not is_transport(error):
                raise
            self._raise_transport_error(error)


def _item(response: Any) -> Answer | ProviderError:
    """An item's answer, or why there is none: the job succeeds all the same."""
    if response is None:
        return TransientError("batch_item_error")
    try:
        return answer_of(response)
    except ProviderError as error:
        return error
