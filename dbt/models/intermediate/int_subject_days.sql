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
        day,
        event_category,
        event_type,
        user_id,
        subject,
        count(*)::integer as events
    from {{ ref('stg_events') }}
    where
        {{ in_window('day') }}
        and subject is not null
    group by day, event_category, event_type, user_id, subject
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
