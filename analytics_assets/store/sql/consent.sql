-- Who agrees to a purpose, as of a time: the one truth, asked when people are chosen and again when
-- something is sent or kept.
--
-- Statements are the ledger's, and for `insights` those a source makes in raw.users by saying
-- something new. A flag that is repeated, or carried over from another source's row, says nothing
-- new: else a source that never heard of a withdrawal would take it back with its next snapshot. So
-- a flag grants only where neither the row before nor the same source's row before did, and
-- withdraws where either did. The latest statement wins, of two at the same time the withdrawal; with
-- a clock set back, a withdrawal after it counts all the same.
create or replace function vault.consenting(
    for_purpose text, users text[], at_time timestamptz
)
returns table (user_id text)
language sql
stable
rows 100
set search_path = pg_catalog, pg_temp
as $$
    with asked as (
        select distinct n.name as user_id from unnest(users) as n (name) where n.name is not null
    ),
    history as (
        select
            u.user_id, u.valid_from, u.valid_to, u.is_internal, u.insights_consent as granted,
            lag(u.insights_consent, 1, false) over (
                partition by u.user_id order by u.valid_from
            ) as granted_before,
            lag(u.insights_consent, 1, false) over (
                partition by u.user_id, u.source order by u.valid_from
            ) as source_granted_before
        from asked
        join raw.users as u on u.user_id = asked.user_id
    ),
    statements as (
        select h.user_id, h.valid_from as stated_at, h.granted
        from history as h
        where
            for_purpose = 'insights'
            and case
                when h.granted then not h.granted_before and not h.source_granted_before
                else h.granted_before or h.source_granted_before
            end
        union all
        select l.user_id, l.decided_at, l.decision = 'granted'
        from asked
        join vault.consent_ledger as l on l.user_id = asked.user_id
        where l.purpose = for_purpose
    ),
    latest as (
        select distinct on (s.user_id) s.user_id, s.granted
        from statements as s
        where s.stated_at <= at_time
        order by s.user_id, s.stated_at desc, s.granted
    ),
    in_force as (
        select distinct on (h.user_id)
            h.user_id, h.is_internal or coalesce(h.valid_to <= at_time, false) as barred
        from history as h
        where h.valid_from <= at_time
        order by h.user_id, h.valid_from desc
    )
    select latest.user_id
    from latest
    left join in_force on in_force.user_id = latest.user_id
    where
        latest.granted
        and not coalesce(in_force.barred, false)
        and not exists (
            select from statements as later
            where
                later.user_id = latest.user_id
                and later.stated_at > at_time
                and not later.granted
        )
        and not exists (
            select from history as later
            where
                later.user_id = latest.user_id
                and later.valid_from > at_time
                and later.is_internal
        )
$$;

revoke all on function vault.consenting(text, text[], timestamptz) from public;
grant execute on function vault.consenting(text, text[], timestamptz) to analytics_pipeline;
