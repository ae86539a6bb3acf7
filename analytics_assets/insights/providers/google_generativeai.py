"""Gemini through the old SDK, ``google-generativeai``, in an environment of its own.

Belongs here: the child process, its lines, and what its failures mean. Does not: the SDK
(google_generativeai_worker.py), making the environment (google_generativeai_setup.py), pacing,
validation, ledgers. Invariant: the key reaches the child by its environment, never by a command
line; the child gets no other setting of the platform.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from analytics_assets.insights.providers.gemini import (
    RATE_LIMIT_TRIES,
    UNREADABLE_TRIES,
    judged,
    raise_for_status,
    retry_delay,
)
from analytics_assets.insights.providers.google_generativeai_setup import python_of
from analytics_assets.insights.providers.google_generativeai_worker import KEY_VARIABLE
from analytics_assets.insights.providers.json_schema import gemini_schema
from analytics_assets.insights.providers.protocol import (
    Answer,
    ConfigError,
    Request,
    TransientError,
    Usage,
)

if TYPE_CHECKING:
    from analytics_assets.settings import Settings

TRIES = 4
# Loading the SDK takes a second or two, on a busy machine many.
START_SECONDS = 120
MAX_LINE_BYTES = 8 * 2**20
_WORKER = Path(__file__).with_name("google_generativeai_worker.py")


@dataclass
class GoogleGenerativeAiProvider:
    """Asks ``model`` by a worker that ``python`` runs; ``timeout`` in seconds a request.

    ``environment`` is the child's whole environment but for the key.
    """

    python: Path
    api_key: str = field(repr=False)
    model: str
    environment: Mapping[str, str] = field(repr=False)
    base_url: str | None = None
    timeout: float = 60.0
    threads: int = 8
    _process: asyncio.subprocess.Process | None = field(default=None, init=False, repr=False)
    _reader: asyncio.Task[None] | None = field(default=None, init=False, repr=False)
    _waiting: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict, init=False)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)
    _ids: itertools.count[int] = field(default_factory=itertools.count, init=False, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> GoogleGenerativeAiProvider | None:
        """The configured provider, or None without a key or without the SDK's environment."""
        from analytics_assets.settings import lean_environment

        python = python_of(settings)
        if settings.gemini_api_key is None or python is None:
            return None
        return cls(
            python=python,
            api_key=settings.gemini_api_key.get_secret_value(),
            model=settings.gemini_model,
            environment=lean_environment(),
            base_url=settings.gemini_base_url,
            timeout=settings.llm_timeout_seconds,
            threads=settings.llm_concurrency,
        )

    def fingerprint(self) -> Mapping[str, str]:
        # The old SDK cannot send a seed.
        return {"provider": "google_generativeai", "model": self.model, "api_version": "v1beta"}

    async def generate(self, request: Request) -> Answer:
        """Ask once; see Provider."""
        process = await self._started()
        number = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        line = {
            "id": number,
            "model": self.model,
            "system": request.system,
            "text": request.text,
            "schema": gemini_schema(request.schema),
            "temperature": request.config.temperature,
            "max_output_tokens": request.config.max_output_tokens,
        }
        try:
            if process.stdin is None:
                raise TransientError("worker_lost")
            process.stdin.write(json.dumps(line).encode() + b"\n")
            await process.stdin.drain()
            async with asyncio.timeout(2 * self.timeout):
                told = await future
        except OSError:  # also a time-out of ours
            raise TransientError("worker_lost", maybe_billed=True) from None
        finally:
            self._waiting.pop(number, None)
        if "error" in told:
            self._raise(told["error"])
        found = told["answer"]
        usage = Usage(found["input"] or 0, found["output"] or 0, found["cached"] or 0)
        return judged(found["block"], found["finish"], found["text"], usage)

    async def aclose(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader
            self._reader = None

    async def _started(self) -> asyncio.subprocess.Process:
        async with self._starting:
            reading = self._reader is not None and not self._reader.done()
            if self._process is not None and reading:
                return self._process
            await self.aclose()
            try:
                process = await asyncio.create_subprocess_exec(
                    str(self.python),
                    "-I",
                    str(_WORKER),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    env={**self.environment, KEY_VARIABLE: self.api_key},
                    limit=MAX_LINE_BYTES,
                )
            except OSError:
                raise _no_environment() from None
            self._process = process
            await self._set_up(process)
            self._reader = asyncio.create_task(self._read(process))
            return process

    async def _set_up(self, process: asyncio.subprocess.Process) -> None:
        """Tell the worker where and how; it answers when it has loaded the SDK."""
        setup = {"base_url": self.base_url, "timeout": self.timeout, "threads": self.threads}
        ready = b""
        if process.stdin is not None and process.stdout is not None:
            with suppress(OSError):  # also a time-out
                process.stdin.write(json.dumps(setup).encode() + b"\n")
                async with asyncio.timeout(START_SECONDS):
                    ready = await process.stdout.readline()
        if not ready:
            raise _no_environment()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand each line to who waits for it; at the end, tell the rest that it is over."""
        if process.stdout is not None:
            async for line in process.stdout:
                told = json.loads(line)
                future = self._waiting.get(told["id"])
                if future is not None and not future.done():
                    future.set_result(told)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(TransientError("worker_lost", maybe_billed=True))

    def _raise(self, error: Mapping[str, Any]) -> NoReturn:
        kind = error["kind"]
        if kind == "http":
            delay = retry_delay(error["body"], error["headers"])
            raise_for_status(error["code"], "", delay, self.model, tries=TRIES)
        if kind == "unreachable":
            raise TransientError("unreachable", tries=TRIES)
        if kind == "wrong_address":
            raise ConfigError(
                "wrong_address", "ANALYTICS_GEMINI_BASE_URL is not the address of an HTTP server"
            )
        if kind == "unreadable_answer":
            raise TransientError(kind, tries=UNREADABLE_TRIES, maybe_billed=True)
        if kind in ("timeout", "connection_lost"):
            raise TransientError(kind, tries=RATE_LIMIT_TRIES, maybe_billed=True)
        raise TransientError("worker_failed", maybe_billed=True)


def _no_environment() -> ConfigError:
    return ConfigError(
        "no_environment",
        "the environment of google-generativeai does not work: run `analytics-assets insights "
        "install-google-generativeai`, or name another Python in "
        "ANALYTICS_GOOGLE_GENERATIVEAI_PYTHON",
    )
