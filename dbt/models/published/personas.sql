-- Of accounts of one person the busiest says what the person is.
{{ config(materialized='release') }}

select distinct on (closing.period_kind, closing.period, account.subject)
    closing.period_kind,
    closing.period,
    account.subject,
    months.persona,
    months.segment
from {{ source('insights', 'segments') }} as months
join {{ latest_accounts() }} as account on account.user_id = months.user_id
join {{ closing_days() }} as closing
    on
        closing.period_kind = 'month'
        and closing.day = months.month
where months.user_id in (select user_id from {{ consenting_users() }} as agreed)
order by
    closing.period_kind,
    closing.period,
    account.subject,
    months.conversations desc,
    months.user_id
