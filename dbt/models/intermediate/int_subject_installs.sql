{{ config(
    tags=['marts'],
    pre_hook="{{ replace_window('day', category=['registry']) }}",
    post_hook="{{ keep_from_readers() }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with installs as (
    select
        day,
        user_id,
        subject,
        {{ label("coalesce(event_data ->> 'server_id', entity_id)") }} as server_id
    from {{ ref('stg_events') }}
    where
        {{ in_window('day') }}
        and event_category = 'registry'
        and event_type = 'server_installed'
),

people as (
    select
        day,
        subject,
        server_id,
        count(*)::integer as installs
    from installs
    where
        server_id is not null
        and {{ counts_towards_k('installs') }}
    group by day, subject, server_id
)

select
    day,
    subject,
    server_id,
    installs
from people
where {{ kept(['registry'], 'day') }}
