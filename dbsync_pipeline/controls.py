"""What a person stops, lets go on, has tried at once or delivered again, from a terminal or from Dagster.

A pause of delivery is a rule that is kept until it is ended: pairs it concerns are marked in dbsync.pending, which is
all that workers look at, and whoever adds a pair marks it by the rules there are. Rules are changed under the lock of
the sequencer, so that no pair comes to be between the rule and the marks. What a worker has claimed, it finishes;
numbering ends with the pass under way. Nothing is lost by a pause: what comes meanwhile waits.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from dbsync_pipeline.destinations.configured import require_database, require_tenancies
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import CLICKHOUSE, IS_PAUSED, SEQUENCER_LOCK, WAKE_WORKERS
from dbsync_pipeline.pending.again import retry_now

LOCK_SECONDS = 5.0
"""How long the end of a sequencer's batch is waited for."""

_SET_NUMBERING = "update dbsync.sequencer set paused = %(paused)s where paused <> %(paused)s"

_IS_RULE: LiteralString = """
rule.destination_id is not distinct from %(destination)s and rule.tenancy_id::text is not distinct from %(tenancy)s
    and rule.mapping_id is not distinct from %(mapping)s
"""
# What the parameter is, only the table knows.
_ADD_RULE: LiteralString = (
    """
insert into dbsync.pause (destination_id, tenancy_id, mapping_id)
select %(destination)s, (jsonb_populate_record(null::dbsync.pause, jsonb_build_object('tenancy_id', %(tenancy)s::text)))
    .tenancy_id, %(mapping)s
where not exists (select from dbsync.pause rule where
"""
    + _IS_RULE
    + ")"
)
_END_RULE: LiteralString = "delete from dbsync.pause rule where" + _IS_RULE  # noqa: S608 -- likewise

# Written only where it changes; locked in the same order as by everyone else who changes several of these rows.
_MARK_PAIRS: LiteralString = (
    """
with chosen as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
    where (%(destination)s::text is null or p.destination_id = %(destination)s)
        and (%(tenancy)s::text is null or p.tenancy_id::text = %(tenancy)s)
        and (%(mapping)s::text is null or p.mapping_id = %(mapping)s) and p.paused <>
"""  # noqa: S608 -- likewise
    + IS_PAUSED.format("p.destination_id", "p.tenancy_id", "p.mapping_id")
    + """
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update of p
)
update dbsync.pending p set paused = not p.paused from chosen
where (p.destination_id, p.tenancy_id, p.mapping_id) = (chosen.destination_id, chosen.tenancy_id, chosen.mapping_id)
"""
)

# What a destination does not receive now has a new epoch all the same, for when it does again.
_RESYNC: LiteralString = """
with chosen as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id,
        d.enabled and coalesce(d.tenancy_id, p.tenancy_id) = p.tenancy_id
            and (d.mappings is null or p.mapping_id = any(d.mappings)) as receives
    from dbsync.pending p join dbsync.destination d using (destination_id)
    where (%(tenancy)s::text is null or p.tenancy_id::text = %(tenancy)s) and p.mapping_id = any(%(mappings)s)
        and (%(destination)s::text is null or p.destination_id = %(destination)s)
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update of p
), begun as (
    update dbsync.pending p
    set epoch = p.epoch + 1, reached = 0, wanted = case when chosen.receives then s.last_sequence_id else 0 end,
        pending_since = clock_timestamp(), attempts = 0, last_error = null, next_attempt_at = '-infinity',
        lease_worker = null, lease_until = null
    from chosen cross join dbsync.sequencer s
    where (p.destination_id, p.tenancy_id, p.mapping_id)
        = (chosen.destination_id, chosen.tenancy_id, chosen.mapping_id)
    returning chosen.receives
)
select count(*) filter (where receives) from begun
"""


@dataclass(frozen=True)
class Part:
    """Part of what is delivered; None means any, so that a part of nothing but that is everything.

    Attributes:
        tenancy: an id, as text.
        destination_id: `clickhouse`, or the id of an external database.
    """

    tenancy: str | None = None
    mapping_id: str | None = None
    destination_id: str | None = None

    def __str__(self) -> str:
        named = (("tenancy", self.tenancy), ("mapping", self.mapping_id), ("destination", self.destination_id))
        return ", ".join(f"{kind} {value}" for kind, value in named if value is not None) or "everything"


@dataclass(frozen=True)
class Controlled:
    """What a pause or its end came to.

    Attributes:
        pairs: (tenancy, mapping, destination) triples whose delivery has stopped, or may go on.
        paused: all that is paused now, in words.
    """

    pairs: int
    paused: list[str]


def chosen(*, sync: bool, part: Part, sequencer: bool) -> Part | None:
    """Return the part that is meant by what a person chose, None where it is the sequencer alone.

    Raises:
        DbsyncError: nothing was chosen, or both everything and a part of it.
    """
    everything = part == Part()
    if sync and not everything:
        raise DbsyncError(f"both all delivery and {part} are chosen", "Choose one of the two.")
    if not sync and everything and not sequencer:
        raise DbsyncError("nothing is chosen", "Choose the sequencer, sync, or a tenancy, mapping or destination.")
    return part if sync or not everything else None


def pause(connection: psycopg.Connection, catalog: Catalog, part: Part | None, *, sequencer: bool) -> Controlled:
    """Stop a part of delivery, numbering, or both, until `resume`; to stop what is stopped changes nothing.

    Raises:
        DestinationError: there is no such tenancy or destination.
        MappingError: there is no such mapping.
        NotInstalledError: the source lacks the sync objects.
        DbsyncError: the sequencer holds its lock for too long.
    """
    require_installed(connection, catalog)
    if part is not None:
        _require(connection, catalog, part)
    return _control(connection, _ADD_RULE, part, sequencer=sequencer, paused=True)


def resume(connection: psycopg.Connection, catalog: Catalog, part: Part | None, *, sequencer: bool) -> Controlled:
    """End what `pause` began with the same choice; what another pause concerns stays paused, and is named.

    Raises:
        NotInstalledError: the source lacks the sync objects.
        DbsyncError: the sequencer holds its lock for too long.
    """
    require_installed(connection, catalog)
    return _control(connection, _END_RULE, part, sequencer=sequencer, paused=False)


def retry(connection: psycopg.Connection, catalog: Catalog, part: Part) -> int:
    """Make due at once what of a part rests after a failure; return how many pairs that were.

    Raises:
        DestinationError: there is no such tenancy or destination.
        MappingError: there is no such mapping.
        NotInstalledError: the source lacks the sync objects.
    """
    require_installed(connection, catalog)
    _require(connection, catalog, part)
    pairs = retry_now(
        connection,
        destination_id=part.destination_id,
        tenancies=None if part.tenancy is None else [part.tenancy],
        mappings=None if part.mapping_id is None else [part.mapping_id],
    )
    connection.execute(WAKE_WORKERS)
    return pairs


def resync(connection: psycopg.Connection, catalog: Catalog, part: Part) -> int:
    """Have all of a tenancy, or of a mapping, delivered again, over what is there; return how many pairs that are.

    Whoever is delivering one of them loses the lease. Readers see what is there until a row takes its place; rows that
    the source does not have stay, for `verify` to find.

    Raises:
        DestinationError: there is no such tenancy or destination.
        MappingError: there is no such mapping.
        NotInstalledError: the source lacks the sync objects.
        DbsyncError: neither tenancy nor mapping is named, or the sequencer holds its lock for too long.
    """
    if part.tenancy is None and part.mapping_id is None:
        raise DbsyncError("nothing is chosen", "Name a tenancy, a mapping, or both.")
    require_installed(connection, catalog)
    _require(connection, catalog, part)
    mappings = [entry.mapping_id for entry in catalog.mappings if part.mapping_id in (None, entry.mapping_id)]
    parameters = {"destination": part.destination_id, "tenancy": part.tenancy, "mappings": mappings}
    with between_batches(connection):
        row = connection.execute(_RESYNC, parameters).fetchone()
        connection.execute(WAKE_WORKERS)
    return row[0] if row is not None else 0


def read_pauses(connection: psycopg.Connection) -> list[Part]:
    """Return what delivery is paused of, in the order in which that was asked."""
    rows = connection.execute(
        "select tenancy_id::text, mapping_id, destination_id from dbsync.pause order by paused_at"
    )
    return [Part(*row) for row in rows]


def numbering_paused(connection: psycopg.Connection) -> bool:
    """Whether the sequencer is paused."""
    return connection.execute("select paused from dbsync.sequencer").fetchone() == (True,)


def _control(
    connection: psycopg.Connection, change: LiteralString, part: Part | None, *, sequencer: bool, paused: bool
) -> Controlled:
    pairs = 0
    with between_batches(connection):
        if sequencer:
            connection.execute(_SET_NUMBERING, {"paused": paused})
        if part is not None:
            parameters = {"destination": part.destination_id, "tenancy": part.tenancy, "mapping": part.mapping_id}
            connection.execute(change, parameters)
            pairs = connection.execute(_MARK_PAIRS, parameters).rowcount
        now = [*(["numbering"] if numbering_paused(connection) else []), *map(str, read_pauses(connection))]
        connection.execute(WAKE_WORKERS)
    return Controlled(pairs, now)


@contextmanager
def between_batches(connection: psycopg.Connection) -> Generator[None]:
    """Keep the sequencer, and with it whoever makes pairs pending, waiting until the transaction ends."""
    try:
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"])
            connection.execute("select pg_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
            yield
    except psycopg.errors.LockNotAvailable as error:
        raise DbsyncError(
            f"the sequencer, or another writer of the pending table, held its lock for {LOCK_SECONDS:g} s",
            "Nothing was changed; try again.",
        ) from error


def _require(connection: psycopg.Connection, catalog: Catalog, part: Part) -> None:
    if part.tenancy is not None:
        require_tenancies(connection, [part.tenancy])
    if part.mapping_id is not None:
        catalog.mapping(part.mapping_id)
    if part.destination_id not in (None, CLICKHOUSE):
        require_database(connection, part.destination_id)
