"""What materializing partitions means: everything committed in the source when it starts is in the destination.

It works beside the running sequencer and sync workers, through the same locks and leases; what they are at already is
waited for, not done twice. Dagster comes in one layer above.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import psycopg

from dbsync_pipeline.defs.ledger import Advance, Ledger
from dbsync_pipeline.destinations.configured import ExternalDatabase, databases_of
from dbsync_pipeline.engine.cycle import Selection, SyncCycle
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pending.standing import Standing, standings
from dbsync_pipeline.pipeline import Pipeline

_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Outcome:
    """How each tenancy ended: where it stands now, or why it does not."""

    advances: dict[str, Advance]
    failed: dict[str, str]


def catch_up(
    pipeline: Pipeline,
    mapping_id: str,
    tenancies: list[str],
    *,
    stop: Event,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Number what waits, then deliver to ClickHouse, or await, what the tenancies lack of one mapping.

    Args:
        pipeline: the deployment.
        mapping_id: the mapping.
        tenancies: ids as text.
        stop: set it to end early; what was not reached then counts as failed.
        clock: a monotonic clock.

    Raises:
        UnreachableError: the source or ClickHouse does not answer.
        NotInstalledError: source or ClickHouse lack what `dbsync init` makes.
    """
    patience = _number(pipeline, mapping_id, stop, clock)
    with pipeline.clickhouse_worker(Selection(tenancies, [mapping_id])) as worker:
        return _bring_up(pipeline, worker, _Errand(CLICKHOUSE, mapping_id, tenancies, patience), stop, clock)


def catch_up_externally(
    pipeline: Pipeline,
    mapping_id: str,
    tenancies: list[str],
    *,
    stop: Event,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, dict[str, Outcome]]:
    """Do the same for the databases of the tenancies' owners, several at a time.

    Returns:
        Tenancy -> destination -> outcome; nothing for a tenancy without a database that receives the mapping.

    Raises:
        UnreachableError: the source does not answer.
        NotInstalledError: the source lacks what `dbsync init` makes.
    """
    patience = _number(pipeline, mapping_id, stop, clock)
    with pipeline.source("catch up") as connection:
        found = databases_of(connection, tenancies)
    wanted = [entry for entry in found if entry.enabled and entry.receives(mapping_id)]

    def serve(database: ExternalDatabase) -> Outcome:
        tenancy = str(database.tenancy_id)
        with pipeline.external_worker(database.destination_id, Selection([tenancy], [mapping_id])) as worker:
            errand = _Errand(database.destination_id, mapping_id, [tenancy], patience)
            return _bring_up(pipeline, worker, errand, stop, clock)

    outcomes: dict[str, dict[str, Outcome]] = {tenancy: {} for tenancy in tenancies}
    with ThreadPoolExecutor(pipeline.settings.external_workers, thread_name_prefix="dbsync external") as threads:
        for database, outcome in zip(wanted, threads.map(serve, wanted), strict=True):
            outcomes[str(database.tenancy_id)][database.destination_id] = outcome
    return outcomes


@dataclass(frozen=True)
class _Errand:
    """Which tenancies to bring up to date where, and for how long to wait without any of them moving."""

    destination_id: str
    mapping_id: str
    tenancies: list[str]
    patience_seconds: float


def _bring_up(
    pipeline: Pipeline, worker: SyncCycle, errand: _Errand, stop: Event, clock: Callable[[], float]
) -> Outcome:
    ledger = Ledger()
    failed: dict[str, str] = {}
    patience = errand.patience_seconds
    with pipeline.source("catch up") as connection:
        worker.retry_now()
        before = standings(connection, errand.destination_id, errand.mapping_id, errand.tenancies)
        goals = {tenancy: entry.wanted for tenancy, entry in before.items() if entry.wanted > entry.reached}
        seen = {tenancy: before[tenancy] for tenancy in goals}
        deadline = clock() + patience
        while goals and not stop.is_set() and clock() < deadline:
            if _deliver(worker, goals, failed, ledger) or _look(connection, errand, goals, failed, seen):
                deadline = clock() + patience
            elif goals:
                stop.wait(_PAUSE_SECONDS)
        after = standings(connection, errand.destination_id, errand.mapping_id, errand.tenancies)
    for tenancy in goals:
        failed[tenancy] = f"another worker holds it and has not moved for {patience:g} seconds"
    delivered = {str(pair.tenancy_id): advance for pair, advance in ledger.take(ledger.outstanding)}
    advances: dict[str, Advance] = {}
    for tenancy in errand.tenancies:
        if tenancy not in failed:
            reached = after[tenancy].reached if tenancy in after else 0
            advances[tenancy] = delivered.get(tenancy, Advance(errand.destination_id, reached, reached))
    return Outcome(advances, failed)


def _number(pipeline: Pipeline, mapping_id: str, stop: Event, clock: Callable[[], float]) -> float:
    """Run or await passes until one has left nothing behind of what was there when it began.

    Returns:
        For how many seconds whoever holds a pair may not move before it has lost its lease.

    Raises:
        DbsyncError: the mapping's own table cannot be numbered.
    """
    patience = 2 * pipeline.settings.lease_seconds
    table = str(pipeline.catalog.mapping(mapping_id).source)
    deadline = clock() + patience
    with pipeline.sequencer() as sequencer:
        while not stop.is_set() and clock() < deadline:
            result = sequencer.run_pass()
            if table in result.errors:
                raise DbsyncError(f"rows of {table} cannot be numbered: {result.errors[table]}")
            # A pass that has filled no batch has left nothing behind, whatever has come in since.
            if not result.locked_out and not result.filled:
                break
            if result.locked_out:
                stop.wait(_PAUSE_SECONDS)
    return patience


def _deliver(worker: SyncCycle, goals: dict[str, int], failed: dict[str, str], ledger: Ledger) -> bool:
    """Do one turn, strike off what is reached or failed, and return whether there was anything to do."""
    results = worker.run_once()
    ledger.add(results)
    for result in results:
        tenancy = str(result.item.tenancy_id)
        if result.delivery.error is not None:
            failed[tenancy] = result.delivery.error
            goals.pop(tenancy, None)
        elif result.delivery.reached >= goals.get(tenancy, 0):
            failed.pop(tenancy, None)
            goals.pop(tenancy, None)
    return bool(results)


def _look(
    connection: psycopg.Connection,
    errand: _Errand,
    goals: dict[str, int],
    failed: dict[str, str],
    seen: dict[str, Standing],
) -> bool:
    """Strike off what others have reached, or given up for now, and return whether any of it has moved."""
    found = standings(connection, errand.destination_id, errand.mapping_id, list(goals))
    moved = False
    for tenancy, goal in list(goals.items()):
        standing = found.get(tenancy)
        moved |= standing is None or _moved(seen[tenancy], standing)
        if standing is not None:
            seen[tenancy] = standing
        if standing is not None and standing.reached < goal:
            if standing.paused:
                failed[tenancy] = "it is paused"
            elif standing.resting_after is not None:
                failed[tenancy] = standing.resting_after
            else:
                continue
        del goals[tenancy]
    return moved


def _moved(before: Standing, now: Standing) -> bool:
    """Whether a pair has come further, or somebody is at it: a lease is renewed within a long turn."""
    return now.reached > before.reached or (now.lease_until is not None and now.lease_until != before.lease_until)
