"""Assets of zone ``insights`` that need no model: predictions, signals, anomalies, answers.

Belongs here: the stages as Dagster sees them. Does not: statistics (insights/). Invariant: too
little history or a missing table never fails a run; the metadata say what is missing.
"""

import dagster as dg

from analytics_assets.assets.specs import table_spec
from analytics_assets.partitions import SINGLE_RUN, window_of
from analytics_assets.resources import Platform


def answers_assets(daily: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    returns_spec = table_spec(
        "insights",
        "return_predictions",
        kinds={"python", "scikitlearn"},
        deps=[
            ["insights", "user_activity"],
            ["insights", "conversation_facets"],
            ["raw", "users"],
        ],
        partitions_def=daily,
    )
    payment_spec = table_spec(
        "insights",
        "payment_signals",
        kinds={"sql"},
        deps=[["insights", "user_activity"], ["raw", "users"]],
        partitions_def=daily,
    )
    anomalies_spec = table_spec(
        "insights",
        "metric_anomalies",
        kinds={"python"},
        deps=[["marts", "daily_metrics"]],
        partitions_def=daily,
    )
    success_spec = table_spec(
        "insights",
        "success_metrics",
        kinds={"python"},
        deps=[
            ["insights", "conversation_facets"],
            ["insights", "user_activity"],
            ["insights", "return_predictions"],
            ["insights", "payment_signals"],
            ["insights", "use_cases"],
            ["insights", "friction_points"],
            ["insights", "feature_requests"],
            ["insights", "personas"],
        ],
        partitions_def=daily,
    )

    @dg.multi_asset(name="return_predictions", specs=[returns_spec], backfill_policy=SINGLE_RUN)
    def return_predictions(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        from analytics_assets.insights.returns.predictions import predict_window

        outcome = predict_window(platform.database, window_of(context), platform.settings)
        return dg.MaterializeResult(asset_key=returns_spec.key, metadata=outcome.metadata())

    @dg.multi_asset(name="payment_signals", specs=[payment_spec], backfill_policy=SINGLE_RUN)
    def payment_signals(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        from analytics_assets.insights.answers.payment_signals import signal_window

        outcome = signal_window(platform.database, window_of(context), platform.settings)
        return dg.MaterializeResult(asset_key=payment_spec.key, metadata=outcome.metadata())

    @dg.multi_asset(name="metric_anomalies", specs=[anomalies_spec], backfill_policy=SINGLE_RUN)
    def metric_anomalies(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        from analytics_assets.insights.answers.metric_anomalies import watch_window

        outcome = watch_window(platform.database, window_of(context), platform.settings)
        return dg.MaterializeResult(asset_key=anomalies_spec.key, metadata=outcome.metadata())

    @dg.multi_asset(name="success_metrics", specs=[success_spec], backfill_policy=SINGLE_RUN)
    def success_metrics(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        from analytics_assets.insights.answers.success_metrics import answer_window

        outcome = answer_window(platform.database, window_of(context), platform.settings)
        return dg.MaterializeResult(asset_key=success_spec.key, metadata=outcome.metadata())

    return [return_predictions, payment_signals, metric_anomalies, success_metrics]
