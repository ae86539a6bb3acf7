select
    job_id,
    user_id,
    subject,
    conversation_id,
    job_type,
    status,
    created_at,
    finished_at,
    credits,
    source,
    day
from {{ source('raw', 'service_jobs') }}
