-- A week holds exactly the events of its days, unless it was pruned in part.
with days as (
    select
        date_trunc('week', day::timestamp)::date as week,
        event_category,
        event_type,
        sum(total_events) as total_events
    from {{ ref('event_aggregations') }}
    where
        aggregation_type = 'daily'
        and {{ in_window('day', 'week') }}
    group by week, event_category, event_type
),

weeks as (
    select
        day as week,
        event_category,
        event_type,
        total_events
    from {{ ref('event_aggregations') }}
    where
        aggregation_type = 'weekly'
        and {{ in_window('day', 'week') }}
)

select
    week,
    event_category,
    event_type
from days
full join weeks using (week, event_category, event_type)
where
    days.total_events is distinct from weeks.total_events
    and {{ kept('event_category', 'week') }}
