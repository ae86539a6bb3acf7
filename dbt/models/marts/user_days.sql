{{ config(
    pre_hook="{{ replace_window('day', category='event_category') }}",
    indexes=[{'columns': ['day']}]
) }}

select
    days.day,
    counted.event_category,
    counted.event_type,
    counted.user_id,
    counted.events
from {{ window_days() }} as days
cross join lateral (
    select
        event_category,
        event_type,
        user_id,
        sum(events)::integer as events
    from {{ rows_of_day(
        ref('int_user_hours'), ['event_category', 'event_type', 'user_id', 'events']
    ) }} as hours
    group by event_category, event_type, user_id
) as counted
where {{ kept('counted.event_category', 'days.day') }}
