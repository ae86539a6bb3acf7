"""Which stage a table's rows go through.

Belongs here: that choice. Does not: the stages. Invariant: every table of a contract has one.
"""

from __future__ import annotations

from analytics_assets.sources.config import TableName
from analytics_assets.sources.contract import CONTRACTS
from analytics_assets.sources.stage_events import EventStage
from analytics_assets.sources.stage_histories import HistoryStage
from analytics_assets.sources.stage_records import RecordStage
from analytics_assets.sources.staging import LoadRules, PartitionMaker, Stage


def stage_for(table: TableName, rules: LoadRules, partitions: PartitionMaker) -> Stage:
    """A new stage, whose temporary tables are still to be created on a connection."""
    contract = CONTRACTS[table]
    if table == "platform_events":
        return EventStage(contract, rules, partitions)
    if table in {"users", "servers"}:
        return HistoryStage(contract, rules, partitions)
    return RecordStage(contract, rules, partitions)
