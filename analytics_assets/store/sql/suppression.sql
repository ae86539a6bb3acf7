-- People who were erased, known again only by HMACs (HMAC-SHA256, RFC 2104) under one random key that
-- is kept as its two pads, read only here, and never part of a statement's text.
--
-- `person` are user ids and subjects, `conversation` the conversations they had, for messages in them
-- name nobody.
create or replace function vault.suppression_codes(of_kind text, names text[])
returns table (name text, mac bytea)
language sql
stable
rows 1000
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        given.name,
        sha256(
            k.outer_pad
            || sha256(k.inner_pad || convert_to(of_kind || ':' || given.name, 'UTF8'))
        )
    from vault.suppression_keys as k
    cross join (select distinct n.name from unnest(names) as n (name)) as given
    where given.name is not null
$$;

-- Which of the names are suppressed; rows of their own time from `readmitted_at` on may be kept.
create or replace function vault.suppressed_among(of_kind text, names text[])
returns table (name text, readmitted_at timestamptz)
language sql
stable
rows 10
set search_path = pg_catalog, pg_temp
as $$
    select codes.name, known.readmitted_at
    from vault.suppression_codes(of_kind, names) as codes
    join vault.suppressed as known on known.kind = of_kind and known.mac = codes.mac
$$;

-- Words of a record that cannot be read as one: what stands between quotes, commas and brackets.
create or replace function vault.words_of(record text)
returns setof text
language sql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
    select word
    from regexp_split_to_table(record, '[[:space:]"''`,;:=<>(){}\[\]\\|]+') as word
    where word <> ''
$$;

-- The ledger of an erased person: every statement stays, under a code instead of the name, and what
-- was still granted is withdrawn by the erasure.
create or replace function vault.erase_consent(names text[], at_time timestamptz)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into vault.consent_ledger (
        user_id, purpose, text_version, decision, decided_at, source
    )
    select latest.user_id, latest.purpose, latest.text_version, 'withdrawn',
        greatest(at_time, latest.decided_at), 'erasure'
    from (
        select distinct on (l.user_id, l.purpose) l.*
        from vault.consent_ledger as l
        where l.user_id = any (names)
        order by l.user_id, l.purpose, l.decided_at desc, l.decision desc
    ) as latest
    where latest.decision = 'granted';
    update vault.consent_ledger as l
    set user_id = 'erased:' || encode(codes.mac, 'hex')
    from vault.suppression_codes('person', names) as codes
    where l.user_id = codes.name;
end
$$;

revoke all on function
    vault.suppression_codes(text, text[]),
    vault.suppressed_among(text, text[]),
    vault.words_of(text),
    vault.erase_consent(text[], timestamptz)
from public;
grant execute on function
    vault.suppression_codes(text, text[]),
    vault.suppressed_among(text, text[]),
    vault.words_of(text),
    vault.erase_consent(text[], timestamptz)
to analytics_pipeline;
