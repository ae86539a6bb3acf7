-- What the HTTP API may do beyond its own tables: each function does one thing, with parameters only,
-- and shows no payload.

-- One decision, kept for ever; vault.consenting() says what follows from it. Somebody erased is not
-- named again: the statement is kept under the code of the erasure, and nothing follows from it until
-- the person is readmitted and asked anew.
create or replace function ops.record_consent(
    who text, what_for text, version text, decided text, at_time timestamptz, by_source text,
    by_key text
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    recorded bigint;
    named text;
begin
    select 'erased:' || encode(codes.mac, 'hex') into named
    from vault.suppression_codes('person', array[who]) as codes
    join vault.suppressed as known on known.kind = 'person' and known.mac = codes.mac
    where known.readmitted_at is null or at_time < known.readmitted_at;
    insert into vault.consent_ledger (
        user_id, purpose, text_version, decision, decided_at, source, api_key_id
    )
    values (coalesce(named, who), what_for, version, decided, at_time, by_source, by_key)
    returning consent_id into recorded;
    -- Whoever withdraws has been read on earlier days: what was kept of them goes with the next run.
    insert into ops.dirty_days (day, reason)
    select days.day, 'consent'
    from (
        select (now() at time zone 'UTC')::date as day
        union
        select f.day from insights.conversation_facets as f
        where f.user_id = who and decided = 'withdrawn'
        union
        select a.analysis_date from insights.analysis_cache as a
        where a.user_id = who and decided = 'withdrawn'
    ) as days
    order by 1;
    return recorded;
end
$$;

-- A page of the quarantine, newest first, after the row named by `before_time` and `before_id`.
create or replace function ops.quarantined(
    of_status text, of_code text, of_type text, before_time timestamptz, before_id uuid, rows integer
)
returns table (
    rejected_id uuid, received_at timestamptz, kind text, source text, location text,
    event_type text, processing_status text, error_code text, error_message text,
    retry_count integer, updated_at timestamptz, replay_requested_at timestamptz
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        r.rejected_id, r.received_at, r.kind, r.source, r.location, r.event_type,
        r.processing_status, r.error_code, r.error_message, r.retry_count, r.updated_at,
        r.replay_requested_at
    from raw.rejected_events as r
    where
        (of_status is null or r.processing_status = of_status)
        and (of_code is null or r.error_code = of_code)
        and (of_type is null or r.event_type = of_type)
        and (
            before_time is null
            or (r.received_day <= (before_time at time zone 'UTC')::date
                and (r.received_at, r.rejected_id) < (before_time, before_id))
        )
    order by r.received_at desc, r.rejected_id desc
    limit least(rows, 1001)
$$;

-- Ask for rows to be tried again by the next load, and have a run for their days: the day of the
-- record's own time where it has one that is past, else the day it was received on.
create or replace function ops.request_replay(wanted uuid[])
returns table (rejected_id uuid, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with found as (
        select
            r.received_day, r.rejected_id, r.kind, r.processing_status, r.payload,
            r.replay_requested_at,
            (
                ops.try_timestamptz(
                    r.payload ->> case r.kind
                        when 'event' then 'timestamp'
                        when 'conversation' then 'started_at'
                        when 'message' then 'created_at'
                        when 'service_job' then 'created_at'
                    end
                ) at time zone 'UTC'
            )::date as own_day
        from raw.rejected_events as r
        where r.rejected_id = any(wanted)
    ),
    judged as (
        select
            f.*,
            case
                when f.processing_status <> 'rejected' then f.processing_status
                when jsonb_typeof(f.payload) is distinct from 'object' then 'not_replayable'
                when f.replay_requested_at is not null then 'already_requested'
                else 'requested'
            end as verdict
        from found as f
    ),
    marked as (
        update raw.rejected_events as r
        set replay_requested_at = now()
        from judged as j
        where
            j.verdict = 'requested'
            and r.received_day = j.received_day
            and r.rejected_id = j.rejected_id
    ),
    dirtied as (
        insert into ops.dirty_days (day, reason)
        select distinct least(coalesce(j.own_day, j.received_day), j.received_day), 'replay'
        from judged as j
        where j.verdict = 'requested'
    )
    select j.rejected_id, j.verdict from judged as j;
end
$$;

-- How much waits in the inbox and for how long, in seconds. Beyond 100,000 entries it is not counted.
create or replace function ops.inbox_state()
returns table (entries bigint, oldest_seconds double precision)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        (select count(*) from (select from inbox.entries limit 100000) as counted),
        (
            select extract(epoch from now() - e.received_at)::double precision
            from inbox.entries as e
            order by e.seq
            limit 1
        )
$$;
