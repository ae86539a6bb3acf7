-- Who may do what. A role not named here may do nothing.
grant usage on schema anonymous, published
    to analytics_reader, analytics_analyst, analytics_api, analytics_pipeline,
       analytics_retention, analytics_owner;
grant select on all tables in schema anonymous, published
    to analytics_reader, analytics_analyst, analytics_api, analytics_pipeline;
grant insert on all tables in schema anonymous, published to analytics_pipeline;
grant select, delete on all tables in schema anonymous, published to analytics_retention;

grant usage on schema marts to analytics_analyst, analytics_api;
grant select on all tables in schema marts to analytics_analyst, analytics_api;
alter default privileges for role analytics_pipeline in schema marts
    grant select on tables to analytics_analyst, analytics_api;

grant usage on schema insights to analytics_analyst;
grant select on insights.daily_summary, insights.metric_anomalies, insights.success_metrics,
    insights.use_cases, insights.feature_requests, insights.friction_points, insights.personas
    to analytics_analyst;

grant usage on schema inbox to analytics_api;
grant insert, select (event_id) on inbox.entries to analytics_api;

grant usage on schema vault to analytics_pipeline;
grant select, insert, update, delete on vault.known_identifiers to analytics_pipeline;
grant select, insert, delete on vault.answer_keys to analytics_pipeline;
grant select, insert, update, delete on vault.batch_items to analytics_pipeline;
grant select, insert, delete on vault.release_counts to analytics_pipeline;
grant select on vault.noise_table to analytics_pipeline;
grant select, insert, delete on vault.laplace_noise to analytics_pipeline;
-- Keys are put in and taken out; which periods have one may be seen, the keys may not.
grant insert, delete, select (period_kind, period) on vault.period_keys to analytics_pipeline;

grant usage on schema ops to analytics_pipeline, analytics_retention, analytics_api;
grant select, insert, update, delete on all tables in schema ops to analytics_pipeline;
-- Which migrations have run is for migrations to say.
revoke insert, update, delete on ops.alembic_version from analytics_pipeline;
grant usage on all sequences in schema ops to analytics_pipeline;
-- What may be released is decided by migrations, and what was is never rewritten.
revoke insert, update, delete on ops.release_plan from analytics_pipeline;
revoke update, delete on ops.release_ledger, ops.dp_ledger from analytics_pipeline;
grant usage on schema raw to analytics_owner;
grant insert on ops.retention_log to analytics_retention;
grant select on ops.event_schemas to analytics_api;

-- The doors. Keys are made by the operator's commands, as the pipeline.
grant select on ops.api_keys to analytics_api;
grant select, insert, update on ops.rate_leases to analytics_api;
-- Update only lets rows be locked.
grant select, insert, update, delete on ops.idempotency_keys to analytics_api;
grant select on ops.platform_metrics_realtime to analytics_api;
-- Only grows; of an erased person vault.erase_consent() takes the name away.
grant select on vault.consent_ledger to analytics_pipeline;
revoke insert, update, delete on vault.consent_ledger from analytics_pipeline;
-- Nobody who was erased is forgotten, and the key they are known by is neither seen nor replaced.
grant select, insert, update on vault.suppressed to analytics_pipeline;
grant insert, select (key_id, drawn_at) on vault.suppression_keys to analytics_pipeline;
revoke all on function
    ops.record_consent(text, text, text, text, timestamptz, text, text),
    ops.quarantined(text, text, text, timestamptz, uuid, integer),
    ops.request_replay(uuid[]),
    ops.inbox_state(),
    ops.refresh_realtime(timestamptz, interval),
    ops.clean_realtime()
from public;
grant execute on function
    ops.record_consent(text, text, text, text, timestamptz, text, text),
    ops.quarantined(text, text, text, timestamptz, uuid, integer),
    ops.request_replay(uuid[]),
    ops.inbox_state(),
    ops.refresh_realtime(timestamptz, interval),
    ops.clean_realtime()
to analytics_api;
grant execute on function
    ops.record_consent(text, text, text, text, timestamptz, text, text)
to analytics_pipeline;
