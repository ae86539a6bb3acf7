{#
    The people of a release: read from the model, told by the plan's columns, counted under the keys
    of their period. What comes out is a row per leaf (release_leaves): all values at their finest,
    the number of people and their cell key. From there on nobody is known by more.
#}

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
drop table if exists pg_temp.release_people, pg_temp.release_leaves;
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
select people.*, {{ class_at(plan, 0) }} as leaf
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
set leaf = {{ class_at(plan, 0) }}
where exists (select from pg_temp.release_forbidden);
drop table pg_temp.release_forbidden;
{%- endif %}
-- Nobody can tell the planner how many leaves come out of the function; it would sort for few.
set local enable_sort = off;
create temporary table release_leaves on commit drop as
with present as (
    select
        period_kind, period, array_agg(subject) as subjects, array_agg(leaf) as leaves
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
-- Anybody in a leaf has its values: one row a leaf instead of a smallest value of each column, which
-- with ten columns and as many leaves as people took three times as long.
anybody as (
    select leaf, min(ctid) as place
    from pg_temp.release_people
    group by leaf
)
select
    counted.leaf,
    told.period_kind,
    told.period,
    {%- for dimension in plan.dimensions %}
    told.{{ dimension.name }},
    {%- endfor %}
    -- A value that was generalised away is told by no leaf.
    {% for name in texts %}told.{{ name }} <> 'any' and {% endfor %}true as is_told,
    counted.n,
    counted.cell_key
from counted
join anybody using (leaf)
join pg_temp.release_people as told on told.ctid = anybody.place;
-- People go as soon as they are counted.
drop table pg_temp.release_people;
set local enable_sort = on;
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
