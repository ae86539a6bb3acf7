{{ config(materialized='release') }}

{{ talked_most(['topic', 'task'], ['week', 'month']) }}
