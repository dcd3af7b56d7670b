"""Keeps inserts from making parts faster than ClickHouse merges them.

Every insert adds a part to its table; from a number of active parts on, ClickHouse delays inserts, and from a higher
one on, it refuses them ("too many parts"). A worker stops short of the first: it counts a table's parts, spends half of
what is left, as others insert, too, and counts again; with nothing left it waits for merges. A table far from the limit
is thus looked at every few hundred inserts.
"""

import re
import time
from collections.abc import Callable

from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.errors import UnreachableError

_SHARE = 0.8
"""Of the number of parts at which ClickHouse begins to delay, so many are used."""

_PAUSE_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 20.0
"""After that, what was claimed is given back and rests, so that no lease runs out over it."""

_LIMITS = ("parts_to_delay_insert", "parts_to_throw_insert")


def active_parts(clickhouse: ClickHouse, database: str) -> dict[str, int]:
    """Return how many active parts each table of a database has."""
    return dict(
        clickhouse.query(
            "select table, count() from system.parts where active and database = {database:String} group by table",
            {"database": database},
        )
    )


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

    def spend(self, table: str) -> None:
        """Allow for one insert into a table, after a pause where it has too many parts.

        Raises:
            UnreachableError: merges have not caught up while waited for.
        """
        if not self._left.get(table):
            self._left[table] = self._wait_for_allowance(table)
        self._left[table] -= 1

    def _wait_for_allowance(self, table: str) -> int:
        started = self._clock()
        while (allowance := self._allowance(table)) <= 0:
            if self._clock() - started >= _LONGEST_WAIT_SECONDS:
                raise UnreachableError(
                    f"table {self._database}.{table} in ClickHouse has as many parts as it should have",
                    "It goes on when ClickHouse has merged some: look at system.merges, and at the load of its disks.",
                )
            self._sleep(_PAUSE_SECONDS)
        return max(allowance // 2, 1)

    def _allowance(self, table: str) -> int:
        limit = self._limit(table)
        parameters: dict[str, object] = {"database": self._database, "table": table}
        ((parts,),) = self._clickhouse.query(
            "select count() from system.parts where active and database = {database:String} and table = {table:String}",
            parameters,
        )
        return int(limit * _SHARE) - parts

    def _limit(self, table: str) -> int:
        """Return the lower of the two limits; a table's own setting counts before the server's."""
        limits: dict[str, int] = {
            name: int(value)
            for name, value in self._clickhouse.query(
                "select name, value from system.merge_tree_settings where name in %(names)s", {"names": _LIMITS}
            )
        }
        for (engine,) in self._clickhouse.query(
            "select engine_full from system.tables where database = {database:String} and name = {table:String}",
            {"database": self._database, "table": table},
        ):
            limits |= {name: int(value) for name, value in re.findall(rf"\b({'|'.join(_LIMITS)}) = (\d+)", engine)}
        return min((limit for limit in limits.values() if limit > 0), default=1_000)
