{#
    The gate on sensitive values: one is told to those who know the others (`sensitive` in the plan)
    only if it could still be one of three or more, none of them four times out of five or likelier.

    Asked step by step, before the tree grows: at a step that tells too few values among those alike
    in all else that the step tells and others may know, nobody stands, and the people go on to one
    that tells less beside the value. Where not even the last step that tells it has enough, it is
    generalised away from the start and takes no other value with it. Asked once more of what came
    out, as published, since that is what anybody can count.
#}

{#
    Groups alike in what others may know, as far as a step tells that, in which enough values stand
    by the rule of classes: their hashes.
#}
{% macro diverse_groups(plan, name, given, number) -%}
{%- set dimension = plan.dimensions | selectattr('name', 'equalto', name) | first -%}
select known
from (
    select
        {{ known_at(plan, given, number) }} as known,
        {{ value_at(dimension, plan.ladder[number][name]) }} as value,
        sum(n)::integer as people,
        bit_xor(cell_key) as value_key
    from pg_temp.release_leaves
    where {{ name }} is distinct from {{ untold(dimension) }}
    group by 1, 2
) as told
where people >= {{ plan.floor + 1 }} + {{ surcharge('value_key') }}
group by known
having count(*) >= 3
    and max({{ published_count('people', 'value_key', plan) }})
        <= 0.8 * sum({{ published_count('people', 'value_key', plan) }})
{%- endmacro %}

{# What others may know of a leaf, as far as a step tells it, by a hash. #}
{% macro known_at(plan, given, number) -%}
    {%- set step = plan.ladder[number] -%}
    {%- set values = ['period_kind', 'period'] -%}
    {%- for dimension in plan.dimensions if dimension.name in given and dimension.name in step -%}
        {%- do values.append(value_at(dimension, step[dimension.name])) -%}
    {%- endfor -%}
    hash_record_extended(row({{ values | join(', ') }}), 0)
{%- endmacro %}

{% macro untold(dimension) -%}
    {{- "'any'" if dimension.type == 'text' else 'null' -}}
{%- endmacro %}

{# Numbers of the steps that tell a sensitive value, fine to coarse. #}
{% macro steps_that_tell(plan, name) -%}
    {%- set found = [] -%}
    {%- for number in range(plan.ladder | length) if name in plan.ladder[number] -%}
        {%- do found.append(number) -%}
    {%- endfor -%}
    {{- return(found) -}}
{%- endmacro %}

{#
    Of these the ones at which the gate is asked again: not those that tell as much as the last, at
    which it is open to everybody whose value was not generalised away.
#}
{% macro gates_of(plan, name) -%}
    {%- set found = [] -%}
    {%- set given = plan.sensitive[name] + [name] -%}
    {%- set steps = steps_that_tell(plan, name) -%}
    {%- for number in steps -%}
        {%- set as_last = [] -%}
        {%- for other in given
            if plan.ladder[number].get(other, -1) == plan.ladder[steps | last].get(other, -1) -%}
            {%- do as_last.append(other) -%}
        {%- endfor -%}
        {%- if as_last | length < given | length -%}{%- do found.append(number) -%}{%- endif -%}
    {%- endfor -%}
    {{- return(found) -}}
{%- endmacro %}

{# Those of all sensitive values. #}
{% macro gated_steps(plan) -%}
    {%- set found = [] -%}
    {%- for name in plan.sensitive -%}
        {%- do found.extend(gates_of(plan, name)) -%}
    {%- endfor -%}
    {{- return(found | unique | sort) -}}
{%- endmacro %}

{#
    The tree's leaves: values that no step may tell are generalised away, and at each step that
    tells one, `may_stand_<step>` says whether the gate is open.
#}
{% macro gate_leaves(plan) %}
{%- for name, given in plan.sensitive.items() %}
{%- set dimension = plan.dimensions | selectattr('name', 'equalto', name) | first %}
{%- set last = steps_that_tell(plan, name) | last %}
update pg_temp.release_leaves
set {{ name }} = {{ untold(dimension) }}
where {{ name }} is distinct from {{ untold(dimension) }}
    and {{ known_at(plan, given, last) }} not in (
        {{ diverse_groups(plan, name, given, last) }}
    );
{%- endfor %}
drop table if exists pg_temp.release_nodes;
create temporary table release_nodes on commit drop as
with nodes as materialized (
    select
        leaves.*,
        {%- for number in gated_steps(plan) %}
        {%- for name, given in plan.sensitive.items() if number in gates_of(plan, name) %}
        {%- set dimension = plan.dimensions | selectattr('name', 'equalto', name) | first %}
        {{ 'and' if not loop.first }} (
            {{ name }} is not distinct from {{ untold(dimension) }}
            or {{ known_at(plan, given, number) }} in (
                {{ diverse_groups(plan, name, given, number) }}
            )
        )
        {%- endfor %} as may_stand_{{ number }},
        {%- endfor %}
        {%- for step in plan.ladder %}
        {{ class_at(plan, loop.index0) }} as class_{{ loop.index0 }},
        {%- endfor %}
        -- Only leaves whose values were generalised away can have become one class.
        {% for name in plan.sensitive -%}
        {{ name }} is distinct from {{ untold(plan.dimensions | selectattr('name', 'equalto', name) | first) }} and {% endfor -%}
        true as is_alone
    from pg_temp.release_leaves as leaves
)
select
    period_kind,
    period,
    {%- for dimension in plan.dimensions %}
    {{ dimension.name }},
    {%- endfor %}
    {%- for step in plan.ladder %}
    class_{{ loop.index0 }},
    {%- endfor %}
    {%- for number in gated_steps(plan) %}
    may_stand_{{ number }},
    {%- endfor %}
    is_told,
    n,
    cell_key
from nodes
where is_alone
{%- if plan.sensitive %}
union all
select
    min(period_kind),
    min(period),
    {%- for dimension in plan.dimensions %}
    min({{ dimension.name }}),
    {%- endfor %}
    class_0,
    {%- for step in plan.ladder[1:] %}
    min(class_{{ loop.index }}),
    {%- endfor %}
    {%- for number in gated_steps(plan) %}
    bool_and(may_stand_{{ number }}),
    {%- endfor %}
    bool_and(is_told),
    sum(n)::integer,
    bit_xor(cell_key)
from nodes
where not is_alone
group by class_0
{%- endif %};
drop table pg_temp.release_leaves;
{% endmacro %}

{% macro gate_sensitive(plan) %}
{%- for name, given in plan.sensitive.items() %}
{%- set dimension = plan.dimensions | selectattr('name', 'equalto', name) | first %}
update pg_temp.release_cells as cells
set {{ name }} = {{ untold(dimension) }}, step = greatest(step, 1)
from (
    select period_kind, period, {{ given | join(', ') }}
    from (
        select
            period_kind, period, {{ given | join(', ') }}, {{ name }},
            sum({{ published_count('n', 'cell_key', plan) }}) as people
        from pg_temp.release_cells
        where {{ name }} is distinct from {{ untold(dimension) }}
        group by period_kind, period, {{ given | join(', ') }}, {{ name }}
    ) as told
    group by period_kind, period, {{ given | join(', ') }}
    having count(*) < 3 or max(people) > 0.8 * sum(people)
) as telling
where cells.period_kind = telling.period_kind
    and cells.period = telling.period
    {%- for other in given %}
    and cells.{{ other }} is not distinct from telling.{{ other }}
    {%- endfor %}
    and cells.{{ name }} is distinct from {{ untold(dimension) }};
{{ gather_alike(plan) }}
{%- endfor %}
{% endmacro %}
