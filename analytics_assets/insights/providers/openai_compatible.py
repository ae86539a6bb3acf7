"""Any server that speaks OpenAI's chat completions (Ollama, vLLM, llama.cpp): for data that stay.

Belongs here: the wire format and what each of its failures means. Does not: pacing, validation,
ledgers. Invariant: one plain HTTP request a question; no redirect is followed, so that texts reach
the configured host and no other; only codes and token counts reach an exception.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from analytics_assets.insights.providers.json_schema import schema_of
from analytics_assets.insights.providers.protocol import (
    Answer,
    ConfigError,
    RefusedError,
    Request,
    TransientError,
    UnusableError,
    Usage,
)

if TYPE_CHECKING:
    import httpx

    from analytics_assets.settings import Settings

TRIES = 4
UNREADABLE_TRIES = 2
OK = 200
TOO_MANY_REQUESTS = 429
NOT_FOUND = 404
SERVER_ERRORS = 500
REQUEST_TIMEOUT = 408


@dataclass
class OpenAiCompatibleProvider:
    """Asks ``model`` at ``base_url`` (such as ``http://127.0.0.1:11434/v1``); ``timeout`` in
    seconds.
    """

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    _client: httpx.AsyncClient | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> OpenAiCompatibleProvider | None:
        """The configured provider, or None without an address and a model."""
        if settings.llm_base_url is None or settings.llm_model is None:
            return None
        key = settings.llm_api_key
        return cls(
            base_url=settings.llm_base_url,
            model=settings.llm_model,
            api_key=None if key is None else key.get_secret_value(),
            timeout=settings.llm_timeout_seconds,
        )

    def fingerprint(self) -> Mapping[str, str]:
        # Not the address: the same model on another host gives the same answer.
        return {"provider": "openai_compatible", "model": self.model, "api_version": "chat"}

    async def generate(self, request: Request) -> Answer:
        """Ask once. See Provider."""
        import httpx

        client = self._client or self._open()
        try:
            response = await client.post("chat/completions", json=self._body(request))
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError):
            raise _wrong_address() from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise TransientError("unreachable", tries=TRIES) from None
        except httpx.TimeoutException:
            raise TransientError("timeout", tries=UNREADABLE_TRIES, maybe_billed=True) from None
        except httpx.TransportError:
            raise TransientError("connection_lost", tries=TRIES, maybe_billed=True) from None
        if response.status_code != OK:
            self._raise_for(response)
        return _answer(response)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _open(self) -> httpx.AsyncClient:
        import httpx

        try:
            headers = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
            self._client = httpx.AsyncClient(
                base_url=self.base_url.rstrip("/") + "/", headers=headers, timeout=self.timeout
            )
        except UnicodeError:
            raise ConfigError(
                "key_not_ascii", "ANALYTICS_LLM_API_KEY holds characters no key has"
            ) from None
        except httpx.InvalidURL:
            raise _wrong_address() from None
        return self._client

    def _body(self, request: Request) -> dict[str, Any]:
        schema = request.schema
        return {
            "model": self.model,
            "messages": [
                {"role": "system", "content": request.system},
                {"role": "user", "content": request.text},
            ],
            "temperature": request.config.temperature,
            "seed": request.config.seed,
            "max_tokens": request.config.max_output_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": schema.__name__,
                    "schema": schema_of(schema),
                    "strict": True,
                },
            },
        }

    def _raise_for(self, response: httpx.Response) -> NoReturn:
        code = response.status_code
        if code == TOO_MANY_REQUESTS:
            raise TransientError("rate_limited", tries=TRIES, retry_after=_retry_after(response))
        if code == REQUEST_TIMEOUT or code >= SERVER_ERRORS:
            raise TransientError(f"http_{code}", tries=TRIES, retry_after=_retry_after(response))
        if code == NOT_FOUND:
            raise ConfigError(
                f"http_{code}",
                f"the server does not know the model {self.model!r} or the path ({code}): check "
                "ANALYTICS_LLM_MODEL and ANALYTICS_LLM_BASE_URL, which ends in /v1 for most",
            )
        raise ConfigError(
            f"http_{code}",
            f"the server refused the request ({code}): check ANALYTICS_LLM_BASE_URL, "
            "ANALYTICS_LLM_MODEL and ANALYTICS_LLM_API_KEY",
        )


def _answer(response: httpx.Response) -> Answer:
    try:
        body = response.json()
        usage = _usage(body)
        choice = body["choices"][0]
        message = choice["message"]
        reason = str(choice.get("finish_reason") or "stop")
        text = message.get("content") or ""
        refused = bool(message.get("refusal"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        # A page of a proxy, or another service altogether.
        raise TransientError(
            "unreadable_answer", tries=UNREADABLE_TRIES, maybe_billed=True
        ) from None
    if refused or reason == "content_filter":
        raise RefusedError("finish_content_filter" if not refused else "refused", usage)
    if reason == "length":
        raise UnusableError("finish_max_tokens", "it was too long and was cut", usage)
    if not isinstance(text, str) or not text:
        raise UnusableError("no_answer", "it was empty", usage)
    return Answer(text, usage)


def _usage(body: Mapping[str, Any]) -> Usage:
    """Token counts; a server that tells none costs none."""
    told = body.get("usage") or {}
    details = told.get("prompt_tokens_details") or {}
    return Usage(
        input=int(told.get("prompt_tokens") or 0),
        output=int(told.get("completion_tokens") or 0),
        cached=int(details.get("cached_tokens") or 0),
    )


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", value) else None


def _wrong_address() -> ConfigError:
    return ConfigError(
        "wrong_address", "ANALYTICS_LLM_BASE_URL is not the address of an HTTP server"
    )
