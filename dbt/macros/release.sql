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
        {{ grow_tree(plan) }}
        {{ tell_cells(plan) }}
        {{ count_classes(plan) }}
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

{# The model's rows as they are, for its columns to be looked at before they are used. #}
{% macro read_model(model_sql) %}
drop table if exists pg_temp.release_model;
create temporary table release_model on commit drop as
{{ model_sql }};
{% endmacro %}

{% macro refuse_missing_columns(table, plan) %}
    {%- set present = run_query(
        "select attname from pg_attribute where attrelid = 'pg_temp.release_model'::regclass"
        " and attnum > 0 and not attisdropped order by attnum"
    ).columns[0].values() | list -%}
    {%- for column in ['period_kind', 'period', 'subject'] if column not in present -%}
        {{ exceptions.raise_compiler_error(
            plan.places[''] ~ ": the model of " ~ table ~ " selects no column " ~ column
            ~ "; every release needs period_kind, period and subject"
        ) }}
    {%- endfor -%}
    {%- for dimension in plan.dimensions if dimension['from'] not in present -%}
        {{ exceptions.raise_compiler_error(
            plan.places[dimension.name] ~ ": " ~ dimension.name ~ ": the model of " ~ table
            ~ " selects no column " ~ dimension['from'] ~ "; it selects " ~ present | join(', ')
        ) }}
    {%- endfor -%}
{% endmacro %}

{#
    Each person's leaf: the finest class, under the person's key. People are counted by whom they
    are now: accounts merged since then are one person, internal people do not count. Of several
    rows of a person in a period one is taken, by hash.
#}
{% macro count_people(plan) %}
drop table if exists pg_temp.release_people, pg_temp.release_nodes;
create temporary table release_people on commit drop as
with accounts as materialized (
    select user_id, subject, is_internal from {{ latest_accounts() }} as account
),
internal as materialized (
    select distinct subject from accounts where is_internal
),
merged as materialized (
    select user_id, subject from accounts where user_id <> subject
)
select
    people.*
    {%- for step in plan.ladder %},
    {{ class_at(plan, loop.index0) }} as class_{{ loop.index0 }}
    {%- endfor %}
from (
    select
        model.period_kind,
        model.period,
        coalesce(merged.subject, model.subject) as subject
        {%- for dimension in plan.dimensions %},
        {{ finest_value(dimension) }} as {{ dimension.name }}
        {%- endfor %}
    from pg_temp.release_model as model
    left join merged on merged.user_id = model.subject
    where model.subject is not null
        and coalesce(merged.subject, model.subject) not in (select subject from internal)
    -- Or every value would be made again for every class it is part of.
    offset 0
) as people;
drop table pg_temp.release_model;
{% set texts = plan.dimensions | selectattr('type', 'equalto', 'text') | map(attribute='name') | list %}
{%- if texts %}
-- A value that could name a person is generalised away, however many share it: its people go on to
-- a step that does not name it. Only values that could reach the floor are looked up.
create temporary table release_forbidden on commit drop as
select value
from vault.forbidden_values(array(
    select coalesce({{ texts | join(', ') }})
    from pg_temp.release_people
    group by grouping sets (
        {%- for name in texts -%}
            (period_kind, period, {{ name }}){{ ', ' if not loop.last }}
        {%- endfor -%}
    )
    having count(*) > {{ plan.floor }}
));
{% for name in texts %}
update pg_temp.release_people
set {{ name }} = 'any'
where exists (select from pg_temp.release_forbidden)
    and {{ name }} in (select value from pg_temp.release_forbidden);
{% endfor %}
update pg_temp.release_people
set
    {%- for step in plan.ladder %}
    class_{{ loop.index0 }} = {{ class_at(plan, loop.index0) }}{{ ',' if not loop.last }}
    {%- endfor %}
where exists (select from pg_temp.release_forbidden);
drop table pg_temp.release_forbidden;
{%- endif %}
create temporary table release_nodes on commit drop as
with present as (
    select
        period_kind, period, array_agg(subject) as subjects, array_agg(class_0) as leaves
    from pg_temp.release_people
    group by period_kind, period
),
people as (
    select min(keyed.leaf) as leaf, min(keyed.noise_key) as noise_key
    from present
    cross join lateral vault.person_keys(
        present.period_kind, present.period, present.subjects, present.leaves
    ) as keyed
    group by keyed.person_key
),
counted as (
    select leaf, count(*)::integer as n, bit_xor(noise_key) as cell_key
    from people
    group by leaf
),
classes as (
    select
        class_0
        {%- for step in plan.ladder[1:] %},
        min(class_{{ loop.index }}) as class_{{ loop.index }}
        {%- endfor %},
        -- A value that was generalised away is told by no leaf.
        bool_and({% for name in texts %}{{ name }} <> 'any' and {% endfor %}true) as is_told
    from pg_temp.release_people
    group by class_0
)
select classes.*, counted.n, counted.cell_key
from counted
join classes on classes.class_0 = counted.leaf;
{% endmacro %}

{# A class at a step of the ladder, by a hash of its period and values there. #}
{% macro class_at(plan, number) -%}
    {%- set step = plan.ladder[number] -%}
    {%- set values = [] -%}
    {%- for dimension in plan.dimensions if dimension.name in step -%}
        {%- do values.append(value_at(dimension, step[dimension.name])) -%}
    {%- endfor -%}
    hash_record_extended(
        row({{ (['period_kind', 'period', number] + values) | join(', ') }}), 0
    )
{%- endmacro %}

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
) as classes
{%- if not plan.count_column %}
cross join generate_series(1, n_published)
{%- endif %}
-- By class and nothing else: the order of rows in the table tells nothing about people.
order by {{ (['period_kind', 'period'] + release_shown(plan)) | join(', ') }}
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

{#
    The ledger closes every period, also those of which nothing could be released. Period keys go
    once all tables of their kind have closed, noise keys once their quarter has; the lock lets the
    last of two tables that close at once see the other.
#}
{% macro close_periods(table, plan) %}
select pg_advisory_xact_lock(hashtextextended('ops.release_ledger', 0));
with classes as materialized (
    {{ shown_classes(plan) }}
),
released as (
    select
        period_kind,
        period,
        count(*)::integer as classes,
        sum(n_published)::integer as people,
        round(sum(n_finest)::numeric / sum(n_published), 3) as finest_share,
        {{ rows_digest(plan) }} as rows_sha256
    from classes
    group by period_kind, period
)
insert into ops.release_ledger (
    release_table, period_kind, period, state, released_classes, released_people, plan_version,
    finest_share, reason, rows_sha256, closed_as_of
)
select
    '{{ table }}',
    closing.period_kind,
    closing.period,
    case when released.classes is null then 'withheld' else 'closed' end,
    coalesce(released.classes, 0),
    coalesce(released.people, 0),
    '{{ plan.version }}',
    released.finest_share,
    case
        when closing.reason is not null then closing.reason
        {%- if plan.otherwise %}
        when released.classes is null
            and closing.period_kind in ('{{ plan.otherwise | join("', '") }}')
            then 'finer periods tell of it, or too few people'
        {%- endif %}
        when released.classes is null then 'too few people'
    end,
    released.rows_sha256,
    {{ as_of() }}
from pg_temp.release_periods as closing
left join released using (period_kind, period);

with planned as (
    select release_table, kind
    from (
        select distinct on (release_table) release_table, entry
        from ops.release_plan
        where retired_at is null
        order by release_table, version desc
    ) as plan
    cross join lateral jsonb_array_elements_text(
        (entry -> 'periods') || (entry -> 'otherwise')
    ) as kind
)
delete from vault.period_keys as keys
where keys.period_kind <> 'noise'
    and not exists (
        select from planned
        where planned.kind = keys.period_kind
            and not exists (
                select from ops.release_ledger as ledger
                where ledger.release_table = planned.release_table
                    and ledger.period_kind = keys.period_kind
                    and ledger.period = keys.period
            )
    );
delete from vault.period_keys as noise
where noise.period_kind = 'noise'
    and {{ as_of() }} at time zone 'UTC' > noise.period + interval '3 months'
    and not exists (
        select from vault.period_keys as keys
        where keys.period_kind <> 'noise'
            and date_trunc('quarter', keys.period::timestamp)::date = noise.period
    );
{% endmacro %}

{# SHA-256 of a period's classes; analytics_assets/privacy/floor.py makes it again from the table. #}
{% macro rows_digest(plan) -%}
encode(sha256(convert_to(
    string_agg(
        concat_ws('|'
            {%- for dimension in plan.dimensions -%}
                , coalesce({{ dimension.name }}::text, '-')
            {%- endfor -%}
            , n_published
        ),
        e'\n' order by
        concat_ws('|'
            {%- for dimension in plan.dimensions -%}
                , coalesce({{ dimension.name }}::text, '-')
            {%- endfor -%}
            , n_published
        ) collate "C"
    ), 'UTF8'
)), 'hex')
{%- endmacro %}
