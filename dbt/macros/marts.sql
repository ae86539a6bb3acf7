{# The entries of a JSON object that an array names, as an object; none where there is no array. #}
{% macro entries(object, names) -%}
    (
        select coalesce(jsonb_object_agg(entry.key, entry.value), '{}'::jsonb)
        from jsonb_each(case jsonb_typeof({{ object }}) when 'object' then {{ object }} end) as entry
        where entry.key = any ({{ names }})
    )
{%- endmacro %}

{# Entries of metadata that say something of the software and nothing of a person. #}
{% macro shown_metadata() -%}
    array['app', 'app_version', 'environment', 'locale', 'platform', 'sdk', 'sdk_version']
{%- endmacro %}

{# What a run replaces in event_aggregations: its days, and the whole weeks these lie in. #}
{% macro event_aggregations_window() -%}
    (
        (aggregation_type <> 'weekly' and {{ in_window('day') }})
        or (aggregation_type = 'weekly' and {{ in_window('day', 'week') }})
    )
{%- endmacro %}

{# What a run replaces in daily_metrics: all but numbers that cannot be counted again. #}
{% macro daily_metrics_window() -%}
    {{ in_window('date') }}
    and not (
        metric_name in ('active_users', 'user_engagement')
        and {{ some_events_pruned('date') }}
    )
    and not (
        metric_name = 'unique_searches'
        and not {{ kept(search_categories(), 'date') }}
    )
{%- endmacro %}

{#
    Pre-hook of search_usage: replace the window; then, of days whose raw searches are gone, add up
    what too few people searched for. A query that 10 people or fewer typed is personal, and one of
    the application looks for people and their projects, however many typed it.
#}
{% macro replace_search_usage() -%}
    {{ replace_window('day', category='event_category') }}
    {% if is_incremental() -%}
    with personal as (
        delete from {{ this }}
        where
            query <> ''
            and (unique_users <= {{ release_floor() }} or event_category <> 'registry')
            and not {{ kept('event_category', 'day') }}
        returning day, event_category, searches, zero_result_searches
    )

    insert into {{ this }} as totals (
        day, event_category, query, searches, unique_users, zero_result_searches
    )
    select
        day,
        event_category,
        '' as query,
        sum(searches) as searches,
        -- Whoever searched twice would count twice: how many they were can no longer be told.
        null as unique_users,
        sum(zero_result_searches) as zero_result_searches
    from personal
    group by day, event_category
    on conflict (day, event_category, query) do update
    set searches = totals.searches + excluded.searches,
        unique_users = null,
        zero_result_searches = totals.zero_result_searches + excluded.zero_result_searches;
    {%- endif %}
{%- endmacro %}

{# The raw tables that user_activity reads itself; its events come from user_days. #}
{% macro user_activity_sources() -%}
    {{- return(['conversations', 'messages', 'service_jobs']) -}}
{%- endmacro %}

{# The days user_activity rebuilds: the window and the seven days after it. #}
{% macro user_activity_window(day, days_before=0) -%}
    ({{ day }} >= {{ window_start() }} - {{ days_before }} and {{ day }} < {{ window_end() }} + 7)
{%- endmacro %}

{#
    Pre-hook of user_activity: set aside what its rows say of days that have lost some of their
    sources since, then delete the window.
#}
{% macro replace_user_activity() -%}
    {{ lock_window() }}
    create temporary table user_activity_before on commit drop as
    {% if is_incremental() -%}
    select
        day,
        user_id,
        downloads,
        shares,
        credit_limits
    from {{ this }}
    where
        {{ user_activity_window('day', days_before=7) }}
        and (
            {{ some_events_pruned('day') }}
            or not {{ kept(user_activity_sources(), 'day') }}
        )
    {%- else -%}
    select
        null::date as day,
        null::text as user_id,
        null::integer as downloads,
        null::integer as shares,
        null::integer as credit_limits
    limit 0
    {%- endif %};
    {{ replace_window('day', category=user_activity_sources(), where=user_activity_window('day')) }}
{%- endmacro %}
