"""Jobs: which assets run together.

Belongs here: selections. Does not: when they run (schedules.py, sensors.py). Invariant: every job
runs in one process and every range of days is one run.
https://docs.dagster.io/guides/build/jobs/asset-jobs
"""

from __future__ import annotations

import dagster as dg

EVERYTHING = "materialize_everything"
REFRESH = "refresh"
RETENTION = "retention"

# A process per step costs 5-8 s each; every step is bound by SQL or by the model's answers.
EXECUTOR = dg.in_process_executor


def build_jobs(daily: dg.DailyPartitionsDefinition) -> list[dg.UnresolvedAssetJobDefinition]:
    everything = dg.AssetSelection.all()
    retention = dg.AssetSelection.groups("retention")
    llm = dg.AssetSelection.assets(
        ["insights", "conversation_facets"],
        ["insights", "analysis_cache"],
        ["insights", "clusters"],
        ["insights", "use_cases"],
        ["insights", "feature_requests"],
        ["insights", "friction_points"],
        ["insights", "segments"],
        ["insights", "personas"],
    )
    return [
        dg.define_asset_job(
            EVERYTHING,
            selection=everything,
            partitions_def=daily,
            executor_def=EXECUTOR,
            description="Every asset for a day or a range of days, in one run.",
        ),
        dg.define_asset_job(
            REFRESH,
            selection=everything - retention - llm,
            partitions_def=daily,
            executor_def=EXECUTOR,
            description="Load and rebuild, without model calls and without pruning.",
        ),
        dg.define_asset_job(
            RETENTION,
            selection=retention,
            partitions_def=daily,
            executor_def=EXECUTOR,
            description="Drop partitions past the cut-off of their class.",
        ),
    ]
