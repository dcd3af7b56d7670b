"""Keeps a failed check in sight while its asset lives on.

Dagster shows a verdict until any partition of the asset is materialized later by another run, which for a copy that is
being written to is a matter of seconds. So a run that records materializations says itself what has failed, and until
it passes.
"""

from collections.abc import Iterable

import dagster as dg

EQUALS_SOURCE = "equals_source"
"""Name of the check of what a copy holds."""

UP_TO_DATE = "up_to_date"
"""Name of the check of how far a copy is behind."""


class Failures:
    """What one run says again of the assets that it materializes."""

    def __init__(self, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
        self._instance = instance
        self._run = run
        self._said: set[dg.AssetCheckKey] = set()

    def repeat(self, keys: Iterable[dg.AssetKey]) -> None:
        """Record the newest verdicts of the checks of some assets as they were, if they are failures and not its own.

        What a run has said itself is in sight for as long as its materializations are the newest, but it can say it
        once only. A verdict that came after that is recorded without a run, each time for the newest of them.
        """
        checks = [dg.AssetCheckKey(key, name) for key in keys for name in (EQUALS_SOURCE, UP_TO_DATE)]
        newest = self._instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
        for check, record in newest.items():
            # One that is being evaluated has no verdict yet, and will have one of its own.
            verdict = record.event.asset_check_evaluation if record.event is not None else None
            if verdict is None or verdict.passed or record.run_id == self._run.run_id:
                continue
            again = self._of_newest(verdict)
            if check in self._said:
                self._instance.report_runless_asset_event(again)
                continue
            self._said.add(check)
            event = dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
                job_name=self._run.job_name,
                event_specific_data=again,
            )
            self._instance.report_dagster_event(event, self._run.run_id)

    def _of_newest(self, verdict: dg.AssetCheckEvaluation) -> dg.AssetCheckEvaluation:
        """Return a failure as one of the asset as it is now: Dagster hides those of an earlier materialization."""
        target = verdict.target_materialization_data
        if target is not None:
            newest = self._instance.fetch_materializations(verdict.asset_key, limit=1).records[0]
            target = type(target)(storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp)
        return dg.AssetCheckEvaluation(
            asset_key=verdict.asset_key,
            check_name=verdict.check_name,
            passed=False,
            metadata=verdict.metadata,
            target_materialization_data=target,
            severity=verdict.severity,
            description=verdict.description,
        )
