{#
    Accounts as they stand at the platform's clock, as a subquery: user_id, subject, is_internal and
    counts_from, the first day on which an account of known age counts towards k. Young accounts
    do not, so that nobody fills a class up with accounts made for it. An account that the history
    knows only from later on is taken as it was first seen.
#}
{% macro latest_accounts() -%}
(
    select distinct on (user_id)
        user_id,
        coalesce(subject, user_id) as subject,
        is_internal,
        (signup_at at time zone 'UTC')::date + 7 as counts_from
    from {{ ref('stg_users') }}
    order by
        user_id,
        valid_from > {{ as_of() }},
        abs(extract(epoch from valid_from - {{ as_of() }}))
)
{%- endmacro %}

{# Whether a row (of alias `row`, with day, user_id and subject) counts towards k. #}
{% macro counts_towards_k(row) -%}
    {{ row }}.subject is not null
    and not exists (
        select
        from {{ latest_accounts() }} as account
        where
            account.user_id = {{ row }}.user_id
            and (account.is_internal or {{ row }}.day < account.counts_from)
    )
{%- endmacro %}

{# A label as people wrote it: single spaces, 100 characters at most, empty where there is none. #}
{% macro label(expression) -%}
    nullif(left(btrim(regexp_replace({{ expression }}, '\s+', ' ', 'g')), 100), '')
{%- endmacro %}

{# A number of event_data; empty where it is none, so that one bad row cannot stop a model. #}
{% macro event_number(field) -%}
    case
        when jsonb_typeof(event_data -> '{{ field }}') = 'number'
            then (event_data ->> '{{ field }}')::numeric
    end
{%- endmacro %}

{#
    Post-hook of tables that only the release reads: they say what each person did, searched and is,
    which the schema's default grants would open to analysts and the API.
#}
{% macro keep_from_readers() -%}
    revoke all on {{ this }} from analytics_analyst, analytics_api
{%- endmacro %}

{#
    The leaves of a table that counts people by what they did most: one row per person and period of
    the kinds, with the labels of what the person did most, the first by name of equals.

    `model` has day, subject, the label columns and `amount`. Labels are numbered backwards by name
    and the largest (amount, number) is taken as one number: hashing that is three times as fast as
    sorting every row (2 million rows: 11 s against 35 s).
#}
{% macro done_most(model, labels, amount, kinds) -%}
with labels as (
    select
        *,
        row_number() over (order by {{ labels | join(' desc, ') }} desc) as place
    from (
        select distinct {{ labels | join(', ') }}
        from {{ model }}
        where day in (select day from {{ closing_days() }})
    ) as distinct_labels
),

people as (
    select
        done.day,
        done.subject,
        done.{{ amount }} as amount,
        labels.place
    from {{ model }} as done
    join labels using ({{ labels | join(', ') }})
),

{% for kind in kinds -%}
{{ kind }}_totals as (
    select
        closing.period,
        people.subject,
        people.place,
        sum(people.amount) as amount
    from people
    join {{ closing_days() }} as closing on closing.day = people.day
    where closing.period_kind = '{{ kind }}'
    group by closing.period, people.subject, people.place
),

{% endfor -%}
most as (
    {%- for kind in kinds %}
    select
        '{{ kind }}' as period_kind,
        period,
        subject,
        max(amount * 2147483648 + place) as top
    from {{ kind }}_totals
    group by period, subject
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    most.period_kind,
    most.period,
    most.subject,
    {%- for label in labels %}
    labels.{{ label }}{{ ',' if not loop.last }}
    {%- endfor %}
from most
join labels on labels.place = most.top % 2147483648
{%- endmacro %}

{#
    Users who agree to the analysis of their conversations at the platform's clock, as a subquery:
    user_id. The same function is asked when their words are read (store/sql/consent.sql).
#}
{% macro consenting_users() -%}
(
    select agreed.user_id
    from vault.consenting(
        'insights', array(select distinct user_id from {{ ref('stg_users') }}), {{ as_of() }}
    ) as agreed
)
{%- endmacro %}

{#
    The leaves of a table of what people's conversations were about: one row per person and period of
    the kinds, with the labels that most of the person's conversations have, the first by name of
    equals. `where`: which facets count.
#}
{% macro talked_most(labels, kinds, where='true') -%}
with facets as (
    select
        facet.day,
        account.subject,
        {%- for label in labels %}
        facet.{{ label }},
        {%- endfor %}
        facet.user_id,
        facet.conversation_id
    from {{ source('insights', 'conversation_facets') }} as facet
    join {{ latest_accounts() }} as account on account.user_id = facet.user_id
    where
        facet.day in (select day from {{ closing_days() }})
        and facet.user_id in (select user_id from {{ consenting_users() }} as agreed)
        and (account.counts_from is null or facet.day >= account.counts_from)
        and {{ where }}
),

counted as (
    select
        closing.period_kind,
        closing.period,
        facets.subject,
        {%- for label in labels %}
        facets.{{ label }},
        {%- endfor %}
        count(distinct (facets.user_id, facets.conversation_id)) as conversations
    from facets
    join {{ closing_days() }} as closing on closing.day = facets.day
    where closing.period_kind in ('{{ kinds | join("', '") }}')
    group by
        closing.period_kind,
        closing.period,
        facets.subject,
        {{ labels | map('string') | join(', ') }}
)

select distinct on (period_kind, period, subject)
    period_kind,
    period,
    subject,
    {%- for label in labels %}
    {{ label }}{{ ',' if not loop.last }}
    {%- endfor %}
from counted
order by period_kind, period, subject, conversations desc, {{ labels | join(', ') }}
{%- endmacro %}
