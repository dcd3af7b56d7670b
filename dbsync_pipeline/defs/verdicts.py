"""Keeps a failed check in sight while its asset lives on.

Dagster shows a verdict until any partition of the asset is materialized later, which for a copy that is being written
to is a matter of seconds. So whoever records materializations says again what has failed, and until it passes.
"""

from collections.abc import Iterable

import dagster as dg

EQUALS_SOURCE = "equals_source"
"""Name of the check of what a copy holds."""

UP_TO_DATE = "up_to_date"
"""Name of the check of how far a copy is behind."""


def repeat_failures(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> None:
    """Record the newest verdicts of the checks of some assets again, as they were, if they are failures."""
    checks = [dg.AssetCheckKey(key, name) for key in keys for name in (EQUALS_SOURCE, UP_TO_DATE)]
    for record in instance.event_log_storage.get_latest_asset_check_execution_by_key(checks).values():
        # One that is being evaluated has no verdict yet, and will have one of its own.
        verdict = record.event.asset_check_evaluation if record.event is not None else None
        if verdict is not None and not verdict.passed:
            again = dg.AssetCheckEvaluation(
                asset_key=verdict.asset_key,
                check_name=verdict.check_name,
                passed=False,
                metadata=verdict.metadata,
                severity=verdict.severity,
                description=verdict.description,
            )
            instance.report_runless_asset_event(again)
