{#
    The release: the one way by which anything derived from people leaves the platform.

    A model materialized as `release` selects one row per person and period: period_kind, period,
    subject and the columns its dimensions are made from, of the days of `closing_days()`. What
    becomes of them stands in the release plan (analytics_assets/privacy/plan.yaml, read here from
    ops.release_plan). This counts people, generalises small classes (release_tree.sql), adds noise,
    inserts and closes the periods, all in one transaction: it happens once per period, or not at
    all. There is no path here that creates, replaces or empties a table, so `--full-refresh`
    changes nothing.

    A period closes when its hold-back has passed, every day of it was built after the day was over
    (int_built_days), and none is dirty outside this run's window. This does not depend on the
    window: the job for yesterday closes the day that is three days back.
#}
{% materialization release, adapter='postgres' %}
    {%- set table = this.schema ~ '.' ~ this.identifier -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% call statement('lock') -%}
        select pg_advisory_xact_lock(hashtextextended('{{ table }}', 0));
        -- Hashes of people and leaves; what does not fit would be sorted on disk.
        set local work_mem = '96MB';
    {%- endcall %}
    {#- Read under the lock: of two runs at once the second finds what the first has closed. -#}
    {%- set plan = release_plan_of(table) -%}
    {%- set rows = release_rows(plan) -%}
    {% call statement('periods') -%}
        {{ find_closing_periods(table, plan) }}
    {%- endcall %}
    {{ refuse_periods_without_keys(table) }}
    {%- if plan.laplace -%}{{ refuse_weeks_without_noise(table, plan) }}{%- endif -%}
    {%- set stages = [plan.periods] -%}
    {%- for kind in plan.otherwise -%}{%- do stages.append([kind]) -%}{%- endfor -%}
    {%- for kinds in stages %}
    {% call statement('days') -%}
        {{ choose_days(table, plan, kinds) }}
    {%- endcall %}
    {%- if loop.first or run_query('select exists (select from pg_temp.release_days)').rows[0][0] %}
    {% call statement('model') -%}
        {{ read_model(sql) }}
    {%- endcall %}
    {{ refuse_missing_columns(table, plan) }}
    {% call statement('count') -%}
        {{ count_people(plan) }}
        {%- if plan.laplace %}
        {{ tell_with_laplace(table, plan) }}
        {%- else %}
        {{ gate_leaves(plan) }}
        {{ grow_tree(plan) }}
        {{ tell_cells(plan) }}
        {{ count_classes(plan) }}
        {%- endif %}
    {%- endcall %}
    {%- endif %}
    {%- endfor %}
    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(rows) -%}
    {%- endif -%}
    {% call statement('counts') -%}
        {{ insert_counts(table, plan) }}
    {%- endcall %}
    {% call statement('main') -%}
        insert into {{ this }} ({{ plan.columns | join(', ') }})
        {{ rows }}
    {%- endcall %}
    {% call statement('close') -%}
        {{ close_periods(table, plan) }}
    {%- endcall %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [this]}) }}
{% endmaterialization %}

{# The days of the periods about to close: period_kind, period, day. #}
{% macro closing_days() -%}
    {#- What the materialization reads beside the model's own sources. -#}
    {%- do ref('int_built_days') -%}
    {%- do ref('stg_users') -%}
    pg_temp.release_days
{%- endmacro %}

{# What more people than this did may be told; FLOOR in analytics_assets/privacy/plan.py. #}
{% macro release_floor() -%}
    {{- return(10) -}}
{%- endmacro %}

{# The table's entry in the plan, with its version and where it stands in the plan's file. #}
{% macro release_plan_of(table) -%}
    {%- set found = run_query(
        "select entry::text, version, places::text from ops.release_plan"
        " where release_table = '" ~ table ~ "' and retired_at is null"
        " order by version desc limit 1"
    ).rows -%}
    {%- if not found -%}
        {{ exceptions.raise_compiler_error(
            table ~ " is not in the release plan: add an entry for it to"
            ~ " analytics_assets/privacy/plan.yaml and run `analytics-assets migrate`"
        ) }}
    {%- endif -%}
    {%- set plan = fromjson(found[0][0]) -%}
    {%- do plan.update({'version': found[0][1], 'places': fromjson(found[0][2])}) -%}
    {{- return(plan) -}}
{%- endmacro %}

{% macro find_closing_periods(table, plan) %}
create temporary table release_periods on commit drop as
with kinds (period_kind, step, hold_back) as (
    values
    {%- for kind in plan.periods + plan.otherwise %}
        ('{{ kind }}', interval '1 {{ kind }}', interval '{{ plan.hold_back[kind] }} days')
        {{- ',' if not loop.last }}
    {%- endfor %}
),
calendar as (
    select
        period_kind,
        start::date as period,
        (start + step)::date as next_period
    from kinds
    cross join lateral generate_series(
        date_trunc(period_kind, {{ start_day() }}::timestamp),
        ({{ as_of() }} at time zone 'UTC') - step - hold_back,
        step
    ) as start
    where start >= {{ start_day() }}
),
open as (
    select calendar.*
    from calendar
    where not exists (
        select from ops.release_ledger as ledger
        where ledger.release_table = '{{ table }}'
            and ledger.period_kind = calendar.period_kind
            and ledger.period = calendar.period
    )
),
built as (
    select open.period_kind, open.period
    from open
    join {{ ref('int_built_days') }} as built
        on built.day >= open.period and built.day < open.next_period
    where built.built_as_of >= (built.day + 1)::timestamp at time zone 'UTC'
    group by open.period_kind, open.period, open.next_period
    having count(*) = open.next_period - open.period
),
-- Nobody can be counted without both keys: that of the period and that of its quarter's noise.
keyed as (
    select keys.period_kind, keys.period
    from vault.period_keys as keys
    join vault.period_keys as noise
        on noise.period_kind = 'noise'
        and noise.period = date_trunc('quarter', keys.period::timestamp)::date
)
select
    open.*,
    case
        -- Raw pruned before the period closed: what is left would be counted short.
        when exists (
            select from ops.retention_floor as pruned
            where pruned.kept_from > open.period
                and pruned.event_category = any (array[
                    {%- for class in plan.reads or [] -%}
                        '{{ class }}'{{ ', ' if not loop.last }}
                    {%- endfor -%}
                ]::text[])
        ) then 'raw rows were pruned before it closed'
        when not exists (
            select from keyed
            where keyed.period_kind = open.period_kind and keyed.period = open.period
        ) then 'its keys are gone'
    end as reason,
    -- Keys go when the first plan of a period is done with it; before, they ought to be there.
    not exists (
        select from keyed
        where keyed.period_kind = open.period_kind and keyed.period = open.period
    ) and not exists (
        select from ops.release_ledger as ledger
        where ledger.period_kind = open.period_kind and ledger.period = open.period
    ) as never_keyed
from open
join built using (period_kind, period)
where not exists (
    select from ops.dirty_days as dirty
    where dirty.closed_at is null
        and dirty.day >= open.period and dirty.day < open.next_period
        and not {{ in_window('dirty.day') }}
);
create temporary table release_days (period_kind text, period date, day date) on commit drop;
create temporary table release_classes (
    period_kind text,
    period date,
    {%- for dimension in plan.dimensions %}
    {{ dimension.name }} {{ 'numeric' if dimension.mean else dimension.type }},
    {%- endfor %}
    n_people integer,
    n_published integer,
    n_finest integer
) on commit drop;
{% endmacro %}

{% macro refuse_periods_without_keys(table) %}
    {%- set found = run_query(
        "select count(*), min(period_kind || ' ' || period) from pg_temp.release_periods"
        " where never_keyed"
    ).rows[0] -%}
    {%- if found[0] -%}
        {{ exceptions.raise_compiler_error(
            table ~ ": " ~ found[0] ~ " period(s) ought to close and have no key in vault, the"
            ~ " first is " ~ found[1] ~ ". Nothing was released. Materialize the release through"
            ~ " Dagster or `analytics-assets run`, which draw keys first"
        ) }}
    {%- endif -%}
{% endmacro %}

{#
    Days of the periods of these kinds that will be counted. Of a kind that is there only for those
    whom no finer period tells of, the periods in which none was released.
#}
{% macro choose_days(table, plan, kinds) %}
truncate pg_temp.release_days;
insert into pg_temp.release_days
select closing.period_kind, closing.period, day::date
from pg_temp.release_periods as closing
cross join lateral generate_series(period, next_period - 1, interval '1 day') as day
where closing.reason is null
    and closing.period_kind in ('{{ kinds | join("', '") }}')
{%- if kinds[0] in plan.otherwise %}
    and not exists (
        select from (
            select period_kind, period from pg_temp.release_classes
            union all
            select period_kind, period from ops.release_ledger
            where release_table = '{{ table }}' and released_classes > 0
        ) as finer
        where finer.period < closing.next_period
            and (finer.period + ('1 ' || finer.period_kind)::interval)::date > closing.period
    )
{%- endif %};
analyze pg_temp.release_days;
{% endmacro %}

{#
    Classes of the ladder's cells, with the counts to be published. A count is that of the tables of
    this period once and for all: the same people have the same noise whatever they are counted for.
#}
{% macro count_classes(plan) %}
insert into pg_temp.release_classes
select
    period_kind,
    period
    {%- for dimension in plan.dimensions %},
    {{ dimension.name }}
    {%- endfor %},
    n,
    {{ published_count('n', 'cell_key', plan) }},
    case when step = 0 then {{ published_count('n', 'cell_key', plan) }} else 0 end
from pg_temp.release_cells;
{% endmacro %}

{# What goes into the table: a row per class, or a row per person where it has no count. #}
{% macro release_rows(plan) -%}
    {%- set expressions = {'id': 'gen_random_uuid()', plan.period_column: 'period'} -%}
    {%- if plan.kind_column -%}
        {%- do expressions.update({plan.kind_column: 'period_kind'}) -%}
    {%- endif -%}
    {%- for dimension in plan.dimensions -%}
        {%- do expressions.update({dimension.name: dimension.name}) -%}
    {%- endfor -%}
    {%- if plan.count_column -%}
        {%- do expressions.update({plan.count_column: 'n_published'}) -%}
    {%- endif -%}
select
    {%- for column in plan.columns %}
    {{ expressions[column] }} as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from (
    {{ shown_classes(plan) }}
    -- By class and nothing else: the order of rows in the table tells nothing about people.
    order by {{ (['period_kind', 'period'] + release_shown(plan)) | join(', ') }}
) as classes
{%- if not plan.count_column %}
cross join generate_series(1, n_published)
{%- endif %}
{% endmacro %}

{# The table's classes: its cells, or sums of them where a mean is made from their buckets. #}
{% macro shown_classes(plan) -%}
    {%- set shown = release_shown(plan) -%}
    select
        period_kind,
        period
        {%- for name in shown %},
        {{ name }}
        {%- endfor %}
        {%- for dimension in plan.dimensions if dimension.mean %},
        round(
            sum(least({{ dimension.name }}, 100) * n_published)
                filter (where {{ dimension.name }} is not null)
            / sum(n_published) filter (where {{ dimension.name }} is not null),
            2
        ) as {{ dimension.name }}
        {%- endfor %},
        sum(n_people)::integer as n_people,
        sum(n_published)::integer as n_published,
        sum(n_finest)::integer as n_finest
    from pg_temp.release_classes
    group by {{ (['period_kind', 'period'] + shown) | join(', ') }}
{%- endmacro %}

{# Names of the dimensions that are columns of the table. #}
{% macro release_shown(plan) -%}
    {{- return(plan.dimensions | rejectattr('mean') | map(attribute='name') | list) -}}
{%- endmacro %}

{% macro jsonb_of(dimensions) -%}
    jsonb_build_object(
        {%- for dimension in dimensions -%}
            '{{ dimension.name }}', {{ dimension.name }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}

{# The exact counts, for the guard to hold the insert against. #}
{% macro insert_counts(table, plan) %}
insert into vault.release_counts
    (release_table, period_kind, period, dimensions, n_people, measures, n_published)
select
    '{{ table }}',
    period_kind,
    period,
    {{ jsonb_of(plan.dimensions | rejectattr('mean') | list) }},
    n_people,
    {{ jsonb_of(plan.dimensions | selectattr('mean') | list) }},
    n_published
from (
    {{ shown_classes(plan) }}
) as classes;
{% endmacro %}
