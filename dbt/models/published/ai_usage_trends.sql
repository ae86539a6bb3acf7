{{ config(materialized='release') }}

select
    closing.period_kind,
    closing.period,
    people.subject,
    {{ bucket('avg(people.ai_percentage)', 5) }} as ai_5
from {{ ref('int_profile_days') }} as people
join {{ closing_days() }} as closing on closing.day = people.day
where people.ai_percentage is not null
group by closing.period_kind, closing.period, people.subject
