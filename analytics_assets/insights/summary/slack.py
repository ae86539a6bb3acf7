"""The summary's way to Slack: a bot that changes its message, or a webhook that only posts.

Belongs here: which of the two, and what to do about a text posted before. Does not: wording
(text.py) or requests (notify.py). Invariant: nothing told holds a token or an address; a
failure is a NotPosted, and the caller decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analytics_assets.insights.summary.text import slack_payload
from analytics_assets.notify import NotPosted, SlackRefused, call_slack, post_to_webhook

if TYPE_CHECKING:
    from pydantic import SecretStr

    from analytics_assets.settings import Settings

NO_CHANNEL: Final = (
    "ANALYTICS_SLACK_BOT_TOKEN is set and ANALYTICS_SLACK_CHANNEL is not; set the channel's id"
)
POSTED_AGAIN: Final = (
    "posted again: a webhook cannot change a message; with ANALYTICS_SLACK_BOT_TOKEN and "
    "ANALYTICS_SLACK_CHANNEL it is updated in place"
)
UPDATED_NOTE: Final = " (updated)"
# What Slack says of a message that can no longer be changed.
GONE: Final = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"}
)


@dataclass(frozen=True)
class Posted:
    """What became of a post, and the message to change next time where there is one."""

    outcome: str
    message: str | None = None


@dataclass(frozen=True)
class Slack:
    """Where summaries go; with a bot's token the webhook is not used."""

    webhook: SecretStr | None = None
    bot_token: SecretStr | None = None
    channel: str | None = None
    api_url: str = "https://slack.com/api"

    @classmethod
    def from_settings(cls, settings: Settings) -> Slack | None:
        """None where Slack is not configured."""
        if settings.slack_webhook_url is None and settings.slack_bot_token is None:
            return None
        return cls(
            settings.slack_webhook_url,
            settings.slack_bot_token,
            settings.slack_channel,
            settings.slack_api_url,
        )

    def post(self, markdown: str, message: str | None, *, again: bool) -> Posted:
        """Post a text, or change ``message`` to it. ``again``: another text of the day was posted.

        Raises NotPosted.
        """
        if self.bot_token is not None:
            return self._by_bot(self.bot_token, markdown, message)
        if self.webhook is None:
            raise NotPosted("Slack is not configured; set ANALYTICS_SLACK_WEBHOOK_URL")
        post_to_webhook(self.webhook, slack_payload(markdown, UPDATED_NOTE if again else ""))
        return Posted(POSTED_AGAIN if again else "posted")

    def _by_bot(self, token: SecretStr, markdown: str, message: str | None) -> Posted:
        if self.channel is None:
            raise NotPosted(NO_CHANNEL)
        payload = slack_payload(markdown)
        if message is not None:
            channel, _, stamp = message.rpartition(" ")
            try:
                call_slack(
                    self.api_url, token, "chat.update", {"channel": channel, "ts": stamp, **payload}
                )
            except SlackRefused as refused:
                if refused.code not in GONE:
                    raise
            else:
                return Posted("updated", message)
        answer = call_slack(
            self.api_url, token, "chat.postMessage", {"channel": self.channel, **payload}
        )
        return Posted("posted", f"{answer['channel']} {answer['ts']}")
