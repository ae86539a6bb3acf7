-- The one pass over events that keeps people apart: whatever counts distinct users rolls up from
-- here, because count(distinct) over events grows faster than the events.
{{ config(
    tags=['marts'],
    pre_hook="{{ replace_window('day', category='event_category') }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with counted as (
    select
        day,
        date_bin('1 hour', "timestamp", timestamptz '2000-01-01 00:00:00+00') as hour,
        event_category,
        event_type,
        user_id,
        count(*)::integer as events
    from {{ ref('stg_events') }}
    where {{ in_window('day') }}
    group by day, hour, event_category, event_type, user_id
)

select
    day,
    hour,
    event_category,
    event_type,
    user_id,
    events
from counted
where {{ kept('event_category', 'day') }}
