-- Weeks are rebuilt whole, so the window of the weekly rows is wider than that of the others. A row
-- belongs to the day its period starts: a week that was pruned in part stays as it was.
{{ config(
    pre_hook="{{ replace_window('day', category='event_category', where=event_aggregations_window()) }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with hourly as (
    select
        event_type,
        event_category,
        'hourly' as aggregation_type,
        hour as period_start,
        sum(events)::bigint as total_events,
        -- One row per user and hour: counting rows counts people; unknown ones are left out.
        count(user_id) as unique_users,
        day
    from {{ ref('int_user_hours') }}
    where {{ in_window('day') }}
    group by day, hour, event_category, event_type
),

daily as (
    select
        event_type,
        event_category,
        'daily' as aggregation_type,
        day::timestamp at time zone 'UTC' as period_start,
        sum(events)::bigint as total_events,
        count(user_id) as unique_users,
        day
    from {{ ref('user_days') }}
    where {{ in_window('day') }}
    group by day, event_category, event_type
),

user_weeks as (
    select
        date_trunc('week', day::timestamp)::date as week,
        event_category,
        event_type,
        user_id,
        sum(events) as events
    from {{ ref('user_days') }}
    where {{ in_window('day', 'week') }}
    group by week, event_category, event_type, user_id
),

weekly as (
    select
        event_type,
        event_category,
        'weekly' as aggregation_type,
        week::timestamp at time zone 'UTC' as period_start,
        sum(events)::bigint as total_events,
        count(user_id) as unique_users,
        week as day
    from user_weeks
    group by week, event_category, event_type
),

aggregated as (
    select * from hourly
    union all
    select * from daily
    union all
    select * from weekly
)

select
    event_type,
    event_category,
    aggregation_type,
    period_start,
    total_events,
    unique_users,
    day
from aggregated
where {{ kept('event_category', 'day') }}
