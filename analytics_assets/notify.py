"""Messages to the team: to a webhook, or through Slack's Web API.

Belongs here: posting one JSON payload. Does not: what it says. Invariant: the webhook's address,
the token and the payload never reach a log or an error message.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr


class NotPosted(Exception):
    """The message was not taken; the text says why, without an address or token."""


class SlackRefused(NotPosted):
    """Slack's API said no; ``code`` is its word for why."""

    def __init__(self, code: str) -> None:
        self.code = code if code.replace("_", "").isalnum() and len(code) <= _LONGEST else "unknown"
        advice = _ADVICE.get(self.code, "see https://api.slack.com/methods/chat.postMessage#errors")
        super().__init__(f"Slack refused the message ({self.code}): {advice}")


_LONGEST = 64
_TOKEN = "check ANALYTICS_SLACK_BOT_TOKEN"  # noqa: S105 - a name, not a token
_CHANNEL = "check ANALYTICS_SLACK_CHANNEL, the channel's id"
_ADVICE = {
    "invalid_auth": _TOKEN,
    "not_authed": _TOKEN,
    "account_inactive": _TOKEN,
    "token_revoked": _TOKEN,
    "token_expired": _TOKEN,
    "missing_scope": "give the bot the scope chat:write and install it again",
    "not_in_channel": "invite the bot to the channel",
    "channel_not_found": _CHANNEL,
    "is_archived": _CHANNEL,
    "ratelimited": "the next run posts it",
}


def post_to_webhook(url: SecretStr, payload: dict[str, Any], *, timeout: float = 10.0) -> None:
    """Post ``payload`` to a Slack-compatible webhook. Raises NotPosted."""
    import httpx

    try:
        with _address_unlogged(url):
            response = httpx.post(url.get_secret_value(), json=payload, timeout=timeout)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotPosted(
            f"the webhook could not be reached ({type(error).__name__}); check "
            "ANALYTICS_SLACK_WEBHOOK_URL"
        ) from None
    if response.is_error:
        raise NotPosted(
            f"the webhook answered {response.status_code}; check ANALYTICS_SLACK_WEBHOOK_URL"
        )


def call_slack(
    api_url: str, token: SecretStr, method: str, payload: dict[str, Any], *, timeout: float = 10.0
) -> dict[str, Any]:
    """Call a method of Slack's Web API; its answer. Raises NotPosted, SlackRefused for a no."""
    import httpx

    try:
        response = httpx.post(
            f"{api_url.rstrip('/')}/{method}",
            json=payload,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=timeout,
        )
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise SlackRefused("ratelimited")
        answer = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, UnicodeEncodeError) as error:
        raise NotPosted(
            f"Slack's API gave no readable answer ({type(error).__name__}); check "
            "ANALYTICS_SLACK_API_URL and the network"
        ) from None
    if not isinstance(answer, dict) or not answer.get("ok"):
        code = answer.get("error") if isinstance(answer, dict) else None
        raise SlackRefused(str(code or "unknown"))
    return answer


@contextmanager
def _address_unlogged(url: SecretStr) -> Iterator[None]:
    """Drop log records that would tell the address: httpx logs each request with its URL."""
    address = url.get_secret_value()

    def is_harmless(record: logging.LogRecord) -> bool:
        return address not in record.getMessage()

    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore")]
    for logger in loggers:
        logger.addFilter(is_harmless)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_harmless)
