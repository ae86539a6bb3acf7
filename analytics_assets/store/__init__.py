"""Postgres: the embedded server, roles, models, migrations, partitions and COPY."""
