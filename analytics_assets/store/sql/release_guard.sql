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

-- Arguments: period column; period kind, or '' where the table has a period_kind column; count
-- column, or '' where every row is one person; columns of the class; columns measured.
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
    kind text := case when tg_argv[1] = '' then 'period_kind' else quote_literal(tg_argv[1]) end;
    people text := case when tg_argv[2] = '' then 'count(*)' else format('sum(%I)', tg_argv[2]) end;
    class text[] := tg_argv[3];
    measured text[] := tg_argv[4];
    columns text;
    dimensions text;
    measures text;
    closed boolean;
    unsafe boolean;
    forbidden boolean;
begin
    select
        string_agg(format(', %I', name), '' order by place),
        string_agg(format('%L, %I', name, name), ', ' order by place)
            filter (where place <= cardinality(class)),
        string_agg(format('%L, %I', name, name), ', ' order by place)
            filter (where place > cardinality(class))
    into columns, dimensions, measures
    from unnest(class || measured) with ordinality as listed (name, place);

    execute format(
        $sql$
            with inserted as (
                select %1$I as period, %2$s as period_kind, %3$s as n_people %4$s
                from new_rows
                group by 1, 2 %4$s
            ),
            classes as (
                select period, period_kind, n_people,
                       jsonb_build_object(%5$s) as dimensions, jsonb_build_object(%6$s) as measures
                from inserted
            ),
            spent as (
                delete from vault.release_counts as counted
                using classes
                where counted.release_table = %7$L
                    and counted.period_kind = classes.period_kind
                    and counted.period = classes.period
                    and counted.dimensions = classes.dimensions
                    and counted.measures = classes.measures
                    and counted.n_people = classes.n_people
                    and counted.n_people > 10
                returning 1
            )
            select
                exists (
                    select from classes
                    join ops.release_ledger as ledger
                        on ledger.release_table = %7$L
                        and ledger.period_kind = classes.period_kind
                        and ledger.period = classes.period
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
        tg_argv[0], kind, people, columns, dimensions, measures, target
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

revoke all on function
    vault.refuse(), vault.guard_release(), vault.forbidden_values(text[]) from public;
grant execute on function vault.refuse(), vault.guard_release()
    to release_owner, analytics_pipeline;
grant execute on function vault.forbidden_values(text[]) to analytics_pipeline;

create or replace trigger refuse_small_class
before insert or update on vault.release_counts
for each row when (new.n_people is null or new.n_people <= 10)
execute function vault.refuse('a class has 10 people or fewer');

-- Without this, forgetting that a period has closed would let it out a second time, and the
-- difference of two releases is a small group.
create or replace trigger refuse_change
before update or delete or truncate on ops.release_ledger
for each statement execute function vault.refuse('the ledger only grows');

grant usage on schema vault to release_owner;
set local role release_owner;

create or replace trigger refuse_bucket
before insert on anonymous.analytics_events
for each row when (
    coalesce(new.activity_score_bucket, 0) not between 0 and 100
    or coalesce(new.collab_score_bucket, 0) not between 0 and 100
    or coalesce(new.diversity_score_bucket, 0) not between 0 and 100
    or coalesce(new.ai_savviness_bucket, 0) not between 0 and 100
    or coalesce(new.ai_percentage_bucket, 0) not between 0 and 100
    or coalesce(mod(new.activity_score_bucket, 10), 0) <> 0
    or coalesce(mod(new.collab_score_bucket, 10), 0) <> 0
    or coalesce(mod(new.diversity_score_bucket, 10), 0) <> 0
    or coalesce(mod(new.ai_savviness_bucket, 10), 0) <> 0
    or coalesce(mod(new.ai_percentage_bucket, 5), 0) <> 0
)
execute function vault.refuse('a score is not a bucket');
create or replace trigger refuse_small_class
before insert on published.ai_usage_trends
for each row when (new.analyses_count is null or new.analyses_count <= 10)
execute function vault.refuse('a class has 10 people or fewer');
create or replace trigger refuse_small_class
before insert on published.archetype_distribution
for each row when (new.count is null or new.count <= 10)
execute function vault.refuse('a class has 10 people or fewer');
create or replace trigger refuse_small_class
before insert on published.event_trends
for each row when (new.n_people is null or new.n_people <= 10)
execute function vault.refuse('a class has 10 people or fewer');
create or replace trigger refuse_small_class
before insert on published.install_trends
for each row when (new.n_people is null or new.n_people <= 10)
execute function vault.refuse('a class has 10 people or fewer');
create or replace trigger refuse_small_class
before insert on published.search_trends
for each row when (new.n_people is null or new.n_people <= 10)
execute function vault.refuse('a class has 10 people or fewer');

create or replace trigger guard_release
after insert on anonymous.analytics_events
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'created_at', 'day', '',
    '{event_type, archetype, activity_score_bucket, collab_score_bucket, diversity_score_bucket,
      ai_savviness_bucket, ai_percentage_bucket, top_languages, tools_detected, template_used}',
    '{}'
);
create or replace trigger guard_release
after insert on published.ai_usage_trends
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'week', 'week', 'analyses_count', '{}', '{avg_ai_percentage}'
);
create or replace trigger guard_release
after insert on published.archetype_distribution
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'period', 'month', 'count', '{archetype}', '{avg_ai_score}'
);
create or replace trigger guard_release
after insert on published.event_trends
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'period', '', 'n_people', '{event_category, event_type}', '{}'
);
create or replace trigger guard_release
after insert on published.install_trends
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'period', '', 'n_people', '{server_id}', '{}'
);
create or replace trigger guard_release
after insert on published.search_trends
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'period', '', 'n_people', '{query}', '{}'
);

reset role;
