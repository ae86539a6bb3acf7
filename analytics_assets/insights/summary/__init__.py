"""One text a day, as markdown and to Slack."""
