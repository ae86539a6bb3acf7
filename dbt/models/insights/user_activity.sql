-- A day's rows say whether the user was there in the week before, so late data of a day change the
-- rows of the seven days after it too: those are rebuilt with it. Sources are pruned one by one;
-- what a row said that they can no longer say is carried over.
{{ config(
    pre_hook="{{ replace_user_activity() }}",
    indexes=[{'columns': ['day'], 'type': 'brin'}]
) }}

with conversations as (
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
        -- Integers, because sums of larger types keep a state beside every user and day.
        count(distinct conversation_id)::integer as total_conversations,
        sum(turns)::integer as turns
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

-- Everything a user did, one below the other, so that users and days are hashed once and not joined.
facts as (
    select
        day,
        user_id,
        0 as conversations,
        0 as turns,
        0 as jobs,
        case when event_type = 'download' then events end as downloads,
        case when event_type = 'share' then events end as shares,
        case when event_type = 'credit_limit' then events end as credit_limits,
        0 as downloads_before,
        0 as shares_before,
        0 as credit_limits_before
    from {{ ref('user_days') }}
    where
        {{ user_activity_window('day', days_before=7) }}
        and user_id is not null
    union all
    select day, user_id, total_conversations, turns, 0, 0, 0, 0, 0, 0, 0
    from talks
    union all
    select day, user_id, 0, 0, 1, 0, 0, 0, 0, 0, 0
    from {{ ref('stg_service_jobs') }}
    where
        {{ user_activity_window('day', days_before=7) }}
        and user_id is not null
    union all
    select day, user_id, 0, 0, 0, 0, 0, 0, downloads, shares, credit_limits
    from pg_temp.user_activity_before
),

days as (
    select
        day,
        user_id,
        sum(conversations)::integer as total_conversations,
        sum(turns) as turns,
        sum(jobs)::integer as jobs,
        greatest(sum(downloads), max(downloads_before))::integer as downloads,
        greatest(sum(shares), max(shares_before))::integer as shares,
        greatest(sum(credit_limits), max(credit_limits_before))::integer as credit_limits
    from facts
    group by day, user_id
),

active_days as (
    select
        *,
        day - lag(day) over (partition by user_id order by day) <= 7 as returned
    from days
)

select
    active_days.user_id,
    active_days.day,
    active_days.total_conversations,
    coalesce(
        round(active_days.turns::numeric / nullif(active_days.total_conversations, 0), 2), 0
    ) as average_depth,
    coalesce(tools.tool_usage_pattern, '{}'::jsonb) as tool_usage_pattern,
    active_days.jobs,
    active_days.downloads,
    active_days.shares,
    active_days.credit_limits,
    coalesce(active_days.returned, false) as returned
from active_days
left join tools using (day, user_id)
where
    {{ user_activity_window('active_days.day') }}
    and {{ kept(user_activity_sources(), 'active_days.day') }}
