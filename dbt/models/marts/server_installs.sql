{{ config(pre_hook="{{ replace_window('day', category=['registry']) }}") }}

with installs as (
    select
        day,
        coalesce(event_data ->> 'server_id', entity_id, 'unknown') as server_id,
        user_id
    from {{ ref('stg_events') }}
    where
        {{ in_window('day') }}
        and event_category = 'registry'
        and event_type = 'server_installed'
),

user_installs as (
    select
        day,
        server_id,
        user_id,
        count(*) as installs
    from installs
    group by day, server_id, user_id
),

counted as (
    select
        day,
        server_id,
        sum(installs)::bigint as installs,
        count(user_id) as unique_users
    from user_installs
    group by day, server_id
)

select
    day,
    server_id,
    installs,
    unique_users
from counted
where {{ kept(['registry'], 'day') }}
