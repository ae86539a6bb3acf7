select
    user_id,
    valid_from,
    valid_to,
    role,
    signup_at,
    insights_consent,
    is_internal,
    subject,
    source
from {{ source('raw', 'users') }}
