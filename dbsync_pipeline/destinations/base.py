"""What a destination is to the engine, and what it promises.

The delivery contract is **at least once, idempotent, newest sequence id wins**:

* `deliver` may be called again with the same rows, late, or while another worker delivers the same slice; afterwards
  every key holds the version with the highest sequence id ever delivered, a tombstone counting as a version (I6).
* When `deliver` returns, the rows are durable; when it raises, any part of them may have arrived. Checkpoints follow
  in `record`, or with the rows where both can commit as one; none ever covers a row that is not durable (I5).
* A checkpoint never goes back by itself, whoever writes it, in whatever order (I5). It belongs to an epoch: a resync
  starts a new one, in which nothing counts as delivered yet.
* A row is written for the tenancy it carries and no other (I7).
* Tables are made by `dbsync init`, never while syncing.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbsync_pipeline.binary_copy import Columns
from dbsync_pipeline.mappings.spec import SyncMapping, TenancyId

Rows = tuple[SyncMapping, Columns]
"""All rows of a mapping that go at once."""

BINARY = "format binary"
"""A form of COPY that queries have, too."""

SEQUENCE_ID = "row_number.sequence_id"
"""SQL of the sequence id of a row or tombstone, in a projection."""


@dataclass(frozen=True)
class ProjectedColumn:
    """A column as a destination wants it extracted.

    The SQL reads `source`, the joins, `tenancy` (`tenancy_id` and `columns` of dbsync.tenancy) and `SEQUENCE_ID`.

    Attributes:
        live: SQL of the value for a row that exists.
        tombstone: SQL of the value for one that is gone: `source` then holds its identity alone, and joins nothing.
    """

    name: str
    live: str
    tombstone: str


@dataclass(frozen=True)
class Pair:
    """A tenancy's rows of one mapping: the unit that has a checkpoint."""

    tenancy_id: TenancyId
    mapping_id: str


@dataclass(frozen=True)
class Checkpoint:
    """How far a pair is durable, and in which epoch."""

    epoch: int
    sequence_id: int


@dataclass(frozen=True)
class Slice:
    """What of a pair is to be delivered: sequence ids above `after`, up to and including `upto`.

    `first` says that no older version of any row of the pair has arrived or is on its way: tombstones are left out.
    Where it is the first part of a larger slice, `complete_up_to` says where that ends.
    """

    pair: Pair
    epoch: int
    after: int
    upto: int
    first: bool
    complete_up_to: int


@dataclass(frozen=True)
class Batch:
    """All rows of some slices of one mapping, few enough to be held: what a COPY gave, in one block."""

    mapping: SyncMapping
    slices: Sequence[Slice]
    block: bytes


class SupersededError(Exception):
    """Another worker has delivered what this one was about to; there is nothing left for it to do."""


class ResendError(Exception):
    """Nothing was written: the destination needs the same rows again, at once, to write them in another way."""


class Destination(ABC):
    """A place that holds copies, seen by one worker."""

    @property
    @abstractmethod
    def destination_id(self) -> str:
        """Id in dbsync.destination and in dbsync.pending."""

    @property
    @abstractmethod
    def copy_format(self) -> str:
        """Options of Postgres's COPY that produce the bytes `deliver` takes."""

    @property
    @abstractmethod
    def rows_have_places(self) -> bool:
        """Whether a row's key has every column of its tenancy, so that one that is renamed leaves its rows behind."""

    @property
    def deliveries_at_once(self) -> int:
        """How many calls of `deliver` may run beside each other, each for other slices."""
        return 1

    @abstractmethod
    def projection(self, mapping: SyncMapping) -> Sequence[ProjectedColumn]:
        """Return the columns to extract for a mapping, in the order in which `deliver` takes them."""

    @abstractmethod
    def checkpoints(self, pairs: Iterable[Pair]) -> dict[Pair, Checkpoint]:
        """Return the checkpoint of every pair that has one; a pair without has never been delivered.

        Raises:
            UnreachableError: the destination does not answer.
            NotInstalledError: it has no checkpoint table.
        """

    @abstractmethod
    def deliver(self, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]) -> None:
        """Write the rows of one mapping for any number of tenancies.

        Raises:
            UnreachableError: the destination does not answer.
            NotInstalledError: a table or column is missing.
            IncompatibleTargetError: a table is not as it has to be.
            RefusedForNowError: the table cannot be written now.
            BadRowError: it refuses a value.
            SupersededError: another worker moved the checkpoint that the slices start from; nothing was written.
            ResendError: it needs the rows again; once for the same slices.
        """

    def deliver_together(self, batches: Sequence[Batch]) -> bool:  # noqa: ARG002 -- for those that can
        """Write small batches of several mappings at once, all or nothing, where that costs less than each by itself.

        Returns:
            Whether they were written; if not, each is to be delivered by itself, which tells what is the matter.

        Raises:
            UnreachableError: the destination does not answer.
        """
        return False

    @abstractmethod
    def record(self, slices: Iterable[Slice]) -> None:
        """Make the checkpoints of delivered slices durable; where rows and checkpoints commit as one, they are."""

    @abstractmethod
    def refusal(self, mapping: SyncMapping, columns: Sequence[ProjectedColumn], blocks: Iterator[bytes]) -> str | None:
        """Return why the destination would refuse rows of some columns, in its own words, or None; write nothing."""


class ReadyDestination(ABC):
    """One of many destinations of a kind, at the moment in which it can be written at once; for one delivery."""

    @property
    @abstractmethod
    def destination_id(self) -> str:
        """Id in dbsync.destination and in dbsync.pending."""

    @abstractmethod
    def deliver(self, slices: Sequence[Slice], rows: Sequence[Rows]) -> bool:
        """Write few rows, which may be older than the slices, and the slices' checkpoints, all or nothing.

        Returns:
            Whether they were written. If not, something is not as the slices say, or has to be looked after.

        Raises:
            DbsyncError: it cannot be written; nothing was.
        """
