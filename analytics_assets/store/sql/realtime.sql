-- Numbers of the moment, fresher than any run: what is loaded, and what waits in the inbox and passed
-- the door's checks. They are kept in ops.platform_metrics_realtime for `fresh_for`, over all processes.

-- Count again what has expired; whether it was counted. `at_time` is the platform's clock: its UTC day
-- is today, and active users are those of the hour before it.
create or replace function ops.refresh_realtime(at_time timestamptz, fresh_for interval)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set jit = off
as $$
declare
    today date := (at_time at time zone 'UTC')::date;
    hour_ago timestamptz := at_time - interval '1 hour';
begin
    if ops.realtime_is_fresh() then
        return false;
    end if;
    -- Whoever comes while another counts waits for it only where there is nothing to show yet.
    if not pg_try_advisory_xact_lock(hashtextextended('realtime', 0)) then
        if exists (select from ops.platform_metrics_realtime) then
            return false;
        end if;
        perform pg_advisory_xact_lock(hashtextextended('realtime', 0));
        if ops.realtime_is_fresh() then
            return false;
        end if;
    end if;

    -- Days stand in the statement as literals, so that only their partitions are planned for.
    execute format(
        $sql$
            with waiting as materialized (
                select
                    e.event_id,
                    e.payload ->> 'event_type' as event_type,
                    e.payload ->> 'user_id' as user_id,
                    ops.try_timestamptz(e.payload ->> 'timestamp') as happened_at
                from (
                    -- The newest, so that an inbox no run empties costs no more than this.
                    select event_id, payload
                    from inbox.entries
                    where kind = 'event' and event_id is not null
                    order by seq desc
                    limit 100000
                ) as e
            ),

            active_users as (
                select user_id
                from raw.platform_events
                where
                    day in (%1$L, %2$L)
                    and "timestamp" > %4$L
                    and "timestamp" <= %5$L
                union
                select user_id
                from waiting
                where happened_at > %4$L and happened_at <= %5$L
            ),

            counted_types (metric_key, event_type) as (
                values
                ('projects_created_today', 'project.created'),
                ('proposals_submitted_today', 'proposal.submitted'),
                ('searches_today', 'search.performed'),
                ('searches_today', 'search_performed'),
                ('installs_today', 'server_installed')
            ),

            -- An event sent again after it was loaded is in both places.
            today_events as (
                select event_type, event_id
                from raw.platform_events
                where day = %1$L and event_type in (select event_type from counted_types)
                union
                select event_type, event_id
                from waiting
                where
                    happened_at >= %1$L and happened_at < %3$L
                    and event_type in (select event_type from counted_types)
            ),

            counted as (
                select
                    'active_users_last_hour' as metric_key,
                    count(user_id) as metric_value
                from active_users
                union all
                select
                    counted_types.metric_key,
                    count(today_events.event_id)
                from counted_types
                left join today_events on today_events.event_type = counted_types.event_type
                group by counted_types.metric_key
            )

            insert into ops.platform_metrics_realtime as known
                (metric_key, metric_value, calculated_at, expires_at)
            select metric_key, metric_value, clock_timestamp(), clock_timestamp() + $1
            from counted
            order by metric_key
            on conflict (metric_key) do update
            set
                metric_value = excluded.metric_value,
                calculated_at = excluded.calculated_at,
                expires_at = excluded.expires_at
        $sql$,
        today, today - 1, today + 1, hour_ago, at_time
    ) using fresh_for;
    return true;
end
$$;

create or replace function ops.realtime_is_fresh()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(bool_and(expires_at > clock_timestamp()), false)
    from ops.platform_metrics_realtime
$$;

-- Forget numbers that have expired; how many.
create or replace function ops.clean_realtime()
returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    with gone as (
        delete from ops.platform_metrics_realtime
        where expires_at <= clock_timestamp()
        returning 1
    )
    select count(*) from gone
$$;
