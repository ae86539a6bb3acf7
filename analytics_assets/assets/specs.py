"""What all asset specs share: owners, kinds and table schemas as the models declare them.

Belongs here: static facts about tables. Does not: facts of a run. Invariant: making a spec loads
neither SQLAlchemy nor a driver.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from analytics_assets.assets.table_facts import table_facts

OWNERS = ["team:analytics"]


def column_schema(schema: str, table: str) -> dg.TableSchema:
    """Dagster's view of a table's columns."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in table_facts(schema, table).columns
        ]
    )


def table_spec(schema: str, table: str, *, kinds: set[str], **options: Any) -> dg.AssetSpec:
    """The spec of a table that Alembic creates."""
    return dg.AssetSpec(
        key=dg.AssetKey([schema, table]),
        group_name=schema,
        description=table_facts(schema, table).description,
        owners=OWNERS,
        kinds={"postgres", *kinds},
        metadata={"dagster/column_schema": column_schema(schema, table)},
        **options,
    )
