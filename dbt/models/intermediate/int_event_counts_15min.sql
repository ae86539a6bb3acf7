-- Quarter hours, because every time zone's days, weeks and hours are made of them. The second index is
-- for the series of one type in a zone.
{{ config(
    tags=['marts'],
    pre_hook="{{ replace_window('day', category='event_category') }}",
    indexes=[
        {'columns': ['day'], 'type': 'brin'},
        {'columns': ['event_type', 'slot']}
    ]
) }}

with counted as (
    select
        day,
        date_bin('15 minutes', "timestamp", timestamptz '2000-01-01 00:00:00+00') as slot,
        event_category,
        event_type,
        count(*) as total_events
    from {{ ref('stg_events') }}
    where {{ in_window('day') }}
    -- Both partition keys are grouped by, so that each partition is aggregated by itself.
    group by day, slot, event_category, event_type
)

select
    day,
    slot,
    event_category,
    event_type,
    total_events
from counted
where {{ kept('event_category', 'day') }}
