-- Of people with a score only: a mean over fewer people than the count beside it could be one
-- person's.
{{ config(materialized='release') }}

select
    closing.period_kind,
    closing.period,
    people.subject,
    -- The first of equals, by name.
    coalesce(mode() within group (order by people.archetype), 'none') as archetype,
    {{ bucket('avg(people.ai_savviness)', 10) }} as savviness_10
from {{ ref('int_profile_days') }} as people
join {{ closing_days() }} as closing on closing.day = people.day
where people.ai_savviness is not null
group by closing.period_kind, closing.period, people.subject
