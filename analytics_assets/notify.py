"""Messages to the team's webhook.

Belongs here: posting one JSON payload. Does not: what it says. Invariant: the webhook's address
and the payload never reach a log or an error message.
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr


class NotPosted(Exception):
    """The webhook did not take the message; the message says why, without its address."""


def post_to_webhook(url: SecretStr, payload: dict[str, Any], *, timeout: float = 10.0) -> None:
    """Post ``payload`` to a Slack-compatible webhook. Raises NotPosted."""
    import httpx

    try:
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
