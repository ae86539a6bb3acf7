-- A day's rows say whether the user was there in the week before, so late data of a day change the
-- rows of the seven days after it too: those are rebuilt with it. Sources are pruned one by one;
-- what a row said that they can no longer say is carried over.
{{ config(
    pre_hook="{{ replace_user_activity() }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with events as (
    select
        day,
        user_id,
        coalesce(sum(events) filter (where event_type = 'download'), 0) as downloads,
        coalesce(sum(events) filter (where event_type = 'share'), 0) as shares,
        coalesce(sum(events) filter (where event_type = 'credit_limit'), 0) as credit_limits
    from {{ ref('user_days') }}
    where
        {{ user_activity_window('day', days_before=7) }}
        and user_id is not null
    group by day, user_id
),

conversations as (
    select
        day,
        user_id,
        conversation_id
    from {{ ref('stg_conversations') }}
    where
        {{ user_activity_window('day', days_before=14) }}
        and user_id is not null
),

conversation_users as (
    select
        conversation_id,
        max(user_id) as user_id
    from conversations
    group by conversation_id
),

-- Where a message does not name its user, its conversation does, if it began in the week before.
messages as (
    select
        message.day,
        coalesce(message.user_id, conversation.user_id) as user_id,
        message.conversation_id,
        message.role,
        message.tool_name
    from {{ ref('stg_messages') }} as message
    left join conversation_users as conversation
        on
            conversation.conversation_id = message.conversation_id
            and message.user_id is null
    where {{ user_activity_window('message.day', days_before=7) }}
),

conversation_days as (
    select
        day,
        user_id,
        conversation_id,
        count(*) filter (where role in ('user', 'assistant')) as turns
    from messages
    where user_id is not null
    group by day, user_id, conversation_id
    union all
    -- Conversations that began without a message yet.
    select
        day,
        user_id,
        conversation_id,
        0 as turns
    from conversations
    where {{ user_activity_window('day', days_before=7) }}
),

talks as (
    select
        day,
        user_id,
        count(distinct conversation_id) as total_conversations,
        sum(turns) as turns
    from conversation_days
    group by day, user_id
),

tool_counts as (
    select
        day,
        user_id,
        tool_name,
        count(*) as uses
    from messages
    where
        user_id is not null
        and tool_name is not null
    group by day, user_id, tool_name
),

tools as (
    select
        day,
        user_id,
        jsonb_object_agg(tool_name, uses) as tool_usage_pattern
    from tool_counts
    group by day, user_id
),

jobs as (
    select
        day,
        user_id,
        count(*) as jobs
    from {{ ref('stg_service_jobs') }}
    where
        {{ user_activity_window('day', days_before=7) }}
        and user_id is not null
    group by day, user_id
),

before as (
    select
        day,
        user_id,
        downloads,
        shares,
        credit_limits
    from pg_temp.user_activity_before
),

seen as (
    select day, user_id from events
    union
    select day, user_id from talks
    union
    select day, user_id from jobs
    union
    select day, user_id from before
),

active_days as (
    select
        day,
        user_id,
        day - lag(day) over (partition by user_id order by day) <= 7 as returned
    from seen
)

select
    active_days.user_id,
    active_days.day,
    coalesce(talks.total_conversations, 0)::integer as total_conversations,
    coalesce(round(talks.turns / talks.total_conversations, 2), 0) as average_depth,
    coalesce(tools.tool_usage_pattern, '{}'::jsonb) as tool_usage_pattern,
    coalesce(jobs.jobs, 0)::integer as jobs,
    greatest(events.downloads, before.downloads, 0)::integer as downloads,
    greatest(events.shares, before.shares, 0)::integer as shares,
    greatest(events.credit_limits, before.credit_limits, 0)::integer as credit_limits,
    coalesce(active_days.returned, false) as returned
from active_days
left join talks using (day, user_id)
left join tools using (day, user_id)
left join jobs using (day, user_id)
left join events using (day, user_id)
left join before using (day, user_id)
where
    {{ user_activity_window('active_days.day') }}
    and {{ kept(user_activity_sources(), 'active_days.day') }}
