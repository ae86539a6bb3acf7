-- Columns only: a filter on day reaches the partitions unhindered.
select
    event_id,
    event_type,
    event_category,
    user_id,
    subject,
    user_role,
    user_tenure_days,
    session_id,
    entity_type,
    entity_id,
    event_data,
    metadata,
    geo_location,
    device_info,
    source,
    "timestamp",
    day,
    ingested_at
from {{ source('raw', 'platform_events') }}
