-- People of one period under its random key (HMAC-SHA256, RFC 2104), each with the noise key of the
-- quarter the period begins in; nobody where one of the two keys is missing.
--
-- Keys are stored as their two pads, read only here, and never part of a statement's text. People
-- come as one array and go as keys, in one call a period: a call a person takes four times as long.
-- `leaves` travel along, so that nothing has to be joined back by who it is about.
drop function if exists vault.person_key(text, date, text);

create or replace function vault.person_keys(
    kind text, first_day date, subjects text[], leaves bigint[]
)
returns table (person_key bytea, noise_key bigint, leaf bigint)
language sql
stable
rows 10000
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        sha256(k.outer_pad || sha256(k.inner_pad || convert_to(given.subject, 'UTF8'))),
        (
            'x' || substr(encode(
                sha256(
                    noise.outer_pad || sha256(noise.inner_pad || convert_to(given.subject, 'UTF8'))
                ),
                'hex'
            ), 1, 16)
        )::bit(64)::bigint,
        given.leaf
    from vault.period_keys as k
    join vault.period_keys as noise
        on noise.period_kind = 'noise'
        and noise.period = date_trunc('quarter', first_day::timestamp)::date
    cross join unnest(subjects, leaves) as given (subject, leaf)
    where k.period_kind = kind and k.period = first_day
$$;

revoke all on function vault.person_keys(text, date, text[], bigint[]) from public;
grant execute on function vault.person_keys(text, date, text[], bigint[]) to analytics_pipeline;
