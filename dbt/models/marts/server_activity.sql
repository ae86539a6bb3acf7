-- A view over counts that outlive raw, so that it never shrinks.
{{ config(materialized='view') }}

select
    (extract(isodow from slot at time zone 'UTC') - 1)::integer as weekday,
    extract(hour from slot at time zone 'UTC')::integer as hour,
    coalesce(sum(total_events) filter (where event_type = 'server_installed'), 0)::bigint as installs,
    coalesce(sum(total_events) filter (where event_type = 'search_performed'), 0)::bigint as searches,
    sum(total_events)::bigint as events
from {{ ref('int_event_counts_15min') }}
where event_category = 'registry'
group by 1, 2
