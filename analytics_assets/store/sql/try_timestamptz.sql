-- The instant of an RFC 3339 timestamp, or null where the text is none: it never raises, so one bad
-- row cannot stop a load. `YYYY-MM-DD`, `T` or a blank, `HH:MM:SS`, a fraction of up to 9 digits
-- (cut to microseconds; rounding could move a row into the next day), then `Z`, `±HH`, `±HHMM`,
-- `±HH:MM` or nothing, which means UTC. Years 0001 to 9999; no 24:00, no leap second, no bare date.
--
-- One expression without subqueries, stable and not strict: only so does the planner inline it
-- (pass a column, not an expression: it is named several times). The pattern checks every range
-- but the length of the month, so that the final cast cannot fail.
create or replace function ops.try_timestamptz(value text) returns timestamptz
language sql stable parallel safe
return case
    when value !~ (
        '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]'
        '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?'
        '([Zz]|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)?$'
    ) then null
    when substr(value, 1, 4) = '0000' then null
    when substr(value, 6, 5) in ('02-30', '02-31', '04-31', '06-31', '09-31', '11-31') then null
    when substr(value, 6, 5) = '02-29'
        and (
            mod(substr(value, 1, 4)::integer, 4) <> 0
            or (
                mod(substr(value, 1, 4)::integer, 100) = 0
                and mod(substr(value, 1, 4)::integer, 400) <> 0
            )
        )
        then null
    else (
        case when length(value) > 26 then regexp_replace(value, '(\.[0-9]{6})[0-9]+', '\1')
        else value end
        || case
            when value like '%Z' or value like '%z' then ''
            when substr(value, 20) like '%+%' or substr(value, 20) like '%-%' then ''
            else 'Z'
        end
    )::timestamptz
end;
