"""Posting the summary to Slack's incoming webhook.

Belongs here: the payload's way out. Does not: its wording (summary_text.py). Invariant: the
webhook's address is a secret: it reaches neither a log nor an error message.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from analytics_assets.insights.summary_text import slack_payload
from analytics_assets.notify import NotPosted, post_to_webhook

if TYPE_CHECKING:
    from pydantic import SecretStr


def post_summary(webhook: SecretStr, markdown: str) -> str | None:
    """Post; returns None, or why it failed."""
    with address_unlogged(webhook):
        try:
            post_to_webhook(webhook, slack_payload(markdown))
        except NotPosted as error:
            return str(error)
    return None


@contextmanager
def address_unlogged(webhook: SecretStr) -> Iterator[None]:
    """Drop log records that would tell the address: httpx logs each request with its URL."""
    address = webhook.get_secret_value()

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
