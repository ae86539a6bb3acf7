-- What has been spent of people's privacy, held by the database whatever code runs above it.

-- Epsilons of one person-week add up over tables; beyond 1.5 nothing more may be told of that week.
create or replace function ops.refuse_overspending()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Of two at once the second sees what the first has spent.
    perform pg_advisory_xact_lock(hashtextextended('ops.dp_ledger', 0));
    if (
        select sum(spent.epsilon)
        from ops.dp_ledger as spent
        where spent.unit = new.unit and spent.period = new.period
    ) > 1.5 then
        raise exception
            'release refused: the privacy budget of % % is 1.5; take the word epsilon from a table '
            'of privacy/plan.yaml, or make it smaller', new.unit, new.period
            using errcode = 'check_violation';
    end if;
    return null;
end
$$;
revoke all on function ops.refuse_overspending() from public;
grant execute on function ops.refuse_overspending() to analytics_pipeline;

create or replace trigger refuse_overspending
after insert on ops.dp_ledger
for each row execute function ops.refuse_overspending();
create or replace trigger refuse_rewriting
before update or delete or truncate on ops.dp_ledger
for each statement execute function vault.refuse('the budget ledger only grows');
