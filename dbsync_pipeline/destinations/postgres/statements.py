"""The statements that bring one batch of a mapping into its table: stage, remove, write; or straight in.

A small batch needs no stage: it comes as parameters, an array for each column, to statements that are prepared.

A tombstone is a row whose sequence id is negative, so that a batch has the table's own columns and no other.
Within a batch every live row is newer than a tombstone of its key, so that tombstones go first and rows after them. A
version that is older than what the table holds changes nothing (I6), whichever piece of a batch it comes in.
"""

from functools import cached_property

from psycopg import sql

from dbsync_pipeline.destinations.base import SEQUENCE_ID, ProjectedColumn
from dbsync_pipeline.destinations.postgres.tables import SEQUENCE, TENANCY, ExternalTables
from dbsync_pipeline.mappings.relation import column, joined, same_columns
from dbsync_pipeline.mappings.spec import SyncMapping

_TARGET = "target"
_STAGED = "staged"


class Merges:
    """The statements of one schema, put together once for each mapping.

    Args:
        tables: names there.
    """

    def __init__(self, tables: ExternalTables) -> None:
        self.tables = tables
        self._made: dict[str, MergeStatements] = {}

    @cached_property
    def move(self) -> bytes:
        """Move checkpoints, given as JSON, from where they were found; no row for one that was moved meanwhile."""
        return (
            sql.SQL(
                "update {checkpoint} as c set version = m.version, epoch = m.epoch, sequence_id = m.sequence_id, "
                "recorded_at = clock_timestamp() from json_to_recordset(%s::json) as m (tenancy_id {tenancy}, "
                "mapping_id text, version text, epoch integer, sequence_id bigint, found_version text, "
                "found_epoch integer, found_sequence_id bigint) "
                "where (c.tenancy_id, c.mapping_id, c.version, c.epoch, c.sequence_id) "
                "= (m.tenancy_id, m.mapping_id, m.found_version, m.found_epoch, m.found_sequence_id)"
            )
            .format(checkpoint=self.tables.checkpoint, tenancy=self._tenancy)
            .as_bytes(None)
        )

    @property
    def _tenancy(self) -> sql.SQL:
        return sql.SQL(self.tables.tenancy_type)  # pyright: ignore[reportArgumentType] -- from the type table

    def of(self, mapping: SyncMapping) -> "MergeStatements":
        """Return the statements of a mapping."""
        made = self._made.get(mapping.code_version)
        if made is None:
            made = self._made[mapping.code_version] = MergeStatements(self.tables, mapping)
        return made


class MergeStatements:
    """What one mapping needs, in any session."""

    def __init__(self, tables: ExternalTables, mapping: SyncMapping) -> None:
        self.projection = _projection(tables, mapping)
        self._target = tables.table(mapping)
        self._key = tables.key(mapping)
        self.columns = tables.columns(mapping)
        self._stage = sql.Identifier("pg_temp", f"dbsync_{mapping.mapping_id}")

    @property
    def make_stage(self) -> sql.Composed:
        """Make the table that pieces of batches arrive in, in this session; it takes tombstones, too."""
        definitions = (
            sql.SQL("{} {}").format(sql.Identifier(entry.name), sql.SQL(entry.type))  # pyright: ignore[reportArgumentType] -- from the type table
            for entry in self.columns
        )
        return sql.SQL("create temporary table {} ({}) on commit delete rows").format(self._stage, joined(definitions))

    @property
    def empty_stage(self) -> sql.Composed:
        """Make room for the next piece of a transaction."""
        return sql.SQL("truncate {}").format(self._stage)

    @property
    def copy(self) -> sql.Composed:
        """Take a batch in, in the order of the projection."""
        return self._copy(self._stage)

    @property
    def fill(self) -> sql.Composed:
        """Take a batch straight into the table; a row that is there already, or a tombstone, makes it fail."""
        return self._copy(self._target)

    def _copy(self, table: sql.Identifier) -> sql.Composed:
        names = joined(sql.Identifier(entry.name) for entry in self.columns)
        return sql.SQL("copy {} ({}) from stdin (format binary)").format(table, names)

    @property
    def is_empty(self) -> sql.Composed:
        """Tell whether the table holds nothing at all."""
        return sql.SQL("select not exists (select from {})").format(self._target)

    @property
    def is_shared(self) -> sql.Composed:
        """Tell whether the table holds rows of any other tenancy than the one given, by both ends of its key.

        Without statistics, as after a first load, a search for other tenancies would read the whole table.
        """
        return sql.SQL(
            "select (select {tenancy} from {table} order by {tenancy} limit 1) <> %(owner)s "
            "or (select {tenancy} from {table} order by {tenancy} desc limit 1) <> %(owner)s"
        ).format(table=self._target, tenancy=sql.Identifier(TENANCY))

    @property
    def has_strangers(self) -> sql.Composed:
        """Tell whether rows that were added from a page on, of a table without a key, are of any other tenancy."""
        return sql.SQL(
            "select exists (select from {} where ctid >= format('(%%s,0)', %(page)s::bigint)::tid "
            "and {} is distinct from %(owner)s)"
        ).format(self._target, sql.Identifier(TENANCY))

    @property
    def contents(self) -> sql.Composed:
        """Count staged rows of any other tenancy than the one given, and tombstones."""
        return sql.SQL(
            "select count(*) filter (where {} is distinct from %s), count(*) filter (where {} < 0) from {}"
        ).format(sql.Identifier(TENANCY), sql.Identifier(SEQUENCE), self._stage)

    @property
    def remove(self) -> sql.Composed:
        """Remove what is gone, unless something newer is there."""
        return self._remove(sql.SQL("{} as staged").format(self._stage))

    @property
    def write(self) -> sql.Composed:
        """Write the rows that exist, unless something newer is there."""
        return self._write(sql.SQL("{} as staged").format(self._stage))

    # In one piece: to put a statement together takes as long as to send it.
    @cached_property
    def remove_given(self) -> bytes:
        """Remove as `remove` does, by an array for each column."""
        return self._remove(self._given).as_bytes(None)

    @cached_property
    def write_given(self) -> bytes:
        """Write as `write` does, by an array for each column."""
        return self._write(self._given).as_bytes(None)

    @property
    def _given(self) -> sql.Composed:
        arrays = (sql.SQL("%s::{}[]").format(sql.SQL(entry.bare_type)) for entry in self.columns)  # pyright: ignore[reportArgumentType] -- from the type table
        names = joined(sql.Identifier(entry.name) for entry in self.columns)
        return sql.SQL("unnest({}) as staged ({})").format(joined(arrays), names)

    def _remove(self, batch: sql.Composed) -> sql.Composed:
        return sql.SQL(
            "delete from {target} as target using {batch} where {new} < 0 and {same} and {there} <= -{new}"
        ).format(
            target=self._target,
            batch=batch,
            same=same_columns(self._key, _TARGET, _STAGED),
            there=column(SEQUENCE, _TARGET),
            new=column(SEQUENCE, _STAGED),
        )

    def _write(self, batch: sql.Composed) -> sql.Composed:
        names = [sql.Identifier(entry.name) for entry in self.columns]
        return sql.SQL(
            "insert into {target} as target ({names}) select {names} from {batch} where {sequence} >= 0 "
            "on conflict ({key}) do update set {values} where {there} <= {new}"
        ).format(
            target=self._target,
            names=joined(names),
            batch=batch,
            sequence=sql.Identifier(SEQUENCE),
            key=joined(sql.Identifier(name) for name in self._key),
            values=joined(
                sql.SQL("{} = {}").format(sql.Identifier(entry.name), column(entry.name, "excluded"))
                for entry in self.columns
                if entry.name not in self._key
            ),
            there=column(SEQUENCE, _TARGET),
            new=column(SEQUENCE, "excluded"),
        )


def _projection(tables: ExternalTables, mapping: SyncMapping) -> tuple[ProjectedColumn, ...]:
    """Return the tenancy, the mapping's columns, and the bookkeeping, as the source is to send them."""
    tenancy = f"tenancy.tenancy_id::{tables.tenancy_type}"
    return (
        ProjectedColumn(TENANCY, tenancy, tenancy),
        *(
            ProjectedColumn(
                entry.name,
                entry.converted,
                entry.converted if entry.name in mapping.key else f"null::{entry.data_type.postgres}",
            )
            for entry in mapping.columns_for("postgres")
        ),
        ProjectedColumn(SEQUENCE, SEQUENCE_ID, f"-{SEQUENCE_ID}"),
    )
