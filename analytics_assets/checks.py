"""Asset checks that block what comes after them.

Belongs here: which check guards which asset. Does not: how it is computed (privacy/, events/).
Invariant: no check catches an error of its own and calls it a result; facts name nobody.
https://docs.dagster.io/guides/test/asset-checks
"""

from collections.abc import Iterator

import dagster as dg

from analytics_assets.assets.retention import released_keys
from analytics_assets.partitions import window_of
from analytics_assets.resources import Platform

EVENTS = dg.AssetKey(["raw", "platform_events"])
AGGREGATIONS = dg.AssetKey(["marts", "event_aggregations"])
REPORT = dg.AssetKey(["retention", "compliance_report"])
MOST_TRACES = 20


def build_checks() -> list[dg.AssetChecksDefinition]:
    # On the accepted events, not on the rejected: it is they that everything is built on.
    @dg.asset_check(asset=EVENTS, blocking=True, description="At most 5 % were rejected.")
    def rejected_share(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        from analytics_assets.events.quality import rejected_share

        with platform.connect() as connection:
            outcome = rejected_share(connection, window_of(context))
        return _result(outcome.passed, outcome.explanation, outcome.facts)

    @dg.asset_check(asset=EVENTS, description="The newest event is at most 26 hours old.")
    def freshness(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        from analytics_assets.events.quality import freshness

        with platform.connect() as connection:
            outcome = freshness(connection, platform.settings.now())
        return _result(
            outcome.passed, outcome.explanation, outcome.facts, dg.AssetCheckSeverity.WARN
        )

    @dg.asset_check(asset=AGGREGATIONS, description="No day has far more or fewer events.")
    def row_count_anomaly(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        from analytics_assets.events.quality import row_count_anomaly

        with platform.connect() as connection:
            outcome = row_count_anomaly(connection, window_of(context), platform.settings.now())
        return _result(
            outcome.passed, outcome.explanation, outcome.facts, dg.AssetCheckSeverity.WARN
        )

    released = released_keys()
    return [
        rejected_share,
        freshness,
        row_count_anomaly,
        *(_floor_check(key) for key in released),
        *(_forbidden_check(key) for key in released),
        _audit_check(released),
        _traces_check(),
    ]


def _traces_check() -> dg.AssetChecksDefinition:
    # Daily, with the report: nothing is built on records and logs that it could keep from being
    # built, but a failed check is seen.
    @dg.asset_check(
        asset=REPORT,
        name="no_traces_of_people",
        blocking=True,
        description="Nothing in Dagster's records or in the logs could name a person.",
    )
    def no_traces_of_people(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        from analytics_assets.privacy.trace_files import platform_logs
        from analytics_assets.privacy.traces import scan_traces
        from analytics_assets.settings import own_folders

        settings = platform.settings
        with platform.connect() as connection:
            scan = scan_traces(
                platform.database,
                connection,
                logs=platform_logs(settings.home, settings.dagster_home_dir),
                own_folders=own_folders(settings),
            )
        shown = [str(trace) for trace in scan.findings[:MOST_TRACES]]
        more = len(scan.findings) - len(shown)
        return _result(
            not scan.findings,
            "; ".join(shown) + (f"; and {more} more in ops.trace_findings" if more else "")
            or "nothing found",
            {"records_read": scan.records, "log_lines_read": scan.log_lines},
        )

    return no_traces_of_people


def _audit_check(released: list[dg.AssetKey]) -> dg.AssetChecksDefinition:
    # One step for all tables: the attacks that link them need all, and each step costs.
    @dg.multi_asset_check(
        name="audit",
        specs=[
            dg.AssetCheckSpec(
                "audit",
                asset=key,
                description="No attack on the newest release succeeds (docs/privacy.md).",
            )
            for key in released
        ],
    )
    def audit(platform: dg.ResourceParam[Platform]) -> Iterator[dg.AssetCheckResult]:
        from analytics_assets.privacy.audit.battery import audit_deployment
        from analytics_assets.privacy.audit.traces import folders_of
        from analytics_assets.privacy.plan import shipped_plan

        for key in released:
            found = audit_deployment(
                platform.database,
                shipped_plan(),
                platform.settings.now(),
                tables=[".".join(key.path)],
                # Logs are of no one table: read once.
                artifacts=folders_of(platform.settings) if key == released[0] else None,
            )
            lost = sorted({o.attack for o in found if o.verdict == "broken"})
            held = {o.attack for o in found if o.verdict == "held"}
            # Names of attacks and no figure: even a rate of one small day may be about a few.
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name="audit",
                passed=not lost,
                description=", ".join(lost) + " succeeded: see docs/privacy.md"
                if lost
                else "no attack succeeded",
                metadata={"attacks_held": len(held), "attacks_broken": len(lost)},
            )

    return audit


def _floor_check(key: dg.AssetKey) -> dg.AssetChecksDefinition:
    table = ".".join(key.path)

    @dg.asset_check(
        asset=key,
        name="k_floor",
        blocking=True,
        description="Every class has more than 10 people and stands in the ledger.",
    )
    def k_floor(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        from analytics_assets.privacy.floor import k_floor_violations

        with platform.connect() as connection:
            violations = k_floor_violations(connection, table)
        return _result(not violations, "; ".join(violations) or "all classes hold", {})

    return k_floor


def _forbidden_check(key: dg.AssetKey) -> dg.AssetChecksDefinition:
    schema, table = key.path

    @dg.asset_check(
        asset=key,
        name="forbidden_columns",
        blocking=True,
        description="No column or value that could name a person.",
    )
    def forbidden_columns(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        from analytics_assets.privacy.forbidden import scan

        with platform.connect() as connection:
            findings = [str(f) for f in scan(connection, tables=[(schema, table)])]
        return _result(not findings, "; ".join(findings) or "nothing found", {})

    return forbidden_columns


def _result(
    passed: bool,
    explanation: str,
    facts: dict[str, float | int | str],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed, severity=severity, description=explanation, metadata=dict(facts)
    )
