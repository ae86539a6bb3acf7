{#
    The window of a run: half-open UTC days [min_day, max_day), from session settings that the
    caller puts into PGOPTIONS:

        PGOPTIONS="-c analytics.min_day=2026-05-01 -c analytics.max_day=2026-05-08
                   -c analytics.as_of=2026-06-08T00:00:00+00:00 -c analytics.start_day=2026-04-27"

    There are no defaults: a model run without a window fails before it touches its table. The
    settings are read when a model compiles and put in as literals, because Postgres prunes
    partitions while planning only for constants: with current_setting() in the statement it would
    plan and lock every partition of the table.
#}

{# One session setting, cast, as an SQL literal of that type. #}
{% macro session_setting(name, type) -%}
    {%- set value = "nullif(current_setting('analytics." ~ name ~ "', true), '')" -%}
    {{- return(session_literals({name: value ~ '::' ~ type}, type)[0]) -}}
{%- endmacro %}

{# The instant the platform takes for now. #}
{% macro as_of() -%}
    {{- return(session_setting('as_of', 'timestamptz')) -}}
{%- endmacro %}

{# The first day of the deployment. #}
{% macro start_day() -%}
    {{- return(session_setting('start_day', 'date')) -}}
{%- endmacro %}

{# First day of the window, widened to the whole ISO week or month. #}
{% macro window_start(grain='day') -%}
    {{- return(window_bounds(grain)[0]) -}}
{%- endmacro %}

{# Day after the last of the window, widened to the whole ISO week or month. #}
{% macro window_end(grain='day') -%}
    {{- return(window_bounds(grain)[1]) -}}
{%- endmacro %}

{# Whether a column of type date lies in the (widened) window. #}
{% macro in_window(column='day', grain='day') -%}
    {%- set bounds = window_bounds(grain) -%}
    ({{ column }} >= {{ bounds[0] }} and {{ column }} < {{ bounds[1] }})
{%- endmacro %}

{#
    The days of the (widened) window, as a subquery. A model that tells users apart joins it laterally
    with rows_of_day(), and so aggregates day by day: a day's groups fit into memory however long the
    window is, while all at once spill to disk whenever the planner takes one large aggregate for
    cheaper. Rows then also lie on disk by day, as the index on day likes them.
#}
{% macro window_days(grain='day') -%}
(
    select day::date as day
    from generate_series(
        {{ window_start(grain) }}::timestamp,
        {{ window_end(grain) }}::timestamp - interval '1 day',
        interval '1 day'
    ) as day
)
{%- endmacro %}

{#
    The rows of `days.day`, as a subquery. It repeats the window, so that partitions outside are not
    planned for, and ends in `offset 0`: an aggregate pushed below, partition by partition, would read
    them all for every day.
#}
{% macro rows_of_day(relation, columns) -%}
(
    select {{ columns | join(', ') }}
    from {{ relation }}
    where
        {{ in_window('day') }}
        and day = days.day
    offset 0
)
{%- endmacro %}

{#
    Whether raw rows of that category and day may still exist. Windows leave rows below the floor
    as they are, in delete and insert alike; otherwise a rebuild after pruning would empty marts
    that outlive raw. `category` is an SQL expression, or a list of category or table names.
#}
{% macro kept(category, day='day') -%}
    not exists (
        select 1
        from (
            -- Renamed so that the caller's columns are never taken for the floor's.
            select event_category as floor_category, kept_from as floor_from
            from {{ source('ops', 'retention_floor') }}
        ) as retention_floor
        where
            {% if category is string -%}
            retention_floor.floor_category = {{ category }}
            {%- else -%}
            retention_floor.floor_category in ('{{ category | join("', '") }}')
            {%- endif %}
            and {{ day }} < retention_floor.floor_from
    )
{%- endmacro %}

{#
    Whether some events of that day may have been pruned, whatever their category: for models that
    mix categories, whose rows of such a day can no longer be told in full.
#}
{% macro some_events_pruned(day='day') -%}
    {{ day }} < (
        select coalesce(max(kept_from), '-infinity')
        from {{ source('ops', 'retention_floor') }}
        where event_category not in (
            'conversations', 'messages', 'service_jobs', 'rejected_events'
        )
    )
{%- endmacro %}

{#
    Pre-hook of every windowed table: take the table's lock, then delete what the model is about to
    append. Hook and insert are one transaction. Without the lock two overlapping rebuilds would
    each keep the other's rows; `lock_table` of the store takes the same one.

    `category`: as in `kept`; leave it out where no source of the model is ever pruned.
    `where`: replaces the window condition, for tables of mixed grain or with rows that stay.
#}
{% macro replace_window(day='day', grain='day', category=none, where=none) -%}
    {{ lock_window() }}
    {% if is_incremental() %}
    delete from {{ this }}
    where
        {{ where or in_window(day, grain) }}
        {% if category is not none %}and {{ kept(category, day) }}{% endif %};
    {% endif %}
{%- endmacro %}

{# Take the lock of the model's table, and hold pruning back until the window is whole again. #}
{% macro lock_window() -%}
    select pg_advisory_xact_lock(
        hashtextextended('{{ this.schema }}.{{ this.identifier }}', 0)
    );
    -- Pruning writes the floor before it drops anything.
    lock table {{ source('ops', 'retention_floor') }} in share mode;
{%- endmacro %}

{# [start, end) of the window as SQL: literals when a model runs, expressions otherwise. #}
{% macro window_bounds(grain='day') -%}
    {%- if grain not in ('day', 'week', 'month') -%}
        {{ exceptions.raise_compiler_error("grain must be day, week or month, not " ~ grain) }}
    {%- endif -%}
    {%- set first = "nullif(current_setting('analytics.min_day', true), '')::date" -%}
    {%- set after = "nullif(current_setting('analytics.max_day', true), '')::date" -%}
    {%- set start, end = first, after -%}
    {%- if grain != 'day' -%}
        {%- set start -%} date_trunc('{{ grain }}', {{ first }}::timestamp)::date {%- endset -%}
        {%- set end -%}
            (date_trunc('{{ grain }}', ({{ after }} - 1)::timestamp) + interval '1 {{ grain }}')::date
        {%- endset -%}
    {%- endif -%}
    {%- set bounds = session_literals({'min_day': start, 'max_day': end}, 'date') -%}
    {%- if bounds[0].startswith('date ') and bounds[0] >= bounds[1] -%}
        {{ exceptions.raise_compiler_error(
            "empty window: analytics.max_day is exclusive and must lie after analytics.min_day"
        ) }}
    {%- endif -%}
    {{- return(bounds) -}}
{%- endmacro %}

{#
    Evaluate expressions over session settings; an unset one is an error that says what to do.
    Where nothing is run (docs, compile) the expressions themselves stand in.
#}
{% macro session_literals(expressions, type) -%}
    {%- if not execute or flags.WHICH not in ('build', 'run', 'test') -%}
        {{- return(expressions.values() | list) -}}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for expression in expressions.values() -%}
        {%- do columns.append('(' ~ expression ~ ')::text') -%}
    {%- endfor -%}
    {%- set row = run_query('select ' ~ columns | join(', ')).rows[0] -%}
    {%- set literals = [] -%}
    {%- for name in expressions -%}
        {%- if row[loop.index0] is none -%}
            {{ exceptions.raise_compiler_error(
                "analytics." ~ name ~ " is not set; give it to the session, for example "
                ~ "PGOPTIONS='-c analytics.min_day=2026-05-01 -c analytics.max_day=2026-05-08'"
            ) }}
        {%- endif -%}
        {%- do literals.append(type ~ " '" ~ row[loop.index0] ~ "'") -%}
    {%- endfor -%}
    {{- return(literals) -}}
{%- endmacro %}
