"""What the pipeline owns in an external database: a schema with a table a mapping, checkpoints, and a list of itself.

The list is the marker: what it does not name, columns of a table included, is somebody else's and is never touched,
granted on or dropped. Objects are compared once a session by their fingerprints and changed only where these differ,
one session at a time, and each table by itself, so that one that cannot be made keeps no other from being filled.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from dbsync_pipeline.destinations.postgres import catalog
from dbsync_pipeline.errors import IncompatibleTargetError
from dbsync_pipeline.mappings.relation import joined, shortened
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.mappings.types import data_type

TENANCY = "tenancy_id"
SEQUENCE = "sync_sequence_id"

CHECKPOINT = "sync_checkpoint"
_INSTALLED = "sync_installed"
_FORMAT = "1"
"""Raised when what is made here changes for the same mapping."""

_PUBLIC = "PUBLIC"
_SLOWEST_BYTES_PER_SECOND = 1_000_000

_BOOKS: tuple[LiteralString, ...] = (
    """
    create table if not exists {installed} (
        object_id text primary key,
        fingerprint text not null,
        columns text[] not null,
        installed_at timestamptz not null default clock_timestamp()
    )
    """,
    "comment on table {installed} is 'What dbsync made in this schema, and keeps up to date.'",
    """
    create table if not exists {checkpoint} (
        tenancy_id {tenancy_type},
        mapping_id text,
        version text not null,
        epoch integer not null,
        sequence_id bigint not null,
        recorded_at timestamptz not null default clock_timestamp(),
        primary key (tenancy_id, mapping_id)
    )
    """,
    "comment on table {checkpoint} is 'How far each table is complete, for each tenancy.'",
    "grant usage on schema {schema} to {readers}",
)


@dataclass(frozen=True)
class ExternalColumn:
    """A column of a copy."""

    name: str
    type: str
    neutral: str
    nullable: bool = False
    description: str = ""

    @property
    def bare_type(self) -> str:
        """The type without its arguments, which is what arrays of it are made of."""
        return self.type.partition("(")[0]

    @property
    def definition(self) -> sql.Composed:
        """Its part of CREATE TABLE."""
        return sql.SQL("{} {} {}").format(
            sql.Identifier(self.name), _raw(self.type), sql.SQL("" if self.nullable else "not null")
        )


class ExternalTables:
    """Names and statements of one schema.

    Args:
        schema: where everything is.
        tenancy_type: declared type of tenancy ids.
        readers: role that may read the copies, or PUBLIC.
    """

    def __init__(self, schema: str, tenancy_type: str, readers: str) -> None:
        self.schema = schema
        self.tenancy_type = data_type(tenancy_type).postgres
        self._tenancy_neutral = data_type(tenancy_type).neutral
        self._readers = readers
        # By code version: to generate those of twelve mappings takes as long as three small deliveries.
        self._known_fingerprints: dict[str, str] = {}
        self._known_intact: dict[tuple[str, ...], bytes] = {}

    def table(self, mapping: SyncMapping) -> sql.Identifier:
        """Quoted name of a mapping's table."""
        return sql.Identifier(self.schema, mapping.mapping_id)

    @property
    def checkpoint(self) -> sql.Identifier:
        """Quoted name of the checkpoint table."""
        return sql.Identifier(self.schema, CHECKPOINT)

    @property
    def _installed(self) -> sql.Identifier:
        return sql.Identifier(self.schema, _INSTALLED)

    def columns(self, mapping: SyncMapping) -> tuple[ExternalColumn, ...]:
        """Return every column of a mapping's table, the bookkeeping last."""
        own = (
            ExternalColumn(
                entry.name, entry.data_type.postgres, entry.data_type.neutral, entry.nullable, entry.description
            )
            for entry in mapping.columns_for("postgres")
        )
        return (
            ExternalColumn(TENANCY, self.tenancy_type, self._tenancy_neutral),
            *own,
            ExternalColumn(SEQUENCE, "bigint", "0", description="Newest change of the row that has arrived."),
        )

    @staticmethod
    def key(mapping: SyncMapping) -> tuple[str, ...]:
        """Return the columns that tell rows apart; several tenancies may share a database."""
        return (TENANCY, *mapping.key)

    def prepare(self, connection: psycopg.Connection, place: str) -> None:
        """Make the schema and the two tables that are not a mapping's; costs one query where they are there.

        Raises:
            IncompatibleTargetError: the schema is somebody else's.
            psycopg.Error: the database refuses.
        """
        books = [name.as_string(None) for name in (self._installed, self.checkpoint)]
        if connection.execute("select to_regclass(%s) is null or to_regclass(%s) is null", books).fetchone() == (True,):
            with connection.transaction():
                self._lock(connection)
                self._own_schema(connection, place)

    def outdated(self, listing: Iterable[tuple[str, str, bool]], mappings: Sequence[SyncMapping]) -> list[SyncMapping]:
        """Return the mappings whose tables are missing, or not as they have to be, by what `listing` has found."""
        installed = {object_id: (fingerprint, whole) for object_id, fingerprint, whole in listing}
        return [entry for entry in mappings if installed.get(entry.mapping_id) != (self.fingerprint(entry), True)]

    def install(self, connection: psycopg.Connection, mapping: SyncMapping, place: str) -> None:
        """Make or upgrade the table of a mapping, whatever the list says of it.

        Raises:
            IncompatibleTargetError: somebody else's object stands in the way, or ours cannot be changed safely.
            psycopg.Error: the database refuses.
        """
        with connection.transaction():
            self._lock(connection)
            if mapping.mapping_id in self._fingerprints(connection):
                if self._upgrade(connection, mapping, place):
                    self._distrust(connection, mapping)
            else:
                self._refuse_strangers(connection, mapping, place)
                connection.execute(self._create(mapping))
                forget = sql.SQL("delete from {} where mapping_id = {}")
                connection.execute(forget.format(self.checkpoint, sql.Literal(mapping.mapping_id)))
            self._describe(connection, mapping)
            connection.execute(
                sql.SQL("grant select on {} to {}").format(self.table(mapping), self._grantee),
            )
            remember = sql.SQL(
                "insert into {} (object_id, fingerprint, columns) values (%s, %s, %s) "
                "on conflict (object_id) do update set fingerprint = excluded.fingerprint, "
                "columns = excluded.columns, installed_at = clock_timestamp()"
            ).format(self._installed)
            names = [column.name for column in self.columns(mapping)]
            connection.execute(remember, [mapping.mapping_id, self.fingerprint(mapping), names])

    def size_bytes(self, connection: psycopg.Connection, mapping: SyncMapping) -> int:
        """Return how much the rows of a mapping's table take; 0 where it is not there."""
        name = self.table(mapping).as_string(None)
        row = connection.execute("select coalesce(pg_relation_size(to_regclass(%s)), 0)", [name]).fetchone()
        return row[0] if row is not None else 0

    @staticmethod
    def seconds(connection: psycopg.Connection, table: sql.Identifier) -> float:
        """Return how long going through all of a table may take at the worst, as building its key does."""
        name = table.as_string(None)
        row = connection.execute("select coalesce(pg_table_size(to_regclass(%s)), 0)", [name]).fetchone()
        return (row[0] if row is not None else 0) / _SLOWEST_BYTES_PER_SECOND

    def drop_key(self, connection: psycopg.Connection, mapping: SyncMapping) -> None:
        """Leave a table without its key while it is filled: built at the end, it takes a fifth of the time."""
        named = "select conname from pg_constraint where contype = 'p' and conrelid = %s::regclass"
        for (name,) in connection.execute(named, [self.table(mapping).as_string(None)]).fetchall():
            statement = sql.SQL("alter table {} drop constraint {}")
            connection.execute(statement.format(self.table(mapping), sql.Identifier(name)))

    def add_key(self, connection: psycopg.Connection, mapping: SyncMapping) -> None:
        """Give a table its key where it has none; who reads waits for the last moment of it only."""
        table = self.table(mapping)
        if catalog.primary_key(connection, table):
            return
        index = sql.Identifier(f"{shortened(mapping.mapping_id, 58)}_pkey")
        columns = joined(sql.Identifier(name) for name in self.key(mapping))
        connection.execute(sql.SQL("create unique index {} on {} ({})").format(index, table, columns))
        connection.execute(sql.SQL("alter table {} add primary key using index {}").format(table, index))

    def made(self, connection: psycopg.Connection) -> list[str]:
        """Return the mappings' tables that dbsync has made and that are there, and keep others from changing the list.

        What mappings that are gone have left is among them.
        """
        self._lock(connection)
        if connection.execute("select to_regclass(%s)", [self._installed.as_string(None)]).fetchone() == (None,):
            return []
        return sorted(self._fingerprints(connection))

    def drop_unused(self, connection: psycopg.Connection, table: str) -> None:
        """Drop one of these tables, unless some tenancy has a row or a checkpoint of it."""
        names = {"table": sql.Identifier(self.schema, table), "checkpoint": self.checkpoint, "made": self._installed}
        connection.execute(sql.SQL("lock table {table} in access exclusive mode").format(**names))
        is_used = sql.SQL(
            "select exists (select from {table}) or exists (select from {checkpoint} where mapping_id = %s)"
        ).format(**names)
        if connection.execute(is_used, [table]).fetchone() == (False,):
            connection.execute(sql.SQL("drop table {table}").format(**names))
            connection.execute(sql.SQL("delete from {made} where object_id = %s").format(**names), [table])

    def _lock(self, connection: psycopg.Connection) -> None:
        connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"dbsync {self.schema}"])

    def _distrust(self, connection: psycopg.Connection, mapping: SyncMapping) -> None:
        """What is there was delivered in another form: it counts for nothing, but is not forgotten either."""
        distrust = sql.SQL("update {} set version = '' where mapping_id = {}")
        connection.execute(distrust.format(self.checkpoint, sql.Literal(mapping.mapping_id)))

    def fingerprint(self, mapping: SyncMapping) -> str:
        """Tell what a mapping's table has to be from what it was."""
        known = self._known_fingerprints.get(mapping.code_version)
        if known is None:
            text = f"{_FORMAT} {self._readers} {self._create(mapping).as_string(None)}"
            known = self._known_fingerprints[mapping.code_version] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return known

    def _fingerprints(self, connection: psycopg.Connection) -> dict[str, str]:
        return {object_id: fingerprint for object_id, fingerprint, _ in self.listing(connection)}

    def listing(self, connection: psycopg.Connection) -> psycopg.Cursor[tuple[str, str, bool]]:
        """Ask for the fingerprint of every table that is there, and whether all its columns are, and its key.

        What the database's owner has dropped is made again; a key is also missing where a first load was cut short.
        """
        return connection.execute(self._listing)

    # Both in one piece, as to put a statement together takes as long as to send it.
    @cached_property
    def _listing(self) -> bytes:
        return (
            sql.SQL(
                "select object_id, fingerprint, columns <@ array(select attname::text from pg_attribute "
                "where attrelid = there.id and attnum > 0 and not attisdropped) "
                "and exists (select from pg_index where indrelid = there.id and indisprimary) as whole "
                "from {} cross join to_regclass(quote_ident({}) || '.' || quote_ident(object_id)) as there (id) "
                "where there.id is not null"
            )
            .format(self._installed, sql.Literal(self.schema))
            .as_bytes(None)
        )

    def intact(self, mappings: Sequence[SyncMapping]) -> bytes:
        """Tell whether the tables of mappings are as they have to be and have checkpoints of a tenancy, given by id."""
        which = tuple(mapping.code_version for mapping in mappings)
        known = self._known_intact.get(which)
        if known is None:
            wanted = [(entry.mapping_id, self.fingerprint(entry)) for entry in mappings]
            known = self._known_intact[which] = (
                sql.SQL(
                    "select (select count(*) from (values {wanted}) as wanted (object_id, fingerprint) "
                    "join ({listing}) as found using (object_id, fingerprint) "
                    "join {checkpoint} as c on c.tenancy_id = %s and c.mapping_id = wanted.object_id "
                    "where found.whole and c.version <> '') = {count}"
                )
                .format(
                    wanted=joined(sql.SQL("({}, {})").format(*entry) for entry in wanted),
                    listing=_raw(self._listing.decode()),
                    checkpoint=self.checkpoint,
                    count=sql.Literal(len(wanted)),
                )
                .as_bytes(None)
            )
        return known

    @property
    def _grantee(self) -> sql.Composable:
        return sql.SQL("public") if self._readers.upper() == _PUBLIC else sql.Identifier(self._readers)

    def _own_schema(self, connection: psycopg.Connection, place: str) -> None:
        present = self._present(connection)
        marker = connection.execute("select to_regclass(%s)", [self._installed.as_string(None)]).fetchone()
        if present and marker == (None,):
            raise IncompatibleTargetError(
                f"schema {self.schema} at {place} holds {present[0]}, which dbsync did not make",
                "Set DBSYNC_EXTERNAL_SCHEMA to the name of a schema that is empty or not there.",
            )
        # Whoever may not create a schema can be given an empty one, so it is not even asked for where it is there.
        if connection.execute("select to_regnamespace(quote_ident(%s))", [self.schema]).fetchone() == (None,):
            connection.execute(sql.SQL("create schema {}").format(sql.Identifier(self.schema)))
        for statement in _BOOKS:
            connection.execute(
                sql.SQL(statement).format(
                    installed=self._installed,
                    checkpoint=self.checkpoint,
                    schema=sql.Identifier(self.schema),
                    tenancy_type=_raw(self.tenancy_type),
                    readers=self._grantee,
                )
            )
        if present:
            # Without checkpoints, nobody knows what the tables hold; that they hold something must not be forgotten.
            for name in self._fingerprints(connection):
                remember = sql.SQL(
                    "insert into {} (tenancy_id, mapping_id, version, epoch, sequence_id) "
                    "select distinct {}, {}, '', 0, 0 from {} on conflict do nothing"
                )
                table = sql.Identifier(self.schema, name)
                tenancy = sql.Identifier(TENANCY)
                connection.execute(remember.format(self.checkpoint, tenancy, sql.Literal(name), table))

    def _present(self, connection: psycopg.Connection) -> list[str]:
        """Return whatever is in the schema, of any kind, tables first."""
        with connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(
                "select pg_describe_object(d.classid, d.objid, 0) from pg_depend d "
                "where d.refclassid = 'pg_namespace'::regclass and d.refobjid = to_regnamespace(quote_ident(%s)) "
                "and d.classid <> 'pg_default_acl'::regclass order by d.classid <> 'pg_class'::regclass, 1",
                [self.schema],
            ).fetchall()

    def _refuse_strangers(self, connection: psycopg.Connection, mapping: SyncMapping, place: str) -> None:
        there = connection.execute("select to_regclass(%s)", [self.table(mapping).as_string(None)]).fetchone()
        if there != (None,):
            raise IncompatibleTargetError(
                f"{self.schema}.{mapping.mapping_id} at {place} was not made by dbsync",
                "Rename it, or leave the mapping out for this destination; it is tried again by itself.",
            )

    def _create(self, mapping: SyncMapping) -> sql.Composed:
        # A batch written straight into the table must fail at a tombstone, whose sequence id is negative. Each page has
        # room for new versions of its rows, so that most updates need no entry in an index, which would only grow.
        return sql.SQL("create table {} ({}, primary key ({}), check ({} >= 0)) with (fillfactor = 80)").format(
            self.table(mapping),
            joined(column.definition for column in self.columns(mapping)),
            joined(sql.Identifier(name) for name in self.key(mapping)),
            sql.Identifier(SEQUENCE),
        )

    def _describe(self, connection: psycopg.Connection, mapping: SyncMapping) -> None:
        described = sql.SQL("comment on table {} is {}").format(self.table(mapping), sql.Literal(mapping.description))
        connection.execute(described)
        for column in self.columns(mapping):
            if column.description:
                name = sql.Identifier(self.schema, mapping.mapping_id, column.name)
                connection.execute(sql.SQL("comment on column {} is {}").format(name, sql.Literal(column.description)))

    def _upgrade(self, connection: psycopg.Connection, mapping: SyncMapping, place: str) -> bool:
        """Change a table of ours to what the mapping has become; return whether its rows are not whole any more."""
        table = self.table(mapping)
        there = catalog.columns(connection, table)
        listed = sql.SQL("select columns from {} where object_id = {}").format(
            self._installed, sql.Literal(mapping.mapping_id)
        )
        row = connection.execute(listed).fetchone()
        ours = set(row[0]) if row is not None else set[str]()
        wanted = {column.name: column for column in self.columns(mapping)}
        # One statement would add a column before its default can be dropped; several see each other.
        changes = [
            sql.SQL("drop column {}").format(sql.Identifier(name))
            for name in there
            if name in ours and name not in wanted
        ]
        missing = wanted.keys() - there.keys()
        for column in wanted.values():
            name = sql.Identifier(column.name)
            if column.name in missing:
                value = sql.SQL("" if column.nullable else "default {}").format(_raw(column.neutral))
                changes.append(sql.SQL("add column {} {}").format(column.definition, value))
                changes.append(sql.SQL("alter column {} drop default").format(name))
                continue
            type_name, not_null = there[column.name]
            if column.name not in ours:
                raise self._different(mapping, place, f"has a column {column.name} that dbsync did not make")
            if type_name != catalog.canonical(connection, column.type):
                raise self._different(mapping, place, f"column {column.name} is {type_name}, not {column.type}")
            if not_null and column.nullable:
                changes.append(sql.SQL("alter column {} drop not null").format(name))
        self.add_key(connection, mapping)
        if catalog.primary_key(connection, table) != self.key(mapping):
            raise self._different(mapping, place, "has another key than the mapping")
        for change in changes:
            connection.execute(sql.SQL("alter table {} {}").format(table, change))
        return bool(missing)

    def _different(self, mapping: SyncMapping, place: str, how: str) -> IncompatibleTargetError:
        return IncompatibleTargetError(
            f"{self.schema}.{mapping.mapping_id} at {place}: {how}",
            "Change that there, or drop the table; it is then made and filled anew.",
        )


def _raw(text: str) -> sql.SQL:
    """Types and literals come from the type table, never from data."""
    return sql.SQL(text)  # pyright: ignore[reportArgumentType] -- as said
