-- Of people with a score only: a mean over fewer people than the count beside it could be one
-- person's.
{{ config(materialized='release') }}

select
    closing.period_kind,
    closing.period,
    people.subject,
    -- The first of equals, by name.
    mode() within group (order by people.archetype) as archetype,
    avg(people.ai_savviness) as ai_savviness
from {{ ref('int_profile_days') }} as people
join {{ closing_days() }} as closing on closing.day = people.day
where people.ai_savviness is not null
group by closing.period_kind, closing.period, people.subject
