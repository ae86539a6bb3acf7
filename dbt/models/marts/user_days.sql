{{ config(
    pre_hook="{{ replace_window('day', category='event_category') }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with counted as (
    select
        day,
        event_category,
        event_type,
        user_id,
        sum(events)::integer as events
    from {{ ref('int_user_hours') }}
    where {{ in_window('day') }}
    group by day, event_category, event_type, user_id
)

select
    day,
    event_category,
    event_type,
    user_id,
    events
from counted
where {{ kept('event_category', 'day') }}
