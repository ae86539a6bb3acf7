{#
    Views replaced in place, instead of dbt's create, rename twice and drop cascade: readers never
    meet a gap, grants stay, views built on this one are not dropped, and two runs at once queue.

    Config `read_as: invoker` makes readers need rights on what the view reads, so that a grant on
    the whole schema opens no way into raw.
#}
{% materialization view, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set existing_relation = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% call statement('lock') -%}
        select pg_advisory_xact_lock(hashtextextended('{{ this.schema }}.{{ this.identifier }}', 0))
    {%- endcall %}
    {% if existing_relation is not none and not replaceable_by(existing_relation, sql) %}
        {{ adapter.drop_relation(existing_relation) }}
    {% endif %}
    {% call statement('main') -%}
        create or replace view {{ target_relation }}
        {% if config.get('read_as') == 'invoker' -%} with (security_invoker = true) {%- endif %}
        {% if config.get('contract').enforced -%} {{ get_assert_columns_equivalent(sql) }} {%- endif %}
        as (
            {{ sql }}
        );
    {%- endcall %}
    {% do persist_docs(target_relation, model) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# Postgres replaces a view only by one with the same columns, or these and more after them. #}
{% macro replaceable_by(relation, sql) %}
    {%- if relation.type != 'view' -%}
        {{- return(false) -}}
    {%- endif -%}
    {%- set old = format_columns(
        get_column_schema_from_query('select * from ' ~ relation ~ ' where false')
    ) | map(attribute='formatted') | list -%}
    {%- set new = format_columns(
        get_column_schema_from_query(sql)
    ) | map(attribute='formatted') | list -%}
    {{- return(new[:old | length] == old) -}}
{% endmacro %}
