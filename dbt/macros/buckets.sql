{#
    Scores leave the platform as buckets only: the lower border of a step within 0..100; out of
    range is clamped, empty stays empty. Its twin is analytics_assets/privacy/buckets.py.
    `score` is an SQL expression of type numeric or integer, `step` a divisor of 100.
#}
{% macro bucket(score, step) -%}
    {%- if step | int < 1 or 100 % (step | int) != 0 -%}
        {{ exceptions.raise_compiler_error("a bucket's step must divide 100, not " ~ step) }}
    {%- endif -%}
    (
        -- Not least() and greatest(), which would make an empty score 0.
        case
            when ({{ score }}) < 0 then 0
            when ({{ score }}) > 100 then 100
            else floor({{ score }})::integer / {{ step }} * {{ step }}
        end
    )
{%- endmacro %}
