"""The sequencer: the one place where changes get their order.

A pass visits every source table that has something waiting, each in a transaction of its own that numbers tombstones,
the rows that live again under them, the rows that other tables feed, and dirty rows; makes their tenancies pending;
and moves the mark up to which the order is complete. Two of its promises are kept here: one numberer at a time, its
lock held to commit (I1), and number, re-send and pending in one transaction (I2). Re-creation wins (I4) because a
tombstone is never numbered without the row that lives again under its identity getting a higher number beside it.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import compress, repeat
from threading import Event
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from dbsync_pipeline.errors import DbsyncError, MappingError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.installed import INSTALLED, check_installed
from dbsync_pipeline.mappings.relation import (
    IS_PAUSED,
    SEQUENCER_LOCK,
    SEQUENCER_SETTING,
    TENANCIES,
    WAKE_WORKERS,
    SyncColumns,
)
from dbsync_pipeline.mappings.spec import SyncMapping, Table, TenancyId
from dbsync_pipeline.sequencer.missed import MISSED, make_up, make_up_tenancies
from dbsync_pipeline.sequencer.statements import TableStatements, generate
from dbsync_pipeline.tracing import span

PATIENCE = "set lock_timeout = '2s'"
"""For the session of a sequencer: a table that the application has locked as a whole, as a migration does, is an error
of that table, and holds no other up. Rows that are locked are passed by in any case."""

# Everything that a pass looks for has an index. Statistics of a time when much waited would have it read whole tables
# instead, for one row (I9). Where none but a tiny table is read so, versions before 18 take the query for a costly one,
# and would compile it.
_BEGIN = (
    sql.SQL(
        "select pg_try_advisory_xact_lock({key}), set_config({setting}, 'on', true), "
        "set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)"
    )
    .format(key=sql.Literal(SEQUENCER_LOCK), setting=sql.Literal(SEQUENCER_SETTING))
    .as_bytes(None)
)

_MAKE_PENDING: LiteralString = (
    """
insert into dbsync.pending as known (tenancy_id, mapping_id, destination_id, wanted, paused)
select changed.tenancy_id, changed.mapping_id, d.destination_id, changed.wanted,
"""
    + IS_PAUSED.format("d.destination_id", "changed.tenancy_id", "changed.mapping_id")
    + """
from jsonb_populate_recordset(null::dbsync.pending, %s) as changed
-- What is left of a tenancy that was erased, or there before it, has no place to go; it is sent when one comes.
join dbsync.tenancy t on t.tenancy_id = changed.tenancy_id
join dbsync.destination d on d.enabled and (d.tenancy_id is null or d.tenancy_id = changed.tenancy_id)
    and (d.mappings is null or changed.mapping_id = any(d.mappings))
-- The same order as everyone else who changes several of these rows.
order by d.destination_id, changed.tenancy_id, changed.mapping_id
on conflict (destination_id, tenancy_id, mapping_id) do update set
    wanted = greatest(known.wanted, excluded.wanted),
    pending_since = case when known.wanted > known.reached then known.pending_since else clock_timestamp() end
"""
)

# A destination that is new or was changed gets everything up to the mark, whatever it has; what it is not to get any
# more waits no longer. Whoever delivers by its old configuration loses the lease.
_ANNOUNCE: LiteralString = (
    """
with fresh as materialized (
    select * from dbsync.destination where not announced order by destination_id for update skip locked
), announced as (
    update dbsync.destination d set announced = true from fresh where d.destination_id = fresh.destination_id
), ending as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p join fresh using (destination_id)
    where p.wanted > p.reached and (not fresh.enabled
        or fresh.tenancy_id <> p.tenancy_id or not (fresh.mappings is null or p.mapping_id = any(fresh.mappings)))
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update of p
), ended as (
    update dbsync.pending p
    set wanted = p.reached, attempts = 0, last_error = null, lease_worker = null, lease_until = null
    from ending
    where (p.destination_id, p.tenancy_id, p.mapping_id) = (ending.destination_id, ending.tenancy_id, ending.mapping_id)
), begun as (
    insert into dbsync.pending as known (tenancy_id, mapping_id, destination_id, wanted, paused)
    select t.tenancy_id, m.mapping_id, fresh.destination_id, s.last_sequence_id,
"""  # noqa: S608 -- made of constants
    + IS_PAUSED.format("fresh.destination_id", "t.tenancy_id", "m.mapping_id")
    + """
    from fresh
    join dbsync.tenancy t on fresh.tenancy_id is null or fresh.tenancy_id = t.tenancy_id
    cross join unnest(%s::text[]) as m (mapping_id)
    cross join dbsync.sequencer s
    where fresh.enabled and (fresh.mappings is null or m.mapping_id = any(fresh.mappings))
    order by fresh.destination_id, t.tenancy_id, m.mapping_id
    on conflict (destination_id, tenancy_id, mapping_id) do update set
        wanted = greatest(known.wanted, excluded.wanted), reached = 0, attempts = 0, last_error = null,
        lease_worker = null, lease_until = null, pending_since = clock_timestamp(), next_attempt_at = '-infinity'
)
select count(*), """
    + INSTALLED
    + " from fresh"
)

# A sequence that never gave out an id shows the first one as its last.
_COMPLETE_UP_TO: LiteralString = f"""update dbsync.sequencer
set last_sequence_id = greatest(last_sequence_id, (select last_value from dbsync.sequence_id where is_called))
returning {INSTALLED}"""  # noqa: S608 -- made of constants

# No part of a pass's transactions: it says only that looking is worth while.
_SHORTEST_PAUSE_SECONDS = 0.02
_LONGEST_GATHERING_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 0.25
# A table that cannot be numbered has all of them visited by every pass.
_LONGEST_PAUSE_AFTER_ERRORS_SECONDS = 2.0

logger = logging.getLogger(__name__)


@dataclass
class PassResult:
    """What one pass did.

    Attributes:
        numbered: (mapping, tenancy) pairs made pending, with the rows and tombstones numbered for each.
        handled: rows, tombstones and touches dealt with; a pass without any, and without a full batch, has left only
            what is locked, or nothing.
        filled: a batch was full, maybe of what is locked, or something was made up for, which may have left touches, so
            that more may be left of what was there when it began.
        errors: table -> what went wrong; the other tables were visited all the same.
        paused: numbering is switched off.
        locked_out: another sequencer was at work.
    """

    numbered: dict[tuple[str, TenancyId], int] = field(default_factory=dict[tuple[str, TenancyId], int])
    handled: int = 0
    filled: bool = False
    errors: dict[str, str] = field(default_factory=dict[str, str])
    paused: bool = False
    locked_out: bool = False

    @property
    def rows(self) -> int:
        """Rows and tombstones numbered that are to be delivered."""
        return sum(self.numbered.values())


@dataclass(frozen=True)
class _Waiting:
    """The tables that have something to number, whether a destination is to be announced, and what has missed what."""

    tables: list[TableStatements]
    destinations: bool
    missed: list[str]


@dataclass
class _Tally:
    """What the visit of one table came to."""

    handled: int = 0
    touches_left: bool = False
    passed_by: bool = False
    rows: Counter[tuple[str, TenancyId]] = field(default_factory=Counter[tuple[str, TenancyId]])
    highest: dict[tuple[str, TenancyId], int] = field(default_factory=dict[tuple[str, TenancyId], int])

    def note(self, mapping_id: str | None, tenancy_id: TenancyId | None, sequence_id: int | None, count: int) -> None:
        self.handled += count
        if mapping_id is not None and tenancy_id is not None and sequence_id is not None:
            key = (mapping_id, tenancy_id)
            self.rows[key] += count
            self.highest[key] = max(self.highest.get(key, 0), sequence_id)


class Sequencer:
    """Numbers changes of the source over one session, which it does not own."""

    def __init__(
        self, connection: psycopg.Connection, catalog: Catalog, columns: SyncColumns, *, batch_size: int
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._tables = tuple(generate(catalog, table, columns, batch_size) for table in catalog.source_tables)
        self._mapping_ids = [mapping.mapping_id for mapping in catalog.mappings]
        missed = sql.SQL(MISSED).format(mappings=sql.Literal([*self._mapping_ids, TENANCIES]))
        # What every pass asks alike is put together once: over seven tables, that took 2 ms of the process's time.
        self._probe_broken = sql.SQL("select paused, null, true, {} from dbsync.sequencer").format(missed)
        self._probe = (
            sql.SQL(
                "select paused, array[{}], exists (select from dbsync.destination where not announced), {} "
                "from dbsync.sequencer"
            )
            .format(sql.SQL(", ").join(table.waiting for table in self._tables), missed)
            .as_bytes(connection)
        )
        self._touches = {
            feed.dependant_id: table.touches(feed, 0).as_bytes(connection)
            for table in self._tables
            for feed in table.feeds
        }
        self._tombstones = {
            mapping.mapping_id: table.tombstones(mapping, 0).as_bytes(connection)
            for table in self._tables
            for mapping in table.mappings
        }
        self._turns: dict[Table, str | None] = {}
        # By mapping: the last tombstone of a full batch in which none could be numbered. By feed: the same of touches,
        # most of which could not be dealt with.
        self._behind: dict[str, int] = {}

    def waiting(self) -> bool | None:
        """Return whether there is something to do, at the cost of one query; None while numbering is paused."""
        found = self._look()
        return None if found is None else bool(found.tables or found.destinations or found.missed)

    def run_pass(self) -> PassResult:
        """Visit every table that has something waiting, once, and announce new destinations.

        Raises:
            NotInstalledError: other mappings are installed by now.
        """
        result = PassResult()
        found = self._look()
        if found is None:
            result.paused = True
            return result
        for table in found.tables:
            if not result.locked_out:
                self._visit(table, result)
        if TENANCIES in found.missed and not result.locked_out:
            self._make_up(None, result)
        for mapping in self._catalog.mappings:
            if mapping.mapping_id in found.missed and not result.locked_out:
                self._make_up(mapping, result)
        # Last, so that a destination gets its tables even before its tenancy has a row.
        if found.destinations and not result.locked_out:
            self._announce(result)
        return result

    def _look(self) -> _Waiting | None:
        try:
            row = self._connection.execute(self._probe).fetchone()
        except psycopg.Error:
            if self._connection.broken or self._connection.closed:
                raise
            # A table is gone, locked, or not what it was; visiting all of them shows which, and numbers the others.
            row = self._connection.execute(self._probe_broken).fetchone()
        if row is None:
            return _Waiting([], destinations=False, missed=[])
        paused, tables, destinations, missed = row
        return None if paused else _Waiting(list(compress(self._tables, tables or repeat(True))), destinations, missed)

    def _announce(self, result: PassResult) -> None:
        try:
            with self._connection.transaction():
                if not self._try_lock():
                    result.locked_out = True
                    return
                for count, installed in self._connection.execute(_ANNOUNCE, [self._mapping_ids]):
                    check_installed(installed, self._catalog)
                    result.handled += count
        except psycopg.Error as error:
            if self._connection.broken or self._connection.closed:
                raise
            result.errors["dbsync.destination"] = _reason(error)

    def _make_up(self, mapping: SyncMapping | None, result: PassResult) -> None:
        """Make up for what was missed of a mapping, or of the tenancy table."""
        table = str(self._catalog.tenancy.table if mapping is None else mapping.source)
        try:
            with self._connection.transaction():
                if not self._try_lock():
                    result.locked_out = True
                    return
                if mapping is None:
                    count = make_up_tenancies(self._connection, self._catalog)
                else:
                    count = make_up(self._connection, self._catalog, mapping)
                self._complete()
        except MappingError as error:
            # What stands still until the mapping fits may as well say so.
            result.errors.setdefault(table, error.what)
            return
        except psycopg.Error as error:
            if self._connection.broken or self._connection.closed:
                raise
            result.errors.setdefault(table, _reason(error))
            return
        logger.warning("made up for what was missed", extra={"table": table, "transactions": count})
        result.handled += count
        result.filled |= count > 0

    def _visit(self, table: TableStatements, result: PassResult) -> None:
        try:
            with span("number", table=str(table.table)) as numbering, self._connection.transaction():
                if not self._try_lock():
                    result.locked_out = True
                    return
                tally = self._number(table)
                numbering.set_attribute("dbsync.rows", tally.rows.total())
        except psycopg.Error as error:
            if self._connection.broken or self._connection.closed:
                raise
            # One table's trouble must not keep the others from being numbered.
            result.errors[str(table.table)] = _reason(error)
            return
        logger.info("numbered", extra={"table": str(table.table), "rows": tally.rows.total()})
        result.handled += tally.handled
        # A full batch of touches may concern few rows, or none but locked ones, of which another pass could do nothing.
        more_touches = tally.touches_left and tally.handled > 0
        result.filled |= tally.passed_by or more_touches or tally.handled >= table.smallest_batch
        for key, rows in tally.rows.items():
            result.numbered[key] = result.numbered.get(key, 0) + rows

    def _try_lock(self) -> bool:
        row = self._connection.execute(_BEGIN).fetchone()
        return row is not None and row[0]

    def _number(self, table: TableStatements) -> _Tally:
        tally = _Tally()
        places: set[str] = set()
        for mapping in table.mappings:
            behind = self._behind.pop(mapping.mapping_id, 0)
            statement = table.tombstones(mapping, behind) if behind else self._tombstones[mapping.mapping_id]
            (living, _, _, last, _), *numbered = self._connection.execute(statement).fetchall()
            places.update(living or ())
            for _, mapping_id, tenancy_id, sequence_id, count in numbered:
                tally.note(mapping_id, tenancy_id, sequence_id, count)
            if last is not None and not numbered:
                # All of them wait for rows that somebody has locked; the next pass looks behind them.
                self._behind[mapping.mapping_id] = last
                tally.passed_by = True
        for feed in table.feeds:
            behind = self._behind.pop(feed.dependant_id, 0)
            statement = table.touches(feed, behind) if behind else self._touches[feed.dependant_id]
            for fed, done, full, last in self._connection.execute(statement):
                places.update(fed or ())
                tally.handled += done
                tally.touches_left |= full
                if last is not None:
                    self._behind[feed.dependant_id] = last
        number = table.number(sorted(places), self._turns.get(table.table))
        self._turns[table.table] = None
        for mapping_id, tenancy_id, sequence_id, count, turn in self._connection.execute(number):
            tally.note(mapping_id, tenancy_id, sequence_id, count)
            self._turns[table.table] = turn
        if tally.highest:
            changed = [
                {"mapping_id": mapping_id, "tenancy_id": str(tenancy_id), "wanted": sequence_id}
                for (mapping_id, tenancy_id), sequence_id in tally.highest.items()
            ]
            self._connection.execute(_MAKE_PENDING, [Jsonb(changed)])
        self._complete()
        return tally

    def _complete(self) -> None:
        for (installed,) in self._connection.execute(_COMPLETE_UP_TO):
            # What is numbered without knowing a mapping would never become pending for it (I2).
            check_installed(installed, self._catalog)

    def run(
        self,
        *,
        stop: Event,
        max_seconds: float,
        idle_seconds: float,
        report: Callable[[PassResult], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Run passes until stopped, out of time, or idle for long; the pause between idle passes grows.

        While a table cannot be numbered something waits, and whoever ends would be started again at once.

        A pass over what came in during a short pause costs hardly more than one over a single row. So only a pass that
        may have left rows behind is followed by the next at once; any other by a pause as long as itself.
        """
        started = last_work = clock()
        pause = _SHORTEST_PAUSE_SECONDS
        while not stop.is_set():
            began = clock()
            result = self.run_pass()
            if result.numbered:
                self._connection.execute(WAKE_WORKERS)
            now = clock()
            report(result)
            if result.handled:
                last_work = now
                pause = max(_SHORTEST_PAUSE_SECONDS, min(now - began, _LONGEST_GATHERING_SECONDS, idle_seconds))
            elif result.errors:
                pause = min(pause * 1.5, _LONGEST_PAUSE_AFTER_ERRORS_SECONDS)
            elif now - last_work >= idle_seconds:
                return
            else:
                pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            if now - started >= max_seconds:
                return
            if not result.filled or result.errors:
                # Jitter keeps two sequencers from knocking at the lock in step.
                stop.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311 -- not a secret


def _reason(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "another transaction has locked it, or what else its rows need; it is numbered when that has ended"
    return DbsyncError(str(error)).what
