"""The statements that bring one batch of a mapping into its table: stage, remove, write; or straight in.

A tombstone is a row whose sequence id is negative, so that a batch has the table's own columns and no other.
Within a batch every live row is newer than a tombstone of its key, or as old where a tenancy was renamed, so that
tombstones go first and rows after them. A version that is older than what the table holds changes nothing (I6).
"""

from psycopg import sql

from dbsync_pipeline.destinations.postgres.tables import SEQUENCE, TENANCY, ExternalTables
from dbsync_pipeline.mappings.relation import column, joined, same_columns
from dbsync_pipeline.mappings.spec import SyncMapping

_TARGET = "target"
_STAGED = "staged"


class MergeStatements:
    """What one mapping needs in one session."""

    def __init__(self, tables: ExternalTables, mapping: SyncMapping) -> None:
        self._target = tables.table(mapping)
        self._key = tables.key(mapping)
        self._columns = tables.columns(mapping)
        self._stage = sql.Identifier("pg_temp", f"dbsync_{mapping.mapping_id}")

    @property
    def make_stage(self) -> sql.Composed:
        """Make the table that batches arrive in, one a transaction, in this session; it takes tombstones, too."""
        definitions = (
            sql.SQL("{} {}").format(sql.Identifier(entry.name), sql.SQL(entry.type))  # pyright: ignore[reportArgumentType] -- from the type table
            for entry in self._columns
        )
        return sql.SQL("create temporary table {} ({}) on commit delete rows").format(self._stage, joined(definitions))

    @property
    def copy(self) -> sql.Composed:
        """Take a batch in, in the order of the projection."""
        return self._copy(self._stage)

    @property
    def fill(self) -> sql.Composed:
        """Take a batch straight into the table; a row that is there already, or a tombstone, makes it fail."""
        return self._copy(self._target)

    def _copy(self, table: sql.Identifier) -> sql.Composed:
        names = joined(sql.Identifier(entry.name) for entry in self._columns)
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
        return sql.SQL(
            "delete from {target} as target using {stage} as staged where {new} < 0 and {same} and {there} <= -{new}"
        ).format(
            target=self._target,
            stage=self._stage,
            same=same_columns(self._key, _TARGET, _STAGED),
            there=column(SEQUENCE, _TARGET),
            new=column(SEQUENCE, _STAGED),
        )

    @property
    def write(self) -> sql.Composed:
        """Write the rows that exist, unless something newer is there."""
        names = [sql.Identifier(entry.name) for entry in self._columns]
        return sql.SQL(
            "insert into {target} as target ({names}) select {names} from {stage} where {sequence} >= 0 "
            "on conflict ({key}) do update set {values} where {there} <= {new}"
        ).format(
            target=self._target,
            names=joined(names),
            stage=self._stage,
            sequence=sql.Identifier(SEQUENCE),
            key=joined(sql.Identifier(name) for name in self._key),
            values=joined(
                sql.SQL("{} = {}").format(sql.Identifier(entry.name), column(entry.name, "excluded"))
                for entry in self._columns
                if entry.name not in self._key
            ),
            there=column(SEQUENCE, _TARGET),
            new=column(SEQUENCE, "excluded"),
        )
