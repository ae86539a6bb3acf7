-- Read with the rights of this view's owner, so it reads raw itself and names what it shows: fields
-- that the catalogue declares and does not call personal. A type the catalogue no longer knows shows
-- none, and of metadata, which no catalogue declares, a few entries are shown that name no person.
--
-- No common table expression: Postgres would not look through the view then, and a page of the newest
-- events would sort the whole day instead of reading the end of an index.
{{ config(materialized='view') }}

select
    event.event_id,
    event.event_type,
    event.event_category,
    event.user_id,
    event.user_role,
    event.user_tenure_days,
    event.session_id,
    event.entity_type,
    event.entity_id,
    {{ entries('event.event_data', 'schemas.shown_fields') }} as event_data,
    {{ entries('event.metadata', shown_metadata()) }} as metadata,
    event.geo_location,
    event.device_info,
    event.source,
    event."timestamp",
    event.day,
    event.ingested_at
from {{ source('raw', 'platform_events') }} as event
left join (
    select
        event_type,
        array(
            select field
            from jsonb_object_keys(fields) as field
            where field <> all (personal_fields)
        ) as shown_fields
    from {{ source('ops', 'event_schemas') }}
) as schemas on schemas.event_type = event.event_type
