-- Views over the ledgers and the quarantine, for people and dashboards.
create or replace view ops.event_processing as
select
    processing_status,
    kind,
    error_code,
    count(*) as events,
    avg(retry_count)::numeric(10, 2) as average_retries
from raw.rejected_events
group by 1, 2, 3;
