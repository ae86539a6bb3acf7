-- Events per person and type: what a person did most in a day, week or month rolls up from here.
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
        count(*) as events
    from {{ ref('stg_events') }}
    where
        {{ in_window('day') }}
        and subject is not null
    group by day, event_category, event_type, user_id, subject
),

-- Several accounts may be one person; each counts or not by itself.
people as (
    select
        day,
        event_category,
        event_type,
        subject,
        sum(events)::integer as events
    from accounts
    where {{ counts_towards_k('accounts') }}
    group by day, event_category, event_type, subject
)

select
    day,
    event_category,
    event_type,
    subject,
    events
from people
where {{ kept('event_category', 'day') }}
