-- A view, so that install_count is the sum of server_installs at any moment.
{{ config(materialized='view') }}

with registered as (
    select
        server_id,
        name,
        category,
        status,
        min((valid_from at time zone 'UTC')::date) over (partition by server_id) as first_day,
        (valid_from at time zone 'UTC')::date as last_day,
        row_number() over (partition by server_id order by valid_from desc) as age
    from {{ source('raw', 'servers') }}
),

latest as (
    select * from registered
    where age = 1
),

installed as (
    select
        server_id,
        sum(installs)::bigint as install_count,
        min(day) as first_day,
        max(day) as last_day
    from {{ ref('server_installs') }}
    group by server_id
)

select
    server_id,
    coalesce(latest.name, server_id) as name,
    latest.category,
    latest.status,
    coalesce(installed.install_count, 0) as install_count,
    least(latest.first_day, installed.first_day) as first_seen,
    greatest(latest.last_day, installed.last_day) as last_seen
from latest
full join installed using (server_id)
