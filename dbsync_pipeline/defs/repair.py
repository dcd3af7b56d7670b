"""Has what a check found to differ delivered again within its run, and says what did not get there.

The rows were marked by `verify`, and are delivered as whatever is pending; here it is only seen to that this happens
now, whether the sensors are on or not.
"""

from collections.abc import Sequence
from threading import Event

from dbsync_pipeline.defs.catch_up import Outcome, catch_up, catch_up_externally
from dbsync_pipeline.destinations.configured import databases_of
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.verify.differences import Verified
from dbsync_pipeline.verify.record import read_last
from dbsync_pipeline.verify.scope import Scope


def deliver_again(
    pipeline: Pipeline, mapping_id: str, scope: Scope, differing: Sequence[Verified], *, stop: Event
) -> dict[str, str]:
    """Number and deliver, or await, what was marked of one mapping in its copies of one kind.

    Args:
        pipeline: the deployment.
        mapping_id: the mapping.
        scope: what was looked at.
        differing: the copies that differed; what was found has been recorded.
        stop: set it to end early; what was not reached then counts as failed.

    Returns:
        Destination -> why it does not have all of it.
    """
    destinations = [entry.destination_id for entry in differing]
    outcomes: dict[str, Outcome] = {}
    try:
        if CLICKHOUSE in destinations:
            tenancies = _tenancies(pipeline, mapping_id, scope, differing)
            outcomes[CLICKHOUSE] = catch_up(pipeline, mapping_id, tenancies, stop=stop)
        else:
            for by_database in catch_up_externally(
                pipeline, mapping_id, _owners(pipeline, destinations), stop=stop
            ).values():
                outcomes |= by_database
    except DbsyncError as error:
        return dict.fromkeys(destinations, str(error))
    return {destination_id: _reason(outcome) for destination_id, outcome in outcomes.items() if outcome.failed}


def _tenancies(pipeline: Pipeline, mapping_id: str, scope: Scope, differing: Sequence[Verified]) -> list[str]:
    """Return whose rows differed: only some of the rows are listed, and nothing is recorded of who never was."""
    with pipeline.source("repair") as connection:
        recorded = read_last(
            connection,
            pipeline.catalog.select([mapping_id]),
            tenancies=scope.ids(connection),
            destinations=[CLICKHOUSE],
            differing=True,
        )
        known = {entry.tenancy for entry in recorded}
    return sorted(known | {difference.tenancy for entry in differing for difference in entry.differences})


def _owners(pipeline: Pipeline, destinations: Sequence[str]) -> list[str]:
    with pipeline.source("repair") as connection:
        return sorted(
            {str(entry.tenancy_id) for entry in databases_of(connection) if entry.destination_id in destinations}
        )


def _reason(outcome: Outcome) -> str:
    tenancy, reason = next(iter(outcome.failed.items()))
    more = len(outcome.failed) - 1
    return f"Not to tenancy {tenancy}: {reason}{f'; nor to {more:,} more' if more else ''}"
