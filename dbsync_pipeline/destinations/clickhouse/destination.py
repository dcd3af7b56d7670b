"""ClickHouse as a destination.

COPY's text format is ClickHouse's TabSeparated, so that rows pass through Python as blocks of bytes and one INSERT
carries a mapping's rows of any number of tenancies. Every version of a row is inserted; ReplacingMergeTree keeps the
one with the highest sequence id (I6). Rows go first, checkpoints after them, and of several checkpoints the highest
counts, whoever wrote it last (I5).
"""

from collections.abc import Iterable, Iterator, Sequence
from uuid import uuid4

from dbsync_pipeline.destinations.base import SEQUENCE_ID, Checkpoint, Destination, Pair, ProjectedColumn, Slice
from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.part_budget import PartBudget
from dbsync_pipeline.errors import BadRowError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.mappings.spec import SyncMapping, TenancyId
from dbsync_pipeline.mappings.types import data_type

_INSERT_SETTINGS: dict[str, object] = {
    # A NULL where the table has none is an error to report, not a default to invent.
    "input_format_null_as_default": 0,
    # The fast parser is off by a bit for some doubles.
    "precise_float_parsing": 1,
    # An acknowledged insert is on disk, all of it, and as it was sent, whatever the user's profile says.
    "async_insert": 0,
    "insert_distributed_sync": 1,
    "input_format_allow_errors_num": 0,
    "input_format_allow_errors_ratio": 0,
    "input_format_tsv_skip_first_lines": 0,
    "input_format_tsv_empty_as_default": 0,
    "format_tsv_null_representation": r"\N",
}

_PAIRS_BYTES = 250_000
"""So much of pairs fits into the longest query that a server takes unless told otherwise, 256 KiB."""


class ClickHouseDestination(Destination):
    """One worker's view of ClickHouse; the client may be shared."""

    def __init__(self, clickhouse: ClickHouse, catalog: Catalog, names: tables.ClickHouseNames) -> None:
        self._clickhouse = clickhouse
        self._catalog = catalog
        self._names = names
        self._budget = PartBudget(clickhouse, names.internal)

    @property
    def destination_id(self) -> str:
        """The one id there is: all tenancies share this copy."""
        return CLICKHOUSE

    @property
    def copy_format(self) -> str:
        """Text, as it stands."""
        return "format text"

    @property
    def deliveries_at_once(self) -> int:
        """A few, as an insert waits more than it works."""
        return 4

    @property
    def rows_have_places(self) -> bool:
        """They have: the tenancy's columns begin the sorting key."""
        return True

    def projection(self, mapping: SyncMapping) -> Sequence[ProjectedColumn]:
        """Return the tenancy's columns, the mapping's, and the bookkeeping."""
        tenancy_type = data_type(self._catalog.tenancy.type)
        key = set(mapping.key)
        tenancy = [
            ProjectedColumn(entry.name, f"tenancy.columns->>'{entry.name}'", f"tenancy.columns->>'{entry.name}'")
            for entry in self._catalog.tenancy.columns
        ]
        own = [
            ProjectedColumn(entry.name, entry.converted, entry.converted if entry.name in key else entry.neutral)
            for entry in mapping.columns_for("clickhouse")
        ]
        identifier = f"tenancy.tenancy_id::{tenancy_type.postgres}"
        return (
            *tenancy,
            ProjectedColumn(tables.TENANCY, identifier, identifier),
            *own,
            ProjectedColumn(tables.SEQUENCE, SEQUENCE_ID, SEQUENCE_ID),
            ProjectedColumn(tables.DELETED, "0", "1"),
        )

    def checkpoints(self, pairs: Iterable[Pair]) -> dict[Pair, Checkpoint]:
        """Read the highest checkpoint of each pair, of very many in several queries."""
        wanted = [(pair.mapping_id, pair.tenancy_id) for pair in pairs]
        # A tenancy's id may be any text.
        longest = max((len(_written(pair).encode()) for pair in wanted), default=1)
        at_once = max(_PAIRS_BYTES // longest, 1)
        found: dict[Pair, Checkpoint] = {}
        for start in range(0, len(wanted), at_once):
            rows = self._clickhouse.query(
                "select tenancy_id, mapping_id, max((epoch, sequence_id)) as newest "  # noqa: S608 -- our own name
                f"from {self._names.checkpoint} where (mapping_id, tenancy_id) in %(pairs)s "
                "group by mapping_id, tenancy_id",
                {"pairs": tuple(wanted[start : start + at_once])},
            )
            found |= {Pair(tenancy_id, mapping_id): Checkpoint(*newest) for tenancy_id, mapping_id, newest in rows}
        return found

    def deliver(self, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]) -> None:  # noqa: ARG002 -- every row names its tenancy
        """Stream the blocks into one INSERT."""
        self._budget.spend(mapping.mapping_id)
        names = [column.name for column in self.projection(mapping)]
        self._insert(self._names.table(mapping), names, blocks)

    def record(self, slices: Iterable[Slice]) -> None:
        """Insert the checkpoints of all slices at once."""
        rows = [
            f"{entry.pair.mapping_id}\t{_escaped(str(entry.pair.tenancy_id))}\t{entry.epoch}\t{entry.upto}\n"
            for entry in slices
        ]
        if rows:
            self._budget.spend(tables.CHECKPOINT_TABLE)
            # As text, like the rows: the driver's own inserts first ask for the types and load numpy.
            columns = ["mapping_id", "tenancy_id", "epoch", "sequence_id"]
            self._insert(self._names.checkpoint, columns, "".join(rows).encode())

    def refusal(self, mapping: SyncMapping, columns: Sequence[ProjectedColumn], blocks: Iterator[bytes]) -> str | None:
        """Insert the rows into nothing, as columns of the same types."""
        types = {column.name: column.type for column in tables.columns(self._catalog, mapping)}
        structure = ", ".join(f"{tables.name(column.name)} {types[column.name]}" for column in columns)
        target = f"function null({tables.literal(structure)})"
        try:
            self._insert(target, None, blocks)
        except BadRowError as error:
            return error.what
        return None

    def _insert(self, target: str, columns: Sequence[str] | None, blocks: bytes | Iterator[bytes]) -> None:
        # A block that looks like an earlier one may have been deleted meanwhile; it is wanted all the same. A token
        # that no other insert has tells so; the setting for it has had several names.
        settings = _INSERT_SETTINGS | {"insert_deduplication_token": uuid4().hex}
        self._clickhouse.insert_stream(target, columns, blocks, settings)


def _written(pair: tuple[str, TenancyId]) -> str:
    """Write a pair as a query has it in a list."""
    return f"({', '.join(tables.literal(str(value)) for value in pair)}), "


def _escaped(text: str) -> str:
    """Write a value as TabSeparated has it; a tenancy's id may be any text."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
