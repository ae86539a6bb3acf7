-- Searches of the registry only. Searches of the application itself (search.performed) look for
-- people and their projects; however many share such a query, it may name somebody.
{{ config(
    tags=['marts'],
    pre_hook="{{ replace_window('day', category=['registry']) }}",
    post_hook="{{ keep_from_readers() }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with searches as (
    select
        day,
        user_id,
        subject,
        {{ normalised_query("event_data ->> 'query'") }} as query
    from {{ ref('stg_events') }}
    where
        {{ in_window('day') }}
        and event_category = 'registry'
        and event_type = 'search_performed'
),

people as (
    select
        day,
        subject,
        query,
        count(*)::integer as searches
    from searches
    where
        query <> ''
        and {{ counts_towards_k('searches') }}
    group by day, subject, query
)

select
    day,
    subject,
    query,
    searches
from people
where {{ kept(['registry'], 'day') }}
