"""The HTTP API: records in, numbers out. Never imports Dagster, dbt or pandas (tested)."""
