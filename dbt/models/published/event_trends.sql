{{ config(materialized='release') }}

{{ done_most(
    ref('int_subject_days'), ['event_category', 'event_type'], 'events', ['day', 'week', 'month']
) }}
