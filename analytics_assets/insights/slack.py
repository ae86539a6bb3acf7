"""Posting the summary to Slack's incoming webhook.

Belongs here: the payload's way out. Does not: its wording (summary_text.py) or the request
(notify.py). Invariant: a post that fails is reported, not raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.insights.summary_text import slack_payload
from analytics_assets.notify import NotPosted, post_to_webhook

if TYPE_CHECKING:
    from pydantic import SecretStr


def post_summary(webhook: SecretStr, markdown: str) -> str | None:
    """Post; returns None, or why it failed."""
    try:
        post_to_webhook(webhook, slack_payload(markdown))
    except NotPosted as error:
        return str(error)
    return None
