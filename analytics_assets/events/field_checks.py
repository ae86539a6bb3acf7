"""Fields of ``event_data`` checked in SQL: there, of the right type, within the limits.

Belongs here: one schema in, its checks out. Does not: which schema a row has (``validation``).
Invariant: messages name the field, what was expected and the JSON type that came, never a value;
a cast is only reached by a value of the type it is for, so that no check can raise.
"""

from __future__ import annotations

from typing import Final

from psycopg import sql

from analytics_assets.events.catalogue import EventSchema, Field
from analytics_assets.events.sql_text import Check, first_true, number, problem, text, texts

# Integers are those a double holds exactly, so that JavaScript, bigint and double all agree.
LARGEST_INTEGER: Final = 2**53 - 1
MOST_VALUES_NAMED: Final = 20
JSON_TYPES: Final = {"integer": "number"}
NAMES: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
}
_NOT_A_TYPE: Final = 'strict $[*] ? (@.type() != "{}")'
_NOT_AN_INTEGER: Final = 'strict $[*] ? (@.type() != "number" || @.floor() != @)'


def field_checks(schema: EventSchema, row: sql.Composable) -> list[Check]:
    """Conditions that are true for a bad field, in the schema's order, each with its problem.

    Null counts as left out: as absent for an optional field, as missing for a required one.
    """
    return [
        _field_check(schema.event_type, name, field, row) for name, field in schema.fields.items()
    ]


def _field_check(event_type: str, name: str, field: Field, row: sql.Composable) -> Check:
    value = sql.SQL("({row}.event_data -> {name})").format(row=row, name=text(name))
    json_type = JSON_TYPES.get(field.type, field.type)
    limits = _limit_checks(name, field, value, row)
    broken = sql.SQL(" or ").join([condition for condition, _ in limits]) if limits else None
    # One look at the type decides the ordinary row; what exactly is wrong is found out afterwards.
    condition = sql.SQL(
        "case jsonb_typeof({value}) when {type} then {broken}{null_passes} else {otherwise} end"
    ).format(
        value=value,
        type=sql.Literal(json_type),
        broken=broken or sql.SQL("false"),
        null_passes=sql.SQL("" if field.required else " when 'null' then false"),
        otherwise=sql.SQL("true") if field.required else sql.SQL("{} is not null").format(value),
    )
    wrong_type = sql.SQL("{start} || jsonb_typeof({value})").format(
        start=problem("wrong_type", f"event_data.{name} must be {NAMES[field.type]}, got "),
        value=value,
    )
    details: list[Check] = [
        (
            sql.SQL("coalesce(jsonb_typeof({value}), 'null') = 'null'").format(value=value),
            problem("missing_field", f"event_data.{name} is required by {event_type}"),
        ),
        (
            sql.SQL("jsonb_typeof({value}) <> {type}").format(
                value=value, type=sql.Literal(json_type)
            ),
            wrong_type,
        ),
        *limits,
    ]
    return condition, first_true(details)


def _limit_checks(
    name: str, field: Field, value: sql.Composable, row: sql.Composable
) -> list[Check]:
    """Limits of a value that is already known to have the right JSON type."""
    if field.type in {"integer", "number"}:
        return _numeric_limits(name, field, value)
    if field.type == "array":
        return _item_limits(name, field, value)
    if field.type == "string":
        return _text_limits(name, field, row)
    return []


def _numeric_limits(name: str, field: Field, value: sql.Composable) -> list[Check]:
    integer = field.type == "integer"
    low = -LARGEST_INTEGER if integer and field.minimum is None else field.minimum
    high = LARGEST_INTEGER if integer and field.maximum is None else field.maximum
    outside: list[sql.Composable] = []
    if low is not None:
        outside.append(sql.SQL("{value}::numeric < {}").format(number(low), value=value))
    if high is not None:
        outside.append(sql.SQL("{value}::numeric > {}").format(number(high), value=value))
    checks: list[Check] = []
    if outside:
        message = f"event_data.{name} must be {_range(field, low, high)}"
        checks.append((sql.SQL(" or ").join(outside), problem("out_of_range", message)))
    if integer:
        checks.append(
            (
                sql.SQL("{value}::numeric <> trunc({value}::numeric)").format(value=value),
                problem(
                    "wrong_type",
                    f"event_data.{name} must be an integer, got a number with decimals",
                ),
            )
        )
    if field.enum is not None:
        checks.append(
            (
                sql.SQL("{value}::numeric not in ({allowed})").format(
                    value=value,
                    allowed=sql.SQL(", ").join(
                        [number(allowed) for allowed in field.enum if not isinstance(allowed, str)]
                    ),
                ),
                _not_in_enum(name, field.enum),
            )
        )
    return checks


def _range(field: Field, low: float | None, high: float | None) -> str:
    """The limits in words; those every integer has are named only where there are no others."""
    if field.maximum is None and field.minimum is not None:
        return f"at least {low}"
    if field.minimum is None and field.maximum is not None:
        return f"at most {high}"
    return f"between {low} and {high}"


def _text_limits(name: str, field: Field, row: sql.Composable) -> list[Check]:
    content = sql.SQL("({row}.event_data ->> {name})").format(row=row, name=text(name))
    checks: list[Check] = []
    if field.max_length is not None:
        checks.append(
            (
                # A text cannot be longer than its event: most rows are spared the look.
                sql.SQL(
                    "({row}.byte_size > {limit}) is not false and length({content}) > {limit}"
                ).format(row=row, limit=sql.Literal(field.max_length), content=content),
                problem(
                    "too_long", f"event_data.{name} must have at most {field.max_length} characters"
                ),
            )
        )
    if field.enum is not None:
        allowed = tuple(value for value in field.enum if isinstance(value, str))
        checks.append(
            (
                sql.SQL("{content} not in ({allowed})").format(
                    content=content, allowed=texts(allowed)
                ),
                _not_in_enum(name, field.enum),
            )
        )
    return checks


def _item_limits(name: str, field: Field, value: sql.Composable) -> list[Check]:
    if field.items is None:
        return []
    path = _NOT_AN_INTEGER if field.items == "integer" else _NOT_A_TYPE.format(field.items)
    return [
        (
            sql.SQL("jsonb_path_exists({value}, {path})").format(
                value=value, path=sql.Literal(path)
            ),
            problem("wrong_type", f"every item of event_data.{name} must be {NAMES[field.items]}"),
        )
    ]


def _not_in_enum(name: str, allowed: tuple[str | int | float, ...]) -> sql.Composable:
    named = ", ".join(str(value) for value in allowed[:MOST_VALUES_NAMED])
    more = ", ..." if len(allowed) > MOST_VALUES_NAMED else ""
    return problem("not_in_enum", f"event_data.{name} must be one of {named}{more}")
