"""Where raw rows come from: the inbox, files, other Postgres databases; and how they get in."""
