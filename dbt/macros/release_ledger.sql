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
