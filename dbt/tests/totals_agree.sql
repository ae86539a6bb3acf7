-- Quarter hours and user hours are two passes over the same events, and days and weeks roll up from
-- the second: a row lost or doubled in any of them makes the totals of its day differ.
with totals as (
    select
        'quarter hours' as counted_by,
        day,
        event_category,
        event_type,
        sum(total_events) as total_events
    from {{ ref('int_event_counts_15min') }}
    where {{ in_window('day') }}
    group by day, event_category, event_type
    union all
    select
        aggregation_type as counted_by,
        day,
        event_category,
        event_type,
        sum(total_events) as total_events
    from {{ ref('event_aggregations') }}
    where
        {{ in_window('day') }}
        and aggregation_type in ('hourly', 'daily')
    group by aggregation_type, day, event_category, event_type
)

select
    day,
    event_category,
    event_type
from totals
group by day, event_category, event_type
having count(*) <> 3 or min(total_events) <> max(total_events)
