"""Makes pairs due again: those that rest after a failure, and those of which a destination has lost what it had."""

import psycopg

_RETRY_NOW = """
with resting as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
    where p.wanted > p.reached and p.next_attempt_at > clock_timestamp()
        and (%(destination)s::text is null or p.destination_id = %(destination)s)
        and (%(tenancies)s::text[] is null or p.tenancy_id::text = any(%(tenancies)s))
        and (%(mappings)s::text[] is null or p.mapping_id = any(%(mappings)s))
    -- The same order as everyone else who changes several of these rows.
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update
)
update dbsync.pending p set next_attempt_at = '-infinity' from resting
where (p.destination_id, p.tenancy_id, p.mapping_id) = (resting.destination_id, resting.tenancy_id, resting.mapping_id)
"""

_BEGIN_AGAIN = """
with mine as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
    where p.destination_id = %(destination)s and p.mapping_id = any(%(mappings)s) and p.reached > 0
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update
)
update dbsync.pending p set reached = 0, pending_since = clock_timestamp()
from mine
where (p.destination_id, p.tenancy_id, p.mapping_id) = (mine.destination_id, mine.tenancy_id, mine.mapping_id)
"""


def retry_now(
    connection: psycopg.Connection,
    *,
    destination_id: str | None = None,
    tenancies: list[str] | None = None,
    mappings: list[str] | None = None,
) -> int:
    """Make what rests after a failure due at once, of some or of all; return how many pairs that were."""
    parameters = {"destination": destination_id, "tenancies": tenancies, "mappings": mappings}
    return connection.execute(_RETRY_NOW, parameters).rowcount


def begin_again(connection: psycopg.Connection, destination_id: str, mappings: list[str]) -> None:
    """Make mappings pending of which the destination has lost what it had; whoever is at one of them goes on."""
    connection.execute(_BEGIN_AGAIN, {"destination": destination_id, "mappings": mappings})
