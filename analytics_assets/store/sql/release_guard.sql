-- The floor, held by the database whatever code runs above it. Messages are generic on purpose: a
-- failed CHECK would print the row it protects, so every refusal comes before the CHECK does.

-- Argument: why. The trigger's WHEN clause says when.
create or replace function vault.refuse()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'release refused: %', tg_argv[0] using errcode = 'check_violation';
end
$$;

-- Which of the candidates must not leave the platform, and why: patterns first, then the
-- dictionary of known identifiers and user ids.
--
-- At scale nearly every ordinary word is somebody's handle, and a dictionary that forbade them
-- would forbid every language and tool. So of single words only those shaped like an identifier
-- count, and never the catalogue's own names or a server of the registry.
create or replace function vault.forbidden_values(candidates text[])
returns table (value text, reason text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with given as (
        select distinct candidate as value from unnest(candidates) as candidate
        where candidate is not null
    ),
    patterns (reason, pattern) as (
        values
            ('an e-mail address', '[[:alnum:]._%+-]+@[[:alnum:]-]+(\.[[:alnum:]-]+)+'),
            (
                'an IP address',
                '(^|[^0-9.])((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}'
                '(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])($|[^0-9.])'
            ),
            (
                'an IP address',
                '(^|[^[:alnum:]:])(([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}'
                '|([0-9a-f]{1,4}:){1,6}(:[0-9a-f]{1,4}){1,6})($|[^[:alnum:]:])'
            ),
            ('a UUID', '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'),
            (
                'a hash',
                '(^|[^[:alnum:]])([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})($|[^[:alnum:]])'
            )
    ),
    words as (
        select given.value, word.position, btrim(word.word, '.,;:!?"''()[]<>') as word
        from given,
            regexp_split_to_table(lower(btrim(given.value)), '\s+')
                with ordinality as word (word, position)
    ),
    phrases as (
        select first.value, string_agg(later.word, ' ' order by later.position) as phrase
        from words as first
        cross join generate_series(0, 3) as more
        join words as later
            on later.value = first.value
            and later.position between first.position and first.position + more
        group by first.value, first.position, more
        having count(*) = more + 1
    ),
    vocabulary as (
        select lower(event_type) as word from ops.event_schemas
        union
        select lower(event_category) from ops.event_schemas
        union
        select lower(server_id) from raw.servers
        union
        select lower(name) from raw.servers
    ),
    telling as (
        select phrases.value, phrases.phrase
        from phrases
        where
            (
                phrases.phrase like '% %'
                or (length(phrases.phrase) > 4 and phrases.phrase ~ '[0-9@/._:-]')
            )
            and phrases.phrase not in (select word from vocabulary)
    )
    select distinct given.value, patterns.reason
    from given
    join patterns on given.value ~* patterns.pattern
    union
    select telling.value, 'a known identifier'
    from telling
    join vault.known_identifiers as known on lower(btrim(known.value)) = telling.phrase
    union
    select telling.value, 'a user id'
    from telling
    where
        telling.phrase ~ '[0-9]'
        and exists (
            select from raw.users where users.user_id in (telling.phrase, upper(telling.phrase))
        )
$$;

-- After an insert into a released table, as its plan says: every class was counted, enters once and
-- with the count that was drawn for it, its period is open, and no value could name a person.
--
-- A count is spent by the insert that uses it, so that no class enters twice.
create or replace function vault.guard_release()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    target text := format('%I.%I', tg_table_schema, tg_table_name);
    plan jsonb;
    people text;
    kind text;
    columns text;
    dimensions text;
    measures text;
    no_bucket text;
    closed boolean;
    unsafe boolean;
    forbidden boolean;
begin
    select entry into plan
    from ops.release_plan
    where release_table = target and retired_at is null
    order by version desc
    limit 1;
    if plan is null then
        raise exception 'release refused: the table is not in the release plan'
            using errcode = 'check_violation';
    end if;
    people := coalesce('sum(' || quote_ident(plan ->> 'count_column') || ')', 'count(*)');
    kind := coalesce(quote_ident(plan ->> 'kind_column'), 'null::text');
    select
        string_agg(format(', %I', dimension ->> 'name'), '' order by place),
        string_agg(format('%1$L, %1$I', dimension ->> 'name'), ', ' order by place)
            filter (where not (dimension ->> 'mean')::boolean),
        string_agg(format('%1$L, %1$I', dimension ->> 'name'), ', ' order by place)
            filter (where (dimension ->> 'mean')::boolean),
        string_agg(
            format(
                'coalesce(%1$I, 0) not between 0 and 100 or coalesce(mod(%1$I, %2$s), 0) <> 0',
                dimension ->> 'name', dimension #>> '{levels,0,width}'
            ),
            ' or '
        ) filter (where dimension ->> 'type' = 'integer' and not (dimension ->> 'mean')::boolean)
    into columns, dimensions, measures, no_bucket
    from jsonb_array_elements(plan -> 'dimensions') with ordinality as listed (dimension, place);

    execute format(
        $sql$
            with classes as (
                select %1$I as period, %2$s as period_kind, %3$s as n_published,
                       jsonb_build_object(%5$s) as dimensions, jsonb_build_object(%6$s) as measures,
                       %8$s as no_bucket
                from new_rows
                group by %1$I, 2 %4$s
            ),
            spent as (
                delete from vault.release_counts as counted
                using classes
                where counted.release_table = %7$L
                    and counted.period_kind = coalesce(classes.period_kind, counted.period_kind)
                    and counted.period = classes.period
                    and counted.dimensions = classes.dimensions
                    and counted.measures = classes.measures
                    and counted.n_published = classes.n_published
                    and counted.n_people > 10
                    and counted.n_published > 10
                    and not classes.no_bucket
                returning counted.period_kind, counted.period
            )
            select
                exists (
                    select from spent
                    join ops.release_ledger as ledger using (period_kind, period)
                    where ledger.release_table = %7$L
                ),
                (select count(*) from classes) <> (select count(*) from spent),
                exists (
                    select from vault.forbidden_values(array(
                        select distinct entry.value #>> '{}'
                        from classes, jsonb_each(classes.dimensions) as entry
                        where jsonb_typeof(entry.value) = 'string'
                    ))
                )
        $sql$,
        plan ->> 'period_column', kind, people, coalesce(columns, ''), coalesce(dimensions, ''),
        coalesce(measures, ''), target, coalesce(no_bucket, 'false')
    ) into closed, unsafe, forbidden;

    if closed then
        raise exception 'release refused: the period is closed'
            using errcode = 'check_violation';
    end if;
    if unsafe then
        raise exception 'release refused: a class has 10 people or fewer, or was not counted'
            using errcode = 'check_violation';
    end if;
    if forbidden then
        raise exception 'release refused: a value could name a person'
            using errcode = 'check_violation';
    end if;
    return null;
end
$$;

-- Sums of days that are past their time stand for them from then on, month by whole month: made from
-- what was published, never from raw, since a second measurement could be set against the first.
-- Returns how many months.
create or replace function ops.roll_up_days(target text, kept_from date)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    plan jsonb;
    names text;
    typed text;
    of_days text;
    any_past boolean;
    months integer;
begin
    select entry into plan
    from ops.release_plan
    where release_table = target and retired_at is null and entry ->> 'monthly' is not null
    order by version desc
    limit 1;
    if plan is null then
        raise exception '% has no days to sum up: its plan has no keep_days', target;
    end if;
    perform pg_advisory_xact_lock(hashtextextended(target, 0));
    select
        coalesce(string_agg(format(', %I', dimension ->> 'name'), '' order by place), ''),
        coalesce(
            string_agg(
                format(', %I %s', dimension ->> 'name', dimension ->> 'type'), '' order by place
            ),
            ''
        )
    into names, typed
    from jsonb_array_elements(plan -> 'dimensions') with ordinality as listed (dimension, place)
    where not (dimension ->> 'mean')::boolean;
    of_days := format(
        '%s and date_trunc(%L, %I) + interval %L <= %L::date',
        case when plan ->> 'kind_column' is null then 'true'
            else format('%I = %L', plan ->> 'kind_column', 'day') end,
        'month', plan ->> 'period_column', '1 month', kept_from
    );
    execute format('select exists (select from %s where %s)', target, of_days) into any_past;
    if not any_past then
        return 0;
    end if;
    if to_regclass(plan ->> 'monthly') is null then
        execute format(
            'create table %1$s (month date not null %2$s,'
            ' released bigint not null constraint floor check (released > 10));'
            ' grant select on %1$s to analytics_reader, analytics_analyst, analytics_api,'
            ' analytics_pipeline; grant select, delete on %1$s to analytics_retention',
            plan ->> 'monthly', typed
        );
    end if;
    execute format(
        $sql$
            with gone as (
                delete from %s where %s returning *
            ),
            summed as (
                insert into %s
                select date_trunc('month', %I)::date %s, %s
                from gone
                group by 1 %s
                returning month
            )
            select count(distinct month) from summed
        $sql$,
        target, of_days, plan ->> 'monthly', plan ->> 'period_column', names,
        coalesce('sum(' || quote_ident(plan ->> 'count_column') || ')', 'count(*)'), names
    ) into months;
    update ops.release_ledger
    set state = 'superseded'
    where release_table = target
        and state = 'closed'
        and period_kind = any (
            case when plan ->> 'kind_column' is null
                then array['day', 'week', 'month'] else array['day'] end
        )
        and date_trunc('month', period) + interval '1 month' <= kept_from;
    return months;
end
$$;

revoke all on function
    vault.refuse(), vault.guard_release(), vault.forbidden_values(text[]),
    ops.roll_up_days(text, date)
from public;
grant execute on function vault.refuse(), vault.guard_release()
    to release_owner, analytics_pipeline;
grant execute on function vault.forbidden_values(text[]) to analytics_pipeline;
grant execute on function ops.roll_up_days(text, date) to analytics_retention;

create or replace trigger refuse_small_class
before insert or update on vault.release_counts
for each row when (
    new.n_people is null or new.n_people <= 10 or new.n_published is null or new.n_published <= 10
)
execute function vault.refuse('a class has 10 people or fewer');

-- Without this, forgetting that a period has closed would let it out a second time, and the
-- difference of two releases is a small group. Only its rows may give way to sums of them.
create or replace trigger refuse_change
before delete or truncate on ops.release_ledger
for each statement execute function vault.refuse('the ledger only grows');
create or replace trigger refuse_rewriting
before update on ops.release_ledger
for each row when (
    old.state <> 'closed' or new.state <> 'superseded'
    or (to_jsonb(old) - 'state') <> (to_jsonb(new) - 'state')
)
execute function vault.refuse('the ledger only grows');

grant usage on schema vault to release_owner;
