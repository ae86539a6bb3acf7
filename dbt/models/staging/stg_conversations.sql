select
    conversation_id,
    user_id,
    subject,
    started_at,
    ended_at,
    channel,
    source,
    day
from {{ source('raw', 'conversations') }}
