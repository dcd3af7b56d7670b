"""How far behind each copy is, from cheap queries on the source.

Waiting for the sequencer and waiting for delivery are told apart, because their causes are. Counts are of rows, not of
distances between sequence ids. External databases are summed up by mapping, since there may be ten thousand of them;
those that fail are listed by themselves, up to a bound.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from dbsync_pipeline.controls import Part, read_pauses
from dbsync_pipeline.counting import (
    KINDS,
    PLACES,
    WAITS,
    count_undelivered,
    count_undelivered_of_pair,
    count_unnumbered,
    countable_part,
    of_tenancy,
)
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import TENANCIES, SyncColumns
from dbsync_pipeline.mappings.spec import DestinationKind
from dbsync_pipeline.missed import read_missed
from dbsync_pipeline.pending.tally import Delivered, read_delivered
from dbsync_pipeline.retention import TableSize, read_sizes

MOST_FAILING_LISTED = 20

MOST_COUNTED = 100_000
_MAPPINGS_OF_A_DATABASE = 10
"""The rows of one that is listed by itself are counted by mapping, each up to this part of the bound."""


_LONGEST_STATEMENT_SECONDS = 5.0


@dataclass(frozen=True)
class MappingStatus:
    """One mapping in one kind of destination.

    Attributes:
        kind: `clickhouse`, or `postgres` for all external databases that receive the mapping, together.
        destinations: how many those are; 1 for ClickHouse.
        waiting_for_sequencer: rows, tombstones and touches without a sequence id, whatever they are for; each counted
            up to a bound; and transactions of which something could not be captured.
        waiting_for_delivery: numbered rows and tombstones that a destination does not have yet, summed up over the
            destinations, counted up to a bound.
        pending: tenancies with something to deliver; of external databases, how many of these.
        lag_seconds: age of the oldest undelivered change since it was numbered; 0 when there is none. What is paused
            on purpose is not late.
        failing: those pending ones whose last attempt failed.
        last_error: one of their errors, or what could not be captured, or why what waits cannot be counted.
        paused: those that wait although something is to be delivered.
        claimed: those that a worker has taken.
        oldest_tenancy: whose changes have waited longest; None when none do.
        attempts: how often the worst of those that fail has been tried in vain.
        next_attempt_at: when the first of them is tried again; None when that is now, or none fails.
        lag_without_failing_seconds: lag of those whose last attempt did not fail.
        more_to_number: whether counting what waits for the sequencer stopped at the bound.
        more_to_deliver: whether counting what waits for delivery did.
        delivered: what has been, since ever; None where one tenancy was asked for, as nobody counts by these.
    """

    mapping_id: str
    kind: DestinationKind
    destinations: int
    waiting_for_sequencer: int
    waiting_for_delivery: int
    pending: int
    lag_seconds: float
    failing: int
    last_error: str | None
    paused: int
    claimed: int
    oldest_tenancy: str | None
    attempts: int
    next_attempt_at: datetime | None
    lag_without_failing_seconds: float = 0.0
    more_to_number: bool = False
    more_to_deliver: bool = False
    delivered: Delivered | None = None


@dataclass(frozen=True)
class DestinationStatus:
    """One external database that has something pending.

    Attributes:
        waiting_for_delivery: as above, with a lower bound.
        pending: mappings with something to deliver.
        lag_seconds: as above.
        failing: mappings whose last attempt failed.
        attempts: how often the worst of them has been tried in vain.
        next_attempt_at: when the first of them is tried again; None when that is now.
        last_error: the error of the worst of them.
        more_to_deliver: as above.
    """

    destination_id: str
    waiting_for_delivery: int
    pending: int
    lag_seconds: float
    failing: list[str]
    attempts: int
    next_attempt_at: datetime | None
    last_error: str | None
    more_to_deliver: bool


@dataclass(frozen=True)
class Status:
    """All of it.

    Attributes:
        mappings: a line for each mapping and kind of destination that receives it.
        failing: external databases that fail, those that have waited longest first, `MOST_FAILING_LISTED` at most.
        sequence_id: the last one given out, up to which the order is complete.
        numbering_paused: whether the sequencer is.
        pauses: what else is, the whole pipeline's also where one tenancy was asked for.
        sizes: what the pipeline's own tables take in the source, of all tenancies likewise.
    """

    mappings: list[MappingStatus]
    failing: list[DestinationStatus]
    sequence_id: int
    numbering_paused: bool
    pauses: list[Part]
    sizes: list[TableSize]


def read_status_soon(
    connection: psycopg.Connection,
    catalog: Catalog,
    columns: SyncColumns,
    *,
    statement_seconds: float = _LONGEST_STATEMENT_SECONDS,
) -> Status:
    """Return the state of every mapping; where counting takes too long, only say whether anything waits.

    For who looks again and again: a look that was given up leaves no query behind. The session keeps the time limit.

    Raises:
        NotInstalledError: the source lacks the sync objects.
    """
    connection.execute("select set_config('statement_timeout', %s, false)", [f"{statement_seconds * 1_000:.0f}ms"])
    try:
        return read_status(connection, catalog, columns)
    except psycopg.errors.QueryCanceled:
        return read_status(connection, catalog, columns, most_counted=1)


def read_status(
    connection: psycopg.Connection,
    catalog: Catalog,
    columns: SyncColumns,
    *,
    tenancy: str | None = None,
    most_counted: int | None = None,
) -> Status:
    """Return the state of every mapping, of all tenancies or of one; counts stop at `MOST_COUNTED`, or lower.

    Raises:
        NotInstalledError: the source lacks the sync objects.
    """
    require_installed(connection, catalog)
    countable, broken = countable_part(connection, catalog, columns)
    most = MOST_COUNTED if most_counted is None else most_counted
    delivery = {tuple(row[:2]): row[2:] for row in connection.execute(_delivery(tenancy))}
    undelivered = {
        (mapping_id, kind): count
        for mapping_id, kind, count in connection.execute(count_undelivered(countable, columns, tenancy, most))
    }
    unnumbered = {
        mapping_id: counts
        for mapping_id, *counts in connection.execute(count_unnumbered(countable, columns, tenancy, most))
    }
    # Nobody knows whose it is.
    missed = read_missed(connection, catalog) if tenancy is None else {}
    delivered = read_delivered(connection)
    destinations = _destinations(connection, catalog, tenancy)
    sequence_id, paused = _sequencer(connection)
    found = (
        MappingStatus(
            mapping.mapping_id,
            kind,
            destinations[mapping.mapping_id, kind],
            sum(unnumbered.get(mapping.mapping_id, ()))
            + (missed[mapping.mapping_id].transactions if mapping.mapping_id in missed else 0),
            undelivered.get((mapping.mapping_id, kind), 0),
            *delivery.get((mapping.mapping_id, kind), _NOTHING_PENDING),
            more_to_number=most in unnumbered.get(mapping.mapping_id, ()),
            more_to_deliver=undelivered.get((mapping.mapping_id, kind)) == most,
            delivered=delivered.get((mapping.mapping_id, kind), Delivered()) if tenancy is None else None,
        )
        for mapping in catalog.mappings
        for kind in KINDS
        if destinations[mapping.mapping_id, kind]
    )
    wrong = broken | {mapping_id: str(entry) for mapping_id, entry in missed.items()}
    if TENANCIES in missed:
        wrong = {mapping.mapping_id: wrong[TENANCIES] for mapping in catalog.mappings} | wrong
    return Status(
        [replace(entry, last_error=wrong.get(entry.mapping_id, entry.last_error)) for entry in found],
        _destination_status(connection, countable, columns, tenancy, most, failing_only=True),
        sequence_id,
        paused,
        read_pauses(connection),
        read_sizes(connection),
    )


def read_destinations(
    connection: psycopg.Connection, catalog: Catalog, columns: SyncColumns, *, tenancy: str | None = None
) -> dict[str, DestinationStatus]:
    """Return id -> state of every external database that has something pending, of all tenancies or of one.

    Raises:
        NotInstalledError: the source lacks the sync objects.
    """
    require_installed(connection, catalog)
    countable, _ = countable_part(connection, catalog, columns)
    found = _destination_status(connection, countable, columns, tenancy, MOST_COUNTED, failing_only=False)
    return {entry.destination_id: entry for entry in found}


def waiting_for_sequencer(status: Status) -> int:
    """Return how many rows wait for a number; they do so once, however many destinations they are for."""
    return sum({entry.mapping_id: entry.waiting_for_sequencer for entry in status.mappings}.values())


def waiting_for_delivery(mappings: Iterable[MappingStatus]) -> int:
    """Return how many rows wait to be delivered, each as often as there are destinations for it."""
    return sum(entry.waiting_for_delivery for entry in mappings)


def _sequencer(connection: psycopg.Connection) -> tuple[int, bool]:
    row = connection.execute("select last_sequence_id, paused from dbsync.sequencer").fetchone()
    return (0, False) if row is None else (row[0], row[1])


def _destinations(
    connection: psycopg.Connection, catalog: Catalog, tenancy: str | None
) -> Counter[tuple[str, DestinationKind]]:
    """Count who receives each mapping."""
    rows = connection.execute(
        sql.SQL(
            "select kind, mappings, count(*) from dbsync.destination "
            "where enabled and (tenancy_id is null or {}) group by kind, mappings"
        ).format(of_tenancy(sql.SQL("tenancy_id"), tenancy))
    )
    counts: Counter[tuple[str, DestinationKind]] = Counter()
    for kind, mappings, count in rows:
        for mapping in catalog.mappings:
            if mappings is None or mapping.mapping_id in mappings:
                counts[mapping.mapping_id, kind] += count
    return counts


def _delivery(tenancy: str | None) -> sql.Composed:
    return sql.SQL(
        "select p.mapping_id, d.kind, count(*), {lag}, "
        "count(p.last_error), max(p.last_error), count(*) filter (where p.paused), "
        "count(*) filter (where p.lease_until > clock_timestamp()), "
        "(array_agg(p.tenancy_id::text order by p.pending_since) filter (where not p.paused))[1], {attempts}, "
        "{lag_without_failing} "
        "from {pending} and {tenancy} group by p.mapping_id, d.kind"
    ).format(
        lag=_LAG,
        lag_without_failing=_LAG_WITHOUT_FAILING,
        attempts=_ATTEMPTS,
        pending=_PENDING,
        tenancy=of_tenancy(sql.SQL("p.tenancy_id"), tenancy),
    )


_NOTHING_PENDING = (0, 0.0, 0, None, 0, 0, None, 0, None, 0.0)
_PENDING = sql.SQL("{} where {}").format(PLACES, WAITS)
_FAILS = sql.SQL("p.last_error is not null")
_LAG, _LAG_WITHOUT_FAILING = (
    sql.SQL(
        # None pending is 0, and so is what has waited since a time to come, as the clock was set back.
        "greatest(extract(epoch from max(clock_timestamp() - p.pending_since) filter (where not p.paused{})), 0)"
        "::double precision"
    ).format(but)
    for but in (sql.SQL(""), sql.SQL(" and not ({})").format(_FAILS))
)
_ATTEMPTS = sql.SQL(
    "coalesce(max(p.attempts) filter (where {fails}), 0) as attempts, "
    "nullif(min(p.next_attempt_at) filter (where {fails}), '-infinity') as next_attempt_at"
).format(fails=_FAILS)


def _destination_status(
    connection: psycopg.Connection,
    catalog: Catalog,
    columns: SyncColumns,
    tenancy: str | None,
    most: int,
    *,
    failing_only: bool,
) -> list[DestinationStatus]:
    chosen = of_tenancy(sql.SQL("p.tenancy_id"), tenancy)
    if failing_only:
        # Rows are counted for these alone.
        chosen = sql.SQL(
            "p.destination_id in (select p.destination_id from {pending} and d.kind = 'postgres' and {tenancy} "
            "and p.last_error is not null group by p.destination_id order by min(p.pending_since) limit {most})"
        ).format(pending=_PENDING, tenancy=chosen, most=sql.Literal(MOST_FAILING_LISTED))
    most_of_a_pair = max(1, most // _MAPPINGS_OF_A_DATABASE)
    statement = sql.SQL(
        "select p.destination_id, sum(rows.count)::bigint as waiting_for_delivery, "
        "bool_or(rows.count = {most}) as more_to_deliver, count(*) as pending, "
        "{lag} as lag_seconds, "
        "coalesce(array_agg(p.mapping_id order by p.mapping_id) filter (where {fails}), '{{}}') as failing, "
        "{attempts}, (array_agg(p.last_error order by p.attempts desc) filter (where {fails}))[1] as last_error "
        "from {places} cross join lateral (select {rows}) as rows (count) "
        "where {waits} and d.kind = 'postgres' and {chosen} "
        "group by p.destination_id order by min(p.pending_since)"
    ).format(
        rows=count_undelivered_of_pair(catalog, columns, most_of_a_pair),
        most=sql.Literal(most_of_a_pair),
        lag=_LAG,
        fails=_FAILS,
        attempts=_ATTEMPTS,
        places=PLACES,
        waits=WAITS,
        chosen=chosen,
    )
    with connection.cursor(row_factory=class_row(DestinationStatus)) as cursor:
        return cursor.execute(statement).fetchall()
