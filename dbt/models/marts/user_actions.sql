{{ config(materialized='view') }}

select
    event_log.event_id as id,
    event_log.user_id,
    event_log.event_type as action,
    event_log.event_data as metadata,
    event_log."timestamp" as created_at,
    event_log.day
from {{ ref('event_log') }} as event_log
where
    event_log.event_category = 'action'
    and event_log.event_type in ('download', 'share', 'credit_limit')
