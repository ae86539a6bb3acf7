{{ config(materialized='release') }}

{{ talked_most(['friction', 'topic'], ['week', 'month'], where="facet.friction <> 'none'") }}
