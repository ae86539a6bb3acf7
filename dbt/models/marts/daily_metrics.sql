-- Searches and installs come from marts that outlive raw. Users come from user_days, which is pruned
-- with raw, category by category, and rare queries go with the raw searches: once a day has lost
-- some, its numbers of users or of different queries stay as they are.
{{ config(pre_hook="{{ replace_window('date', where=daily_metrics_window()) }}") }}

with days as (
    select day::date as date
    from generate_series(
        {{ window_start() }}::timestamp, {{ window_end() }}::timestamp - interval '1 day', interval '1 day'
    ) as day
),

searches as (
    select
        day as date,
        sum(searches) as total_searches,
        count(distinct query) filter (where query <> '') as unique_searches
    from {{ ref('search_usage') }}
    where {{ in_window('day') }}
    group by day
),

installs as (
    select
        day as date,
        sum(installs) as installation_count,
        count(*) as active_servers
    from {{ ref('server_installs') }}
    where {{ in_window('day') }}
    group by day
),

active_users as (
    select
        day as date,
        user_id,
        sum(events) as events
    from {{ ref('user_days') }}
    where
        {{ in_window('day') }}
        and user_id is not null
    group by day, user_id
),

users as (
    select
        date,
        count(*) as active_users,
        sum(events) as events
    from active_users
    group by date
)

select
    days.date,
    metric.metric_name,
    metric.metric_value
from days
left join searches on searches.date = days.date
left join installs on installs.date = days.date
left join users on users.date = days.date
cross join lateral (
    values
    ('total_searches', coalesce(searches.total_searches, 0)::numeric),
    ('unique_searches', coalesce(searches.unique_searches, 0)::numeric),
    ('installation_count', coalesce(installs.installation_count, 0)::numeric),
    ('active_servers', coalesce(installs.active_servers, 0)::numeric),
    ('active_users', coalesce(users.active_users, 0)::numeric),
    ('user_engagement', coalesce(round(users.events / users.active_users, 4), 0)::numeric)
) as metric (metric_name, metric_value)
{% if is_incremental() -%}
where not exists (
    select 1
    from {{ this }} as stays
    where
        stays.date = days.date
        and stays.metric_name = metric.metric_name
)
{%- endif %}
