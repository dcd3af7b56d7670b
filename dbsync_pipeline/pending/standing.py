"""How single pairs stand in the queue, for who waits for them or their workers; `due` is for who works through all."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from dbsync_pipeline.mappings.spec import TenancyId
from dbsync_pipeline.pending.due import ALIVE, WORKER_LOCK_CLASS

_STANDINGS = """
select tenancy_id, wanted, reached, paused, lease_until,
    case when next_attempt_at > clock_timestamp() then last_error end as resting_after
from dbsync.pending
where destination_id = %(destination)s and mapping_id = %(mapping)s and tenancy_id::text = any(%(tenancies)s)
"""


@dataclass(frozen=True)
class Standing:
    """One tenancy's row in the queue of a mapping and destination.

    Attributes:
        wanted: sequence id to reach.
        reached: sequence id up to which everything is durable in the destination.
        lease_until: grows while a worker is at it.
        resting_after: the error after which it rests until its next attempt; None when it does not rest.
    """

    tenancy_id: TenancyId
    wanted: int
    reached: int
    paused: bool
    lease_until: datetime | None
    resting_after: str | None


def standings(
    connection: psycopg.Connection, destination_id: str, mapping_id: str, tenancies: list[str]
) -> dict[str, Standing]:
    """Return how tenancies stand, by their ids as text; one that never had anything to deliver is not among them."""
    with connection.cursor(row_factory=class_row(Standing)) as cursor:
        parameters = {"destination": destination_id, "mapping": mapping_id, "tenancies": tenancies}
        return {str(standing.tenancy_id): standing for standing in cursor.execute(_STANDINGS, parameters)}


_OF_DESTINATION = """
select mapping_id, wanted, attempts, nullif(next_attempt_at, '-infinity') as next_attempt_at, last_error
from dbsync.pending where destination_id = %s
"""


@dataclass(frozen=True)
class DestinationStanding:
    """One mapping's row in the queue of a destination of one tenancy.

    Attributes:
        wanted: sequence id to reach.
        attempts: how often it has been tried since it last succeeded.
        next_attempt_at: when it may be tried again; None when at once.
        last_error: why the last attempt failed, if it did.
    """

    mapping_id: str
    wanted: int
    attempts: int
    next_attempt_at: datetime | None
    last_error: str | None


def standings_of(connection: psycopg.Connection, destination_id: str) -> dict[str, DestinationStanding]:
    """Return how the mappings stand, by their ids; those that never had anything to deliver are not among them."""
    with connection.cursor(row_factory=class_row(DestinationStanding)) as cursor:
        return {standing.mapping_id: standing for standing in cursor.execute(_OF_DESTINATION, [destination_id])}


_IS_CLAIMED = (
    ALIVE
    + """
select exists (select from dbsync.destination d join dbsync.pending p using (destination_id)
    join alive on alive.worker = p.lease_worker
    -- Those that may have the tenancy, and its id as what it is: no index serves its text, or the tenancy alone.
    where (d.tenancy_id is null or d.tenancy_id = %(tenancy)s) and p.tenancy_id = %(tenancy)s)
"""
)


def is_claimed(connection: psycopg.Connection, tenancy: str) -> bool:
    """Tell whether a living worker has claimed anything of a tenancy, by its id as text, its lease over or not."""
    parameters = {"lock_class": WORKER_LOCK_CLASS, "tenancy": tenancy}
    return connection.execute(_IS_CLAIMED, parameters).fetchone() == (True,)
