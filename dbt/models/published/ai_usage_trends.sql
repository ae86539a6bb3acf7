{{ config(materialized='release') }}

select
    closing.period_kind,
    closing.period,
    people.subject,
    avg(people.ai_percentage) as ai_percentage
from {{ ref('int_profile_days') }} as people
join {{ closing_days() }} as closing on closing.day = people.day
where people.ai_percentage is not null
group by closing.period_kind, closing.period, people.subject
