{{ config(materialized='release') }}

{{ done_most(ref('int_subject_searches'), ['query'], 'searches', ['week', 'month']) }}
