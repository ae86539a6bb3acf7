{{ config(materialized='release') }}

{{ talked_most(['feature_request'], ['week', 'month'], where="facet.feature_request <> 'none'") }}
