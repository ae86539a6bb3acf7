-- What the registry's marts count is what the event counts count.
with registry as (
    select
        day,
        'installs' as what,
        sum(installs) as total
    from {{ ref('server_installs') }}
    where {{ in_window('day') }}
    group by day
    union all
    select
        day,
        'searches' as what,
        sum(searches) as total
    from {{ ref('search_usage') }}
    where {{ in_window('day') }}
    group by day
),

events as (
    select
        day,
        case when {{ is_search() }} then 'searches' else 'installs' end as what,
        sum(total_events) as total
    from {{ ref('int_event_counts_15min') }}
    where
        {{ in_window('day') }}
        and (
            {{ is_search() }}
            or (event_category = 'registry' and event_type = 'server_installed')
        )
    group by day, what
)

select
    day,
    what
from registry
full join events using (day, what)
where registry.total is distinct from events.total
