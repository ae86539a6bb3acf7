-- One person, one day, one profile: what a person had analysed most, and mean scores.
{{ config(
    tags=['marts'],
    pre_hook="{{ replace_window('day', category=['analytics']) }}",
    post_hook="{{ keep_from_readers() }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with events as (
    select
        day,
        user_id,
        subject,
        event_type,
        {{ label("event_data ->> 'archetype'") }} as archetype,
        {{ event_number('activity_score') }} as activity_score,
        {{ event_number('collab_score') }} as collab_score,
        {{ event_number('diversity_score') }} as diversity_score,
        {{ event_number('ai_savviness') }} as ai_savviness,
        {{ event_number('ai_percentage') }} as ai_percentage,
        -- Lists are sorted by use. Only the first leaves the platform: sets single people out.
        {{ label("event_data -> 'languages' ->> 0") }} as language,
        {{ label("event_data -> 'tools' ->> 0") }} as tool,
        {{ label("event_data ->> 'template'") }} as template
    from {{ ref('stg_events') }}
    where
        {{ in_window('day') }}
        and event_category = 'analytics'
        and event_type in ('profile_analyzed', 'package_generated')
),

-- mode() takes the first of equals in the order given.
days as (
    select
        day,
        subject,
        mode() within group (order by event_type desc) as event_type,
        mode() within group (order by archetype) as archetype,
        avg(activity_score)::numeric(20, 10) as activity_score,
        avg(collab_score)::numeric(20, 10) as collab_score,
        avg(diversity_score)::numeric(20, 10) as diversity_score,
        avg(ai_savviness)::numeric(20, 10) as ai_savviness,
        avg(ai_percentage)::numeric(20, 10) as ai_percentage,
        mode() within group (order by language) as language,
        mode() within group (order by tool) as tool,
        mode() within group (order by template) as template
    from events
    where {{ counts_towards_k('events') }}
    group by day, subject
)

select
    day,
    subject,
    event_type,
    archetype,
    activity_score,
    collab_score,
    diversity_score,
    ai_savviness,
    ai_percentage,
    language,
    tool,
    template
from days
where {{ kept(['analytics'], 'day') }}
