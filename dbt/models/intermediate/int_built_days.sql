-- Which days the tables of people below were built for, and as of when: a period is released only
-- when all its days were built after they were over. A day never built has no row, so it cannot
-- close empty.
--
-- depends_on: {{ ref('int_profile_days') }}
-- depends_on: {{ ref('int_subject_days') }}
-- depends_on: {{ ref('int_subject_installs') }}
-- depends_on: {{ ref('int_subject_searches') }}
{{ config(tags=['marts'], pre_hook="{{ replace_window('day') }}") }}

select
    built_day::date as day,
    {{ as_of() }} as built_as_of
from generate_series(
    {{ window_start() }}::timestamp,
    ({{ window_end() }} - 1)::timestamp,
    interval '1 day'
) as built_day
