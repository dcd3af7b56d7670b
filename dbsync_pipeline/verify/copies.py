"""The copies of one mapping, each as what answers the questions of a verification."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from psycopg import sql

from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.tables import ExternalTables
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.mappings.spec import DestinationKind, SyncMapping
from dbsync_pipeline.verify.scope import Scope
from dbsync_pipeline.verify.statements import Buckets, ClickHouseRows, ExternalRows
from dbsync_pipeline.verify.states import Key

Answer = list[tuple[Any, ...]]

CopiedRows = dict[Key, list[tuple[int, tuple[str | None, ...]]]]
"""For each key its rows, as sequence id and texts; where somebody has meddled there can be several."""


class Copy(ABC):
    """One mapping's rows in one destination."""

    kind: DestinationKind
    destination_id: str

    @abstractmethod
    def sums(self) -> Answer:
        """Return (tenancy, rows, sum of hashes) of every tenancy in the scope."""

    @abstractmethod
    def buckets(self, tenancy: str, count: int) -> Answer:
        """Return (bucket, rows, sum of hashes) of one tenancy."""

    @abstractmethod
    def hashes(self, tenancies: Sequence[str], buckets: Buckets) -> Answer:
        """Return (tenancy, key, hash) of rows of some tenancies."""

    @abstractmethod
    def rows(self, keys: Sequence[Key]) -> CopiedRows:
        """Return what there is of some keys."""

    @abstractmethod
    def newest(self) -> tuple[str, int] | None:
        """Return the highest sequence id in the scope, and whose it is."""

    @abstractmethod
    def strangers(self, limit: int) -> list[Key]:
        """Return rows that nobody delivers there and so nobody can remove, up to a limit."""


class ClickHouseCopy(Copy):
    """A mapping's table in ClickHouse."""

    kind: DestinationKind = "clickhouse"
    destination_id = CLICKHOUSE

    def __init__(
        self,
        clickhouse: ClickHouse,
        catalog: Catalog,
        mapping: SyncMapping,
        names: tables.ClickHouseNames,
        scope: Scope,
    ) -> None:
        self._clickhouse = clickhouse
        self._catalog = catalog
        self._mapping = mapping
        self._names = names
        self._scope = scope

    def _of(self, scope: Scope) -> ClickHouseRows:
        literals = [tables.literal(tenancy) for tenancy in scope.tenancies or ()]
        condition = scope.clickhouse(tables.TENANCY, literals)
        return ClickHouseRows(self._catalog, self._mapping, self._names, condition)

    def sums(self) -> Answer:
        """Return (tenancy, rows, sum of hashes); tenancies that the source never had are among them."""
        return self._clickhouse.query(self._of(self._scope).sums())

    def buckets(self, tenancy: str, count: int) -> Answer:
        """Return (bucket, rows, sum of hashes) of one tenancy."""
        return self._clickhouse.query(self._of(Scope((tenancy,))).buckets(count))

    def hashes(self, tenancies: Sequence[str], buckets: Buckets) -> Answer:
        """Return (tenancy, key, hash) of rows of some tenancies."""
        return self._clickhouse.query(self._of(Scope(tuple(tenancies))).hashes(buckets))

    def rows(self, keys: Sequence[Key]) -> CopiedRows:
        """Return what there is of some keys."""
        rows = self._of(Scope(tuple({key.tenancy for key in keys})))
        return _by_key(self._clickhouse.query(rows.texts({key.values for key in keys})))

    def newest(self) -> tuple[str, int] | None:
        """Return the highest sequence id of rows, deleted ones too, and checkpoints."""
        return next(
            ((tenancy, number) for tenancy, number in self._clickhouse.query(self._of(self._scope).newest())), None
        )

    def strangers(self, limit: int) -> list[Key]:  # noqa: ARG002 -- there are none
        """Return nothing: everybody's rows are here, and a tombstone reaches all of them."""
        return []


class ExternalCopy(Copy):
    """A mapping's table in an external database; each question may take as long as reading all of it."""

    kind: DestinationKind = "postgres"

    def __init__(
        self,
        session: ExternalSession,
        mapping: SyncMapping,
        external: ExternalTables,
        destination_id: str,
        tenancy: str,
    ) -> None:
        self._session = session
        self._external = external
        self._mapping = mapping
        self._rows = ExternalRows(mapping, external, tenancy)
        self.destination_id = destination_id

    def sums(self) -> Answer:
        """Return (tenancy, rows, sum of hashes) of the one tenancy that is delivered there from here."""
        return self._answer(self._rows.sums())

    def buckets(self, tenancy: str, count: int) -> Answer:  # noqa: ARG002 -- there is one
        """Return (bucket, rows, sum of hashes)."""
        return self._answer(self._rows.buckets(count))

    def hashes(self, tenancies: Sequence[str], buckets: Buckets) -> Answer:  # noqa: ARG002 -- there is one
        """Return (tenancy, key, hash)."""
        return self._answer(self._rows.hashes(buckets))

    def rows(self, keys: Sequence[Key]) -> CopiedRows:
        """Return what there is of some keys."""
        return _by_key(self._answer(self._rows.texts({key.values for key in keys})))

    def newest(self) -> tuple[str, int] | None:
        """Return the highest sequence id of rows and checkpoint."""
        ((tenancy, number),) = self._answer(self._rows.newest())
        return None if number is None else (tenancy, number)

    def strangers(self, limit: int) -> list[Key]:
        """Return rows of tenancies that are not delivered there."""
        return [Key(tenancy, tuple(key)) for tenancy, key in self._answer(self._rows.strangers(limit))]

    def _answer(self, statement: sql.Composed) -> Answer:
        with self._session.turn() as connection, connection.transaction():
            self._session.allow(self._external.seconds(connection, self._external.table(self._mapping)))
            return connection.execute(statement).fetchall()


def _by_key(answer: Answer) -> CopiedRows:
    found: CopiedRows = defaultdict(list)
    for tenancy, key, sequence_id, texts in answer:
        found[Key(tenancy, tuple(key))].append((sequence_id, tuple(texts)))
    return found
