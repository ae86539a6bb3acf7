{{ config(materialized='release') }}

{{ done_most(ref('int_subject_installs'), ['server_id'], 'installs', ['week', 'month']) }}
