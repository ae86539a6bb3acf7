{#
    The tree of a release: leaves that are too few go up the ladder together until they are enough.

    At every step a class stands by itself when it has at least 11 people and a surcharge drawn from
    who they are. Those that do not are pooled under the next step's class. A pool that is too small
    takes in the smallest of the classes beneath it that do stand, at least one and until what it
    hides could be any of 10 people or more: the number of the pool then pins none of its parts.
    Where there is none to take, the pool goes on as one that does not stand. Classes never overlap
    and there are no totals, so nothing can be subtracted from anything.

    Everything drawn follows from the exclusive or of the noise keys of a class's people, its
    cell_key: the same people draw the same, whatever table and step they are counted at.
#}

{# Bits 0-11 of a cell key: 0 to 9 people on top of the floor. #}
{% macro surcharge(cell_key) -%}
    ((({{ cell_key }} & 4095) * 10) >> 12)
{%- endmacro %}

{# Bits 24-35: 0 to 9 people on top of what a pool has to hide. #}
{% macro slack_surcharge(cell_key) -%}
    (((({{ cell_key }} >> 24) & 4095) * 10) >> 12)
{%- endmacro %}

{# The count to publish: never below the floor; its noise is drawn by bits 12-23. #}
{% macro published_count(n, cell_key, plan) -%}
    greatest(
        {{ plan.floor + 1 }},
        {{ n }} + (
            select min(noise)
            from vault.noise_table
        ) + width_bucket(
            (({{ cell_key }} >> 12) & 4095)::integer,
            (
                select array_agg(up_to::integer order by up_to)
                from (
                    select sum(weight) over (order by noise) as up_to from vault.noise_table
                ) as parts
            )
        )
    )
{%- endmacro %}

{# A person's value of a dimension at its finest level, from the model's column. #}
{% macro finest_value(dimension) -%}
    {%- set column = 'model.' ~ dimension['from'] -%}
    {%- set level = dimension.levels[0] -%}
    {%- if level.width -%}
        {{ bucket(column, level.width) }}
    {%- elif level['values'] -%}
        coalesce({{ json_literal(level['values']) }} ->> lower({{ column }}), {{ column }}, 'none')
    {%- else -%}
        coalesce({{ column }}::text, 'none')
    {%- endif -%}
{%- endmacro %}

{# A leaf's value at a level. What is none or any at the finest is so at all. #}
{% macro value_at(dimension, number) -%}
    {%- set level = dimension.levels[number] -%}
    {%- if number == 0 -%}
        {{ dimension.name }}
    {%- elif level.ends -%}
        case
            -- least() and greatest() would make a border of what was never measured.
            when {{ dimension.name }} is not null then least({{ level.ends[1] }}, greatest(
                {{ level.ends[0] }}, {{ dimension.name }} / {{ level.width }} * {{ level.width }}
            ))
        end
    {%- elif level.width -%}
        ({{ dimension.name }} / {{ level.width }} * {{ level.width }})
    {%- else -%}
        case
            when {{ dimension.name }} in ('none', 'any') then {{ dimension.name }}
            else coalesce({{ json_literal(level['values']) }} ->> {{ dimension.name }}, 'other')
        end
    {%- endif -%}
{%- endmacro %}

{% macro json_literal(value) -%}
    '{{ tojson(value) | replace("'", "''") }}'::jsonb
{%- endmacro %}

{# A leaf's values at a step of the ladder, generalised where the step does not tell them. #}
{% macro values_at_step(plan, step) -%}
    {%- set values = [] -%}
    {%- for dimension in plan.dimensions -%}
        {%- if dimension.name in step -%}
            {%- do values.append(value_at(dimension, step[dimension.name])) -%}
        {%- else -%}
            {%- do values.append("'any'::text" if dimension.type == 'text' else 'null::integer') -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(values) -}}
{%- endmacro %}

{#
    Units: the classes that stand, and what is left of the others at the root. A class is known by a
    hash of its period and values at its step; `class_0` is a leaf, the last one the whole period.

    Nothing is asked of how many parts a pool has: the surcharge of a pool of one is that of its one
    part, which did not stand with it, so neither does the pool.
#}
{% macro grow_tree(plan) %}
{%- set last = plan.ladder | length - 1 -%}
{%- set gated = gated_steps(plan) -%}
drop table if exists pg_temp.release_units;
create temporary table release_units on commit drop as
with units_0 as materialized (
    select
        0 as step,
        class_0 as class,
        {%- for number in range(1, last + 1) %}
        class_{{ number }},
        {{- ' may_stand_' ~ number ~ ',' if number in gated }}
        {%- endfor %}
        n,
        cell_key,
        is_told {{- ' and may_stand_0' if 0 in gated }}
            and n >= {{ plan.floor + 1 }} + {{ surcharge('cell_key') }} as stands
    from pg_temp.release_nodes
)
{%- for number in range(1, last + 1) %},
pools_{{ number }} as materialized (
    select
        pooled.*,
        {% if number in gated %}may_stand and {% endif -%}
        hidden >= {{ plan.floor + 1 }} + {{ surcharge('pool_key') }} as enough,
        {{ plan.floor }} + {{ slack_surcharge('pool_key') }} as to_hide
    from (
        select
            class_{{ number }},
            {{- ' bool_and(may_stand_' ~ number ~ ') as may_stand,' if number in gated }}
            {%- for later in range(number + 1, last + 1) %}
            min(class_{{ later }}) as class_{{ later }},
            {{- ' bool_and(may_stand_' ~ later ~ ') as may_stand_' ~ later ~ ',' if later in gated }}
            {%- endfor %}
            sum(n)::integer as hidden,
            bit_xor(cell_key) as pool_key
        from units_{{ number - 1 }}
        where not stands
        group by class_{{ number }}
    ) as pooled
),
candidates_{{ number }} as materialized (
    select
        units.class_{{ number }},
        units.class,
        units.n,
        units.cell_key,
        pools.hidden,
        pools.to_hide,
        row_number() over smallest as place,
        coalesce(
            sum(units.n - {{ plan.floor + 1 }}) over (
                smallest rows between unbounded preceding and 1 preceding
            ), 0
        ) as slack
    from units_{{ number - 1 }} as units
    join pools_{{ number }} as pools using (class_{{ number }})
    where units.stands and not pools.enough {{- ' and pools.may_stand' if number in gated }}
    window smallest as (partition by class_{{ number }} order by units.n, units.cell_key)
),
taken_{{ number }} as materialized (
    select * from candidates_{{ number }} where place = 1 or hidden + slack < to_hide
),
units_{{ number }} as materialized (
    select
        step,
        class,
        {%- for later in range(number + 1, last + 1) %}
        class_{{ later }},
        {{- ' may_stand_' ~ later ~ ',' if later in gated }}
        {%- endfor %}
        n,
        cell_key,
        stands
    from units_{{ number - 1 }}
    where stands and class not in (select class from taken_{{ number }})
    union all
    select
        {{ number }},
        pools.class_{{ number }},
        {%- for later in range(number + 1, last + 1) %}
        pools.class_{{ later }},
        {{- ' pools.may_stand_' ~ later ~ ',' if later in gated }}
        {%- endfor %}
        pools.hidden + coalesce(given.n, 0)::integer,
        pools.pool_key # coalesce(given.cell_key, 0),
        pools.enough or given.n is not null
    from pools_{{ number }} as pools
    left join (
        select class_{{ number }}, sum(n) as n, bit_xor(cell_key) as cell_key
        from taken_{{ number }}
        group by class_{{ number }}
    ) as given using (class_{{ number }})
)
{%- endfor %}
select step, class, n, cell_key from units_{{ last }} where stands;
{% endmacro %}

{# From the lower border of a bucket to its middle, which is what its people count for in a mean. #}
{% macro to_middle(dimension, step) -%}
    {%- if dimension.name in step -%}
        + {{ dimension.levels[step[dimension.name]].width }} / 2.0
    {%- else -%}
        ::numeric
    {%- endif -%}
{%- endmacro %}

{# Cells: the classes to release, with their values; any leaf of a class knows them. #}
{% macro tell_cells(plan) %}
drop table if exists pg_temp.release_cells;
create temporary table release_cells on commit drop as
{%- for step in plan.ladder %}
{%- set number = loop.index0 %}
{%- set values = values_at_step(plan, step) %}
{{ 'union all' if not loop.first }}
select
    units.step,
    told.period_kind,
    told.period
    {%- for dimension in plan.dimensions %},
    told.{{ dimension.name }}
    {%- endfor %},
    units.n,
    units.cell_key
from pg_temp.release_units as units
join (
    select
        class_{{ number }} as class,
        min(period_kind) as period_kind,
        min(period) as period
        {%- for dimension in plan.dimensions %},
        min({{ values[loop.index0] }})
            {%- if dimension.mean %} {{ to_middle(dimension, step) }}{% endif %} as {{ dimension.name }}
        {%- endfor %}
    from pg_temp.release_nodes
    where class_{{ number }} in (
        select class from pg_temp.release_units where step = {{ number }}
    )
    group by class_{{ number }}
) as told using (class)
where units.step = {{ number }}
{%- endfor %};
drop table pg_temp.release_nodes;
{{ gather_alike(plan) }}
{{ gate_sensitive(plan) }}
{% endmacro %}

{#
    One class of cells whose values came out alike at different steps (a value that was never
    measured looks as if it had been generalised).
#}
{% macro gather_alike(plan) %}
create temporary table release_gathered on commit drop as
select
    max(step) as step,
    period_kind,
    period
    {%- for dimension in plan.dimensions %},
    {{ dimension.name }}
    {%- endfor %},
    sum(n)::integer as n,
    bit_xor(cell_key) as cell_key
from pg_temp.release_cells
group by period_kind, period
    {%- for dimension in plan.dimensions %}, {{ dimension.name }}{% endfor %};
drop table pg_temp.release_cells;
alter table pg_temp.release_gathered rename to release_cells;
{% endmacro %}
