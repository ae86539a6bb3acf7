{#
    The release: the one way by which anything derived from people leaves the platform.

    A model materialized as `release` selects one row per person and period: period_kind, period,
    subject and the leaves its ladder names, from the days of `closing_days()`. This counts people,
    generalises small classes, inserts what is large enough and closes the periods, all in one
    transaction: it happens once per period, or not at all. There is no path here that creates,
    replaces or empties a table, so `--full-refresh` changes nothing.

    A period closes when its hold-back has passed, every day of it was built after the day was over
    (int_built_days), none is dirty outside this run's window, and its key exists. This does not
    depend on the window: the job for yesterday closes the day that is three days back.
#}
{% materialization release, adapter='postgres' %}
    {%- set table = this.schema ~ '.' ~ this.identifier -%}
    {%- set plan = release_plan().get(table) -%}
    {%- if plan is none -%}
        {{ exceptions.raise_compiler_error(table ~ " is not in release_plan()") }}
    {%- endif -%}
    {%- set rows = release_rows(table, plan) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(rows) -%}
    {%- endif -%}
    {% call statement('count') -%}
        select pg_advisory_xact_lock(hashtextextended('{{ table }}', 0));
        {{ find_closing_periods(table, plan) }}
        {{ count_leaves(plan, sql) }}
        {{ count_classes(table, plan) }}
    {%- endcall %}
    {% call statement('main') -%}
        insert into {{ this }} ({{ release_columns(plan) | join(', ') }})
        {{ rows }}
    {%- endcall %}
    {% call statement('close') -%}
        {{ close_periods(table) }}
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

{% macro find_closing_periods(table, plan) %}
create temporary table release_periods on commit drop as
with kinds (period_kind, step, hold_back) as (
    values
    {%- for kind in plan.kinds %}
        ('{{ kind }}', interval '1 {{ kind }}', interval '{{ release_hold_back()[kind] }} days')
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
    -- Once its key is gone, nobody can be counted in a period any more.
    join vault.period_keys as keys
        on keys.period_kind = calendar.period_kind and keys.period = calendar.period
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
)
select
    open.*,
    -- Raw pruned before the period closed: what is left would be counted short, so nothing is.
    exists (
        select from ops.retention_floor as pruned
        where pruned.event_category = any (array[
                {%- for class in plan.raw %}'{{ class }}'{{ ', ' if not loop.last }}{% endfor -%}
            ]::text[])
            and pruned.kept_from > open.period
    ) as lost
from open
join built using (period_kind, period)
where not exists (
    select from ops.dirty_days as dirty
    where dirty.closed_at is null
        and dirty.day >= open.period and dirty.day < open.next_period
        and not {{ in_window('dirty.day') }}
);

create temporary table release_days on commit drop as
select period_kind, period, day::date as day
from release_periods
cross join lateral generate_series(period, next_period - 1, interval '1 day') as day
where not lost;
analyze release_days;
{% endmacro %}

{# One leaf per person and period, under the person's key; internal people do not count. #}
{% macro count_leaves(plan, leaves_sql) %}
create temporary table release_leaves on commit drop as
-- Materialized, or the planner would draw keys for rows instead of for people.
with leaves as materialized (
    {{ leaves_sql }}
),
people as materialized (
    select
        vault.person_key(period_kind, period, subject) as person_key,
        leaves.*
    from leaves
    where subject not in (
        select account.subject from {{ latest_accounts() }} as account where account.is_internal
    )
)
select distinct on (period_kind, period, person_key)
    person_key,
    period_kind,
    period
    {%- for column in release_leaf_columns(plan) %},
    {{ column }}
    {%- endfor %}
from people
where person_key is not null
order by period_kind, period, person_key
    {%- for column in release_leaf_columns(plan) %}, {{ column }}{% endfor %};
{% for column in release_text_leaves(plan) %}
-- A value that could name a person is generalised away, however many share it: its people go on to
-- a step that does not name it. Only values that could reach the floor are looked up.
update release_leaves
set {{ column }} = 'any'
where {{ column }} in (
    select value
    from vault.forbidden_values(array(
        select {{ column }}
        from release_leaves
        group by period_kind, period, {{ column }}
        having count(*) > {{ release_floor() }}
    ))
);
{% endfor %}
{% endmacro %}

{#
    Each person's class: the first step of the ladder at which it is large enough. A class that two
    steps happen to form alike is one class, of the people of both.
#}
{% macro count_classes(table, plan) %}
create temporary table release_classes on commit drop as
with
{%- for step in plan.ladder %}
{%- set columns = step.values() | list %}
step_{{ loop.index0 }} as (
    select
        *,
        {% for column in columns if column in release_text_leaves(plan) -%}
        ({{ column }} <> 'any')::integer *
        {% endfor -%}
        count(*) over (
            partition by period_kind, period
            {%- for column in columns %}, {{ column }}{% endfor %}
        ) as class_size_{{ loop.index0 }}
    from {{ 'release_leaves' if loop.first else 'step_' ~ (loop.index0 - 1) }}
    {%- if not loop.first %}
    where class_size_{{ loop.index0 - 1 }} <= {{ release_floor() }}
    {%- endif %}
),
{%- endfor %}
placed as (
    {%- for step in plan.ladder %}
    select
        period_kind,
        period
        {%- for name, type in plan.dimensions.items() %},
        {% if name in step -%}
            {{ step[name] }}::{{ type }}
        {%- else -%}
            {{ "'any'" if type == 'text' else 'null' }}::{{ type }}
        {%- endif %} as {{ name }}
        {%- endfor %}
        {%- for column in plan.means.values() %},
        {{ column }}
        {%- endfor %}
    from step_{{ loop.index0 }}
    where class_size_{{ loop.index0 }} > {{ release_floor() }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)
select
    period_kind,
    period,
    jsonb_build_object(
        {%- for name in plan.dimensions %}'{{ name }}', {{ name }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    ) as dimensions,
    count(*)::integer as n_people,
    jsonb_build_object(
        {%- for name, column in plan.means.items() -%}
            '{{ name }}', round(avg({{ column }}), 2){{ ', ' if not loop.last }}
        {%- endfor -%}
    ) as measures
from placed
group by period_kind, period
    {%- for name in plan.dimensions %}, {{ name }}{% endfor %};

insert into vault.release_counts
    (release_table, period_kind, period, dimensions, n_people, measures)
select '{{ table }}', period_kind, period, dimensions, n_people, measures
from release_classes;
{% endmacro %}

{# What goes into the table: a row per class, or a row per person where it has no count. #}
{% macro release_rows(table, plan) -%}
    {%- set expressions = {'id': 'gen_random_uuid()', plan.day_column: 'period'} -%}
    {%- if 'kind_column' in plan -%}
        {%- do expressions.update({plan.kind_column: 'period_kind'}) -%}
    {%- endif -%}
    {%- for name, type in plan.dimensions.items() -%}
        {%- do expressions.update({name: "(dimensions ->> '" ~ name ~ "')::" ~ type}) -%}
    {%- endfor -%}
    {%- for name in plan.means -%}
        {%- do expressions.update({name: "(measures ->> '" ~ name ~ "')::numeric"}) -%}
    {%- endfor -%}
    {%- if 'count_column' in plan -%}
        {%- do expressions.update({plan.count_column: 'n_people'}) -%}
    {%- endif -%}
select
    {%- for column in release_columns(plan) %}
    {{ expressions[column] }} as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from vault.release_counts
{%- if 'count_column' not in plan %}
cross join generate_series(1, n_people)
{%- endif %}
where release_table = '{{ table }}'
-- By class and nothing else: the order of rows in the table tells nothing about people.
order by period_kind, period, dimensions
{% endmacro %}

{#
    The ledger closes every period, also those of which nothing could be released. Period keys go
    once all tables of their kind have closed; the lock lets the last of two tables that close at
    once see the other.

    The share held back is rounded up to steps of at least 11 people, and left out where even a half
    is fewer: exact, it would count the few people that were held back.
#}
{% macro close_periods(table) %}
delete from vault.release_counts where release_table = '{{ table }}';
select pg_advisory_xact_lock(hashtextextended('ops.release_ledger', 0));
with released as (
    select period_kind, period, count(*)::integer as classes, sum(n_people)::integer as people
    from release_classes
    group by period_kind, period
),
counted as (
    select period_kind, period, count(*)::integer as people
    from release_leaves
    group by period_kind, period
),
shares as (
    select
        period_kind,
        period,
        ceil((counted.people - coalesce(released.people, 0)) / (counted.people * steps.step))
            * steps.step as held_back_share
    from counted
    left join released using (period_kind, period)
    join lateral (
        select min(step) as step
        from unnest(array[0.01, 0.02, 0.05, 0.1, 0.25, 0.5]) as step
        where step * counted.people > {{ release_floor() }}
    ) as steps on steps.step is not null
)
insert into ops.release_ledger (
    release_table, period_kind, period, state, released_classes, released_people,
    held_back_share, plan_version
)
select
    '{{ table }}',
    closing.period_kind,
    closing.period,
    case when released.classes is null then 'withheld' else 'closed' end,
    coalesce(released.classes, 0),
    coalesce(released.people, 0),
    shares.held_back_share,
    '{{ release_plan_version() }}'
from release_periods as closing
left join released using (period_kind, period)
left join shares using (period_kind, period);

delete from vault.period_keys as keys
where
    {%- for kind in release_hold_back() %}
    {%- set tables = [] %}
    {%- for name, entry in release_plan().items() if kind in entry.kinds %}
    {%- do tables.append("'" ~ name ~ "'") %}
    {%- endfor %}
    {{ 'or ' if not loop.first }}(
        keys.period_kind = '{{ kind }}'
        and {{ tables | length }} = (
            select count(*)
            from ops.release_ledger as ledger
            where ledger.period_kind = keys.period_kind
                and ledger.period = keys.period
                and ledger.release_table in ({{ tables | join(', ') }})
        )
    )
    {%- endfor %};
{% endmacro %}

{# Columns of the table, in the order of release_rows. #}
{% macro release_columns(plan) -%}
    {%- set columns = [] if 'count_column' in plan else ['id'] -%}
    {%- do columns.append(plan.day_column) -%}
    {%- if 'kind_column' in plan -%}{%- do columns.append(plan.kind_column) -%}{%- endif -%}
    {%- do columns.extend(plan.dimensions.keys()) -%}
    {%- do columns.extend(plan.means.keys()) -%}
    {%- if 'count_column' in plan -%}{%- do columns.append(plan.count_column) -%}{%- endif -%}
    {{- return(columns) -}}
{%- endmacro %}

{# Columns a model must select beside period_kind, period and subject. #}
{% macro release_leaf_columns(plan) -%}
    {%- set columns = [] -%}
    {%- for leaves in plan.ladder + [plan.means] -%}
        {%- for column in leaves.values() if column not in columns -%}
            {%- do columns.append(column) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return(columns) -}}
{%- endmacro %}

{# Those of them that hold text. #}
{% macro release_text_leaves(plan) -%}
    {%- set columns = [] -%}
    {%- for step in plan.ladder -%}
        {%- for name, column in step.items() -%}
            {%- if plan.dimensions[name] == 'text' and column not in columns -%}
                {%- do columns.append(column) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return(columns) -}}
{%- endmacro %}
