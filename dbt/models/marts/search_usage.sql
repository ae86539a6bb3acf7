-- Queries are personal: replace_search_usage() lets those of few people go with the raw searches.
{{ config(pre_hook="{{ replace_search_usage() }}") }}

with searches as (
    select
        day,
        event_category,
        coalesce({{ normalised_query("event_data ->> 'query'") }}, '') as query,
        user_id,
        coalesce(event_data ->> 'results_count', event_data ->> 'results') = '0' as found_nothing
    from {{ ref('stg_events') }}
    where
        {{ in_window('day') }}
        and {{ is_search() }}
),

user_searches as (
    select
        day,
        event_category,
        query,
        user_id,
        count(*) as searches,
        count(*) filter (where found_nothing) as zero_result_searches
    from searches
    group by day, event_category, query, user_id
),

counted as (
    select
        day,
        event_category,
        query,
        sum(searches)::bigint as searches,
        count(user_id) as unique_users,
        sum(zero_result_searches)::bigint as zero_result_searches
    from user_searches
    group by day, event_category, query
)

select
    day,
    event_category,
    query,
    searches,
    unique_users,
    zero_result_searches
from counted
where {{ kept('event_category', 'day') }}
