{{ config(materialized='release') }}

select
    closing.period_kind,
    closing.period,
    people.subject,
    people.event_type,
    people.archetype,
    people.activity_score,
    people.collab_score,
    people.diversity_score,
    people.ai_savviness,
    people.ai_percentage,
    people.language,
    people.tool,
    people.template
from {{ ref('int_profile_days') }} as people
join {{ closing_days() }} as closing on closing.day = people.day
