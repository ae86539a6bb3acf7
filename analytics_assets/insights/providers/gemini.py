"""Gemini through the google-genai SDK, with each of its failures turned into a typed one.

Belongs here: the SDK, its options and its quirks. Does not: pacing, validation, ledgers. Invariant:
``google.genai`` is imported by the first call, never before; nothing of a request or a response but
codes and token counts reaches an exception.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Self

from analytics_assets.insights.providers.protocol import (
    NO_USAGE,
    Answer,
    ConfigError,
    RefusedError,
    Request,
    TransientError,
    UnusableError,
    Usage,
)

if TYPE_CHECKING:
    from google import genai
    from google.genai import errors, types

    from analytics_assets.settings import Settings

# The SDK's own default is another version; schemas and answers differ between them.
API_VERSION = "v1beta"
ATTEMPTS = 4
RATE_LIMIT_TRIES = 4
UNREADABLE_TRIES = 2
TOO_MANY_REQUESTS = 429
NOT_FOUND = 404
SERVER_ERRORS = 500
# 429 is left out: the SDK would ignore the delay the server asks for.
RETRIED_CODES = [408, 500, 502, 503, 504]
REFUSALS = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR"}
)
_NOT_KEPT = frozenset({"http_400", "http_403", "http_404"})
ENDED = ("stop", "none")
_TRANSPORTS = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "anyio", "ssl"})
_WRONG_ADDRESS = frozenset({"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"})
# Raised before a request is on its way.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "gaierror"})
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass
class GeminiProvider:
    """Asks ``model``. ``timeout`` (seconds) is for one attempt; see deadline for the whole.

    Between attempts the SDK waits ``initial_delay``, doubled up to ``max_delay``, plus at most
    ``jitter`` seconds.
    """

    api_key: str = field(repr=False)
    model: str
    base_url: str | None = None
    timeout: float = 60.0
    initial_delay: float = 1.0
    max_delay: float = 30.0
    jitter: float = 1.0
    _client: genai.Client | None = field(default=None, init=False, repr=False)
    _kept: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The configured provider, or None without ``ANALYTICS_GEMINI_API_KEY``."""
        if settings.gemini_api_key is None:
            return None
        return cls(
            api_key=settings.gemini_api_key.get_secret_value(),
            model=settings.gemini_model,
            base_url=settings.gemini_base_url,
            timeout=settings.llm_timeout_seconds,
        )

    @property
    def deadline(self) -> float:
        """Seconds after which a call is given up, whatever the SDK is waiting for."""
        return ATTEMPTS * (self.timeout + self.max_delay + self.jitter)

    def fingerprint(self) -> Mapping[str, str]:
        return {"provider": "gemini", "model": self.model, "api_version": API_VERSION}

    async def generate(self, request: Request) -> Answer:
        """Ask once; the SDK repeats on 5xx, time-outs and lost connections. See Provider."""
        kept = self._kept.get(request.system)
        try:
            return await self._generate(request, kept)
        except ConfigError as error:
            if kept is None or error.error_class not in _NOT_KEPT:
                raise
            # What was kept has run out, or was never good for this: without it, then.
            self._kept.pop(request.system, None)
            return await self._generate(request, None)

    async def cache_instructions(self, system: str, seconds: int) -> int | None:
        """Have the vendor keep ``system``; see CachingProvider."""
        from google.genai import errors, types

        client = self._client or self._open()
        try:
            async with asyncio.timeout(self.deadline):
                made = await client.aio.caches.create(
                    model=self.model,
                    config=types.CreateCachedContentConfig(
                        system_instruction=system, ttl=f"{seconds}s"
                    ),
                )
        except (errors.APIError, ValueError):
            return None
        except Exception as error:
            if not is_transport(error):
                raise
            return None
        if not made.name:
            return None
        self._kept[system] = made.name
        told = made.usage_metadata
        return (told.total_token_count if told else None) or len(system.encode())

    async def _generate(self, request: Request, kept: str | None) -> Answer:
        client = self._client or self._open()
        from google.genai import errors

        try:
            async with asyncio.timeout(self.deadline):
                response = await client.aio.models.generate_content(
                    model=self.model, contents=request.text, config=config_of(request, kept)
                )
        except errors.APIError as error:
            self._raise_api_error(error)
        except UnicodeError:
            raise _wrong_key("key_not_ascii") from None
        except ValueError:
            # A success whose body is not the JSON of an answer, as a proxy's page.
            raise TransientError(
                "unreadable_answer", tries=UNREADABLE_TRIES, maybe_billed=True
            ) from None
        except Exception as error:
            if not is_transport(error):
                raise
            self._raise_transport_error(error)
        return answer_of(response)

    async def aclose(self) -> None:
        if self._client is not None:
            for name in self._kept.values():
                # Where that fails it runs out by itself within the hour.
                with suppress(Exception):
                    await self._client.aio.caches.delete(name=name)
            self._kept.clear()
            await self._client.aio.aclose()
            self._client.close()
            self._client = None

    def _open(self) -> genai.Client:
        from google import genai
        from google.genai import types

        self._client = genai.Client(
            api_key=self.api_key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=self.base_url,
                api_version=API_VERSION,
                timeout=round(self.timeout * 1000),
                retry_options=types.HttpRetryOptions(
                    attempts=ATTEMPTS,
                    initial_delay=self.initial_delay,
                    max_delay=self.max_delay,
                    jitter=self.jitter,
                    http_status_codes=RETRIED_CODES,
                ),
            ),
        )
        return self._client

    def _raise_api_error(self, error: errors.APIError) -> NoReturn:
        body = error.details if isinstance(error.details, dict) else {}
        headers = getattr(error.response, "headers", None) or {}
        delay = retry_delay(body, headers)
        raise_for_status(error.code, error.status or "", delay, self.model)

    def _raise_transport_error(self, error: Exception) -> NoReturn:
        name = type(error).__name__
        if name in _WRONG_ADDRESS:
            raise ConfigError(
                "wrong_address", "ANALYTICS_GEMINI_BASE_URL is not the address of an HTTP server"
            ) from None
        if name in _NEVER_SENT or isinstance(error, ConnectionRefusedError):
            raise TransientError("unreachable") from None
        kind = "timeout" if "Timeout" in name else "connection_lost"
        raise TransientError(kind, maybe_billed=True) from None


def raise_for_status(
    code: int, status: str, delay: float | None, model: str, *, tries: int = 1
) -> NoReturn:
    """What an HTTP error of Gemini means. ``tries``: how often what may pass is tried in all."""
    if code == TOO_MANY_REQUESTS:
        raise TransientError("rate_limited", tries=RATE_LIMIT_TRIES, retry_after=delay) from None
    if code in RETRIED_CODES or code >= SERVER_ERRORS:
        raise TransientError(f"http_{code}", tries=tries) from None
    name = status if re.fullmatch(r"[A-Z_]{1,40}", status) else "ERROR"
    if code == NOT_FOUND:
        raise ConfigError(
            f"http_{code}",
            f"Gemini does not know the model {model!r} ({code} {name}): check "
            "ANALYTICS_GEMINI_MODEL and ANALYTICS_GEMINI_BASE_URL",
        ) from None
    raise ConfigError(
        f"http_{code}",
        f"Gemini refused the request ({code} {name}): check ANALYTICS_GEMINI_API_KEY, its "
        "permissions and billing, and ANALYTICS_GEMINI_MODEL",
    ) from None


def config_of(request: Request, kept: str | None = None) -> types.GenerateContentConfig:
    """The SDK's form of a request; ``kept`` names instructions the vendor has already."""
    from google.genai import types

    return types.GenerateContentConfig(
        system_instruction=request.system if kept is None else None,
        cached_content=kept,
        temperature=request.config.temperature,
        seed=request.config.seed,
        max_output_tokens=request.config.max_output_tokens,
        response_mime_type="application/json",
        response_schema=request.schema,
    )


def answer_of(response: types.GenerateContentResponse) -> Answer:
    """The answer, or what stood in its place: the SDK raises for none of it."""
    feedback = response.prompt_feedback
    blocked = None if feedback is None else feedback.block_reason
    first = response.candidates[0] if response.candidates else None
    text = response.text if first is not None and _code(first.finish_reason) in ENDED else None
    return judged(blocked, None if first is None else first.finish_reason, text, _usage(response))


def judged(blocked: Any, finish: Any, text: str | None, usage: Usage) -> Answer:
    """An answer by why it ended. Raises RefusedError and UnusableError."""
    if blocked is not None:
        raise RefusedError(f"blocked_{_code(blocked)}", usage)
    code = _code(finish)
    if code.upper() in REFUSALS:
        raise RefusedError(f"finish_{code}", usage)
    if code == "max_tokens":
        raise UnusableError("finish_max_tokens", "it was too long and was cut", usage)
    if code not in ENDED:
        raise UnusableError(f"finish_{code}", "it ended too early", usage)
    if not text:
        raise UnusableError("no_answer", "it was empty", usage)
    return Answer(text, usage)


def _usage(response: types.GenerateContentResponse) -> Usage:
    found = response.usage_metadata
    if found is None:
        return NO_USAGE
    return Usage(
        input=found.prompt_token_count or 0,
        output=(found.candidates_token_count or 0) + (found.thoughts_token_count or 0),
        cached=found.cached_content_token_count or 0,
    )


def _code(reason: Any) -> str:
    """A reason as a short stable code; the server may name one this SDK does not know."""
    if reason is None:
        return "none"
    return re.sub(r"[^a-z_]", "", str(getattr(reason, "value", reason)).lower())[:40]


def retry_delay(body: Any, headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait: RetryInfo of the error's body, else the header."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    details = inner.get("details") if isinstance(inner, dict) else None
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (match := _DURATION.fullmatch(delay)):
            return float(match.group(1))
    value = str(headers.get("retry-after", ""))
    return float(value) if re.fullmatch(r"\d{1,6}", value) else None


def is_transport(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in _TRANSPORTS


def _wrong_key(error_class: str) -> ConfigError:
    return ConfigError(error_class, "ANALYTICS_GEMINI_API_KEY holds characters no key has")
