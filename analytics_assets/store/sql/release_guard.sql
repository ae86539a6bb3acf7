-- The floor, held by the database whatever code runs above it. Messages are generic on purpose: a
-- failed CHECK alone would print the row it protects.

create or replace function vault.refuse_small_class()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if new.n_people is null or new.n_people <= 10 then
        raise exception 'release refused: a class has 10 people or fewer'
            using errcode = 'check_violation';
    end if;
    return new;
end
$$;

create or replace trigger refuse_small_class
before insert or update on vault.release_counts
for each row execute function vault.refuse_small_class();

-- Arguments: period column; period kind, or '' where the table has a period_kind column; count
-- column, or '' where every row is one person; then the columns of the class.
create or replace function vault.guard_release()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    target text := format('%I.%I', tg_table_schema, tg_table_name);
    kind text := case when tg_argv[1] = '' then 'r ->> ''period_kind'''
                      else quote_literal(tg_argv[1]) end;
    people text := case when tg_argv[2] = '' then 'count(*)'
                        else format('sum((r ->> %L)::bigint)', tg_argv[2]) end;
    class text;
    unsafe boolean;
    closed boolean;
begin
    select coalesce(
        format(
            'jsonb_build_object(%s)',
            string_agg(format('%L, r -> %L', tg_argv[i], tg_argv[i]), ', ' order by i)
        ),
        '''{}''::jsonb'
    )
    into class
    from generate_series(3, tg_nargs - 1) as i;

    execute format(
        $sql$
            with inserted as (select to_jsonb(new_rows) as r from new_rows),
            classes as (
                select (r ->> %L)::date as period, %s as period_kind, %s as dimensions,
                       %s as n_people
                from inserted
                group by 1, 2, 3
            )
            select
                coalesce(bool_or(counted.n_people is distinct from classes.n_people
                                 or classes.n_people <= 10), false),
                coalesce(bool_or(ledger.period is not null), false)
            from classes
            left join vault.release_counts as counted
                on counted.release_table = %L
                and counted.period_kind = classes.period_kind
                and counted.period = classes.period
                and counted.dimensions = classes.dimensions
            left join ops.release_ledger as ledger
                on ledger.release_table = %L
                and ledger.period_kind = classes.period_kind
                and ledger.period = classes.period
        $sql$,
        tg_argv[0], kind, class, people, target, target
    ) into unsafe, closed;

    if closed then
        raise exception 'release refused: the period is closed'
            using errcode = 'check_violation';
    end if;
    if unsafe then
        raise exception 'release refused: a class has 10 people or fewer, or was not counted'
            using errcode = 'check_violation';
    end if;
    return null;
end
$$;

revoke all on function vault.guard_release() from public;
revoke all on function vault.refuse_small_class() from public;
grant execute on function vault.guard_release(), vault.refuse_small_class()
    to release_owner, analytics_pipeline;

grant usage on schema vault to release_owner;
set local role release_owner;

create or replace trigger guard_release
after insert on anonymous.analytics_events
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'created_at', 'day', '', 'event_type', 'archetype', 'activity_score_bucket',
    'collab_score_bucket', 'diversity_score_bucket', 'ai_savviness_bucket',
    'ai_percentage_bucket', 'top_languages', 'tools_detected', 'template_used'
);
create or replace trigger guard_release
after insert on published.ai_usage_trends
referencing new table as new_rows
for each statement execute function vault.guard_release('week', 'week', 'analyses_count');
create or replace trigger guard_release
after insert on published.archetype_distribution
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'period', 'month', 'count', 'archetype'
);
create or replace trigger guard_release
after insert on published.event_trends
referencing new table as new_rows
for each statement execute function vault.guard_release(
    'period', '', 'n_people', 'event_category', 'event_type'
);
create or replace trigger guard_release
after insert on published.install_trends
referencing new table as new_rows
for each statement execute function vault.guard_release('period', '', 'n_people', 'server_id');
create or replace trigger guard_release
after insert on published.search_trends
referencing new table as new_rows
for each statement execute function vault.guard_release('period', '', 'n_people', 'query');

reset role;
