-- Events per account of a person: what a person did most in a day, week or month rolls up from here.
-- Accounts of one person stay apart, because adding them up here would hash all rows once more, out
-- of their partitions: whoever reads this adds them up anyway.
{{ config(
    tags=['marts'],
    pre_hook="{{ replace_window('day', category='event_category') }}",
    post_hook="{{ keep_from_readers() }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with accounts as (
    select
        days.day,
        counted.*
    from {{ window_days() }} as days
    cross join lateral (
        select
            event_category,
            event_type,
            user_id,
            subject,
            count(*)::integer as events
        from {{ rows_of_day(
            ref('stg_events'), ['event_category', 'event_type', 'user_id', 'subject']
        ) }} as events
        where subject is not null
        group by event_category, event_type, user_id, subject
    ) as counted
)

select
    day,
    event_category,
    event_type,
    subject,
    events
from accounts
where
    {{ counts_towards_k('accounts') }}
    and {{ kept('event_category', 'day') }}
