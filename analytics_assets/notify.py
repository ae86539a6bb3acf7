"""Messages to the team's webhook.

Belongs here: posting one JSON payload. Does not: what it says. Invariant: the webhook's address
and the payload never reach a log or an error message.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr


class NotPosted(Exception):
    """The webhook did not take the message; the message says why, without its address."""


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
