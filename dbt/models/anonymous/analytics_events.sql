{{ config(materialized='release') }}

with spellings (family, language) as (
    values
    {%- for family, languages in language_families().items() %}
    {%- set last_family = loop.last %}
    {%- for language in languages %}
        ('{{ family }}', '{{ language }}'){{ ',' if not (last_family and loop.last) }}
    {%- endfor %}
    {%- endfor %}
)

select
    closing.period_kind,
    closing.period,
    people.subject,
    people.event_type,
    coalesce(people.archetype, 'none') as archetype,
    {{ bucket('people.activity_score', 10) }} as activity_10,
    {{ bucket('people.collab_score', 10) }} as collab_10,
    {{ bucket('people.diversity_score', 10) }} as diversity_10,
    {{ bucket('people.ai_savviness', 10) }} as savviness_10,
    {{ bucket('people.ai_savviness', 20) }} as savviness_20,
    {{ bucket('people.ai_percentage', 5) }} as ai_5,
    {{ bucket('people.ai_percentage', 10) }} as ai_10,
    coalesce(spellings.language, people.language, 'none') as language,
    case
        when people.language is null then 'none'
        else coalesce(spellings.family, 'other')
    end as family,
    coalesce(people.tool, 'none') as tool,
    coalesce(people.template, 'none') as template
from {{ ref('int_profile_days') }} as people
join {{ closing_days() }} as closing on closing.day = people.day
left join spellings on lower(spellings.language) = lower(people.language)
