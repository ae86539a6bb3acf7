"""What all asset specs share: owners, kinds and table schemas read from the models.

Belongs here: static facts about tables. Does not: facts of a run. Invariant: a table's columns are
written once, in store/models.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

OWNERS = ["team:analytics"]


def column_schema(schema: str, table: str) -> dg.TableSchema:
    """Dagster's view of a table's columns."""
    from analytics_assets.store.models import metadata

    columns = metadata.tables[f"{schema}.{table}"].columns
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                str(column.type).lower(),
                description=column.comment,
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
            )
            for column in columns
        ]
    )


def table_spec(schema: str, table: str, *, kinds: set[str], **options: Any) -> dg.AssetSpec:
    """The spec of a table that Alembic creates."""
    from analytics_assets.store.models import metadata

    model = metadata.tables[f"{schema}.{table}"]
    return dg.AssetSpec(
        key=dg.AssetKey([schema, table]),
        group_name=schema,
        description=model.comment,
        owners=OWNERS,
        kinds={"postgres", *kinds},
        metadata={"dagster/column_schema": column_schema(schema, table)},
        **options,
    )
