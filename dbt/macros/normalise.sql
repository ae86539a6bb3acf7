{# Searches that differ in case, spacing or length beyond 200 characters are the same query. #}
{% macro normalised_query(expression) -%}
    left(btrim(regexp_replace(lower({{ expression }}), '\s+', ' ', 'g')), 200)
{%- endmacro %}

{# The event types that are searches: the platform's and the registry's. #}
{% macro is_search() -%}
    event_category in ('{{ search_categories() | join("', '") }}')
    and event_type in ('search.performed', 'search_performed')
{%- endmacro %}

{% macro search_categories() -%}
    {{- return(['interaction', 'registry']) -}}
{%- endmacro %}
