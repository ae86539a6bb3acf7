{#
    A weekly histogram with discrete Laplace noise instead of a tree: `epsilon` in a table's plan.

    The buckets are those of the plan, whoever is there, so that no class says by being there that
    somebody is. Each person of a week stands in one bucket; the noise of every bucket was drawn and
    stored before anybody was counted (privacy/laplace.py). What is published, the total and the mean,
    is made of noisy numbers alone. A week is published from `least` on: so many more than the floor
    that 10 people pass for as many once in a million times.
#}
{% macro refuse_weeks_without_noise(table, plan) %}
    {%- set found = run_query(
        "select count(*), min(closing.period) from pg_temp.release_periods as closing"
        " where closing.reason is null and not exists ("
        "select from vault.laplace_noise as noise"
        " where noise.release_table = '" ~ table ~ "' and noise.period = closing.period)"
    ).rows[0] -%}
    {%- if found[0] -%}
        {{ exceptions.raise_compiler_error(
            table ~ ": " ~ found[0] ~ " week(s) ought to close and have no noise in vault, the first"
            ~ " is " ~ found[1] ~ ". Nothing was released. Materialize the release through Dagster"
            ~ " or `analytics-assets run`, which draw noise first"
        ) }}
    {%- endif -%}
{% endmacro %}

{% macro tell_with_laplace(table, plan) %}
{%- set mean = plan.dimensions | first %}
{%- set terms = plan.laplace %}
create temporary table release_noisy on commit drop as
select
    weeks.period_kind,
    weeks.period,
    coalesce(sum(leaves.n), 0)::integer as n,
    sum(coalesce(leaves.n, 0) + noise.noise)::integer as total,
    sum(
        (coalesce(leaves.n, 0) + noise.noise)
        * least(noise.bucket + {{ mean.levels[0].width }} / 2.0, 100)
    ) as weighted
from (select distinct period_kind, period from pg_temp.release_days) as weeks
join vault.laplace_noise as noise
    on noise.release_table = '{{ table }}' and noise.period = weeks.period
left join (
    select period_kind, period, {{ mean.name }} as bucket, sum(n) as n
    from pg_temp.release_leaves
    group by 1, 2, 3
) as leaves
    on leaves.period_kind = weeks.period_kind
    and leaves.period = weeks.period
    and leaves.bucket = noise.bucket
group by weeks.period_kind, weeks.period;
-- The budget is spent by having looked, published or not.
insert into ops.dp_ledger
    (release_table, period, unit, epsilon, delta, mechanism, scale, l0, linf)
select
    '{{ table }}', period, 'person-week', {{ terms.epsilon }}, {{ terms.delta }},
    'discrete Laplace', 1 / {{ terms.epsilon }}, 1, 1
from pg_temp.release_noisy;
insert into pg_temp.release_classes
    (period_kind, period, {{ mean.name }}, n_people, n_published, n_finest)
select period_kind, period, least(greatest(weighted / total, 0), 100), n, total, total
from pg_temp.release_noisy
where n > {{ plan.floor }} and total >= {{ terms.least }};
delete from vault.laplace_noise as noise
using pg_temp.release_periods as closing
where noise.release_table = '{{ table }}' and noise.period = closing.period;
drop table pg_temp.release_leaves, pg_temp.release_noisy;
{% endmacro %}
