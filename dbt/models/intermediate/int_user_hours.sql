-- The one pass over events that keeps people apart: whatever counts distinct users rolls up from
-- here, because count(distinct) over events grows faster than the events.
{{ config(
    tags=['marts'],
    pre_hook="{{ replace_window('day', category='event_category') }}",
    indexes=[{'columns': ['day']}]
) }}

select
    days.day,
    counted.hour,
    counted.event_category,
    counted.event_type,
    counted.user_id,
    counted.events
from {{ window_days() }} as days
cross join lateral (
    select
        date_bin('1 hour', "timestamp", timestamptz '2000-01-01 00:00:00+00') as hour,
        event_category,
        event_type,
        user_id,
        count(*)::integer as events
    from {{ rows_of_day(
        ref('stg_events'), ['"timestamp"', 'event_category', 'event_type', 'user_id']
    ) }} as events
    group by hour, event_category, event_type, user_id
) as counted
where {{ kept('counted.event_category', 'days.day') }}
