{# What a run replaces in event_aggregations: its days, and the whole weeks these lie in. #}
{% macro event_aggregations_window() -%}
    (
        (aggregation_type <> 'weekly' and {{ in_window('day') }})
        or (aggregation_type = 'weekly' and {{ in_window('day', 'week') }})
    )
{%- endmacro %}

{# What a run replaces in daily_metrics: all but numbers of users that cannot be counted again. #}
{% macro daily_metrics_window() -%}
    {{ in_window('date') }}
    and not (
        metric_name in ('active_users', 'user_engagement')
        and {{ some_events_pruned('date') }}
    )
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
