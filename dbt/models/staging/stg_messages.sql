-- Without the text: nothing that counts messages needs it.
select
    message_id,
    conversation_id,
    user_id,
    subject,
    role,
    tool_name,
    created_at,
    source,
    day
from {{ source('raw', 'messages') }}
