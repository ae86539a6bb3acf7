{#
    Every row of the window meets every condition; empty counts as not met. One test a model instead
    of one a column: it is one scan of the window, and a run has few tests to start.
#}
{% test rows_hold(model, conditions, day='day') %}
select {{ day }}
from {{ model }}
where
    {{ in_window(day) }}
    and (
        {%- for condition in conditions %}
        {{ 'or ' if not loop.first }}({{ condition }}) is not true
        {%- endfor %}
    )
{% endtest %}
