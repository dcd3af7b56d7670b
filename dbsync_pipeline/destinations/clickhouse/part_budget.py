"""Keeps inserts from making parts faster than ClickHouse merges them.

Every insert adds a part to its table; from a number of active parts on, ClickHouse delays inserts, and from a higher
one on, it refuses them ("too many parts"). A worker stops short of the first: it counts a table's parts, spends half of
what is left, as others insert, too, and counts again; with nothing left it waits for merges. A table far from the limit
is thus looked at every few hundred inserts. One that merges do not catch up with is waited for once, as everything else
of the worker waits beside it; until it has room again, inserts into it are refused at once (I8).
"""

import re
import time
from collections.abc import Callable

from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.errors import RefusedForNowError

_SHARE = 0.8
"""Of the number of parts at which ClickHouse begins to delay, so many are used."""

_PAUSE_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 20.0
"""After that, what was claimed is given back and rests, so that no lease runs out over it."""

_UNLIMITED = 1_000
"""Parts of a table for which ClickHouse has no limit."""

_UNKNOWN_TABLE = 1
"""Inserts into a table that is not there: the first says so."""

_OWN_LIMIT = re.compile(r"\b(parts_to_delay_insert|parts_to_throw_insert) = (\d+)")

# A table's own setting counts before the server's.
_PARTS = """
select t.name, t.engine_full, ifNull(counted.parts, 0), (
    select groupArray((name, value)) from system.merge_tree_settings
    where name in ('parts_to_delay_insert', 'parts_to_throw_insert')
)
from system.tables t left join (
    select table, count() as parts from system.parts where active and database = {database:String} group by table
) counted on counted.table = t.name
where t.database = {database:String}
"""


class PartBudget:
    """One worker's allowance for the tables of one database."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        database: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clickhouse = clickhouse
        self._database = database
        self._clock = clock
        self._sleep = sleep
        self._left: dict[str, int] = {}
        self._given_up: set[str] = set()

    def spend(self, table: str) -> None:
        """Allow for one insert into a table, after a pause where it has too many parts.

        Raises:
            RefusedForNowError: merges have not caught up while waited for, or since.
        """
        # Deliveries run beside each other; one that is counted twice or not at all does no harm.
        left = self._left.get(table) or self._wait_for_allowance(table)
        self._left[table] = left - 1

    def _wait_for_allowance(self, table: str) -> int:
        started = self._clock()
        while (left := self._count().get(table, _UNKNOWN_TABLE)) <= 0:
            if table in self._given_up or self._clock() - started >= _LONGEST_WAIT_SECONDS:
                self._given_up.add(table)
                raise RefusedForNowError(
                    f"table {self._database}.{table} in ClickHouse has as many parts as it should have",
                    "It goes on when ClickHouse has merged some: look at system.merges, and at the load of its disks.",
                )
            self._sleep(_PAUSE_SECONDS)
        self._given_up.discard(table)
        return left

    def _count(self) -> dict[str, int]:
        """Count the parts of all tables, which costs no more than those of one, and return each one's allowance."""
        counted: dict[str, int] = {}
        for table, engine, parts, server_limits in self._clickhouse.query(_PARTS, {"database": self._database}):
            limits = dict(server_limits) | dict(_OWN_LIMIT.findall(engine))
            limit = min((int(limit) for limit in limits.values() if int(limit) > 0), default=_UNLIMITED)
            left = int(limit * _SHARE) - parts
            counted[table] = (left + 1) // 2 if left > 0 else 0
        self._left = counted
        return counted
