"""What the pipeline owns in an external database: a schema with a table a mapping, checkpoints, and a list of itself.

The list is the marker: what it does not name is somebody else's and is never touched, granted on or dropped. Objects
are compared once a session by their fingerprints and changed only where these differ, one session at a time.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from dbsync_pipeline.errors import IncompatibleTargetError
from dbsync_pipeline.mappings.relation import joined
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.mappings.types import data_type

TENANCY = "tenancy_id"
SEQUENCE = "sync_sequence_id"
DELETED = "sync_is_deleted"

_CHECKPOINT = "sync_checkpoint"
_INSTALLED = "sync_installed"
_FORMAT = "1"
"""Raised when what is made here changes for the same mapping."""

_PUBLIC = "PUBLIC"

_BOOKS: tuple[LiteralString, ...] = (
    """
    create table if not exists {installed} (
        object_id text primary key,
        fingerprint text not null,
        installed_at timestamptz not null default clock_timestamp()
    )
    """,
    "comment on table {installed} is 'What dbsync made in this schema, and keeps up to date.'",
    """
    create table if not exists {checkpoint} (
        tenancy_id {tenancy_type},
        mapping_id text,
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

    def table(self, mapping: SyncMapping) -> sql.Identifier:
        """Quoted name of a mapping's table."""
        return sql.Identifier(self.schema, mapping.mapping_id)

    @property
    def checkpoint(self) -> sql.Identifier:
        """Quoted name of the checkpoint table."""
        return sql.Identifier(self.schema, _CHECKPOINT)

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

    def outdated(self, connection: psycopg.Connection, mappings: Sequence[SyncMapping]) -> list[SyncMapping]:
        """Return those mappings whose tables are missing there, or are not what they should be."""
        return self._missing(self._fingerprints(connection), mappings)

    def ensure(self, connection: psycopg.Connection, mappings: Sequence[SyncMapping], place: str) -> None:
        """Make or upgrade what these mappings need; costs one query where there is nothing to do.

        Raises:
            IncompatibleTargetError: somebody else's object stands in the way, or ours cannot be changed safely.
            psycopg.Error: the database refuses.
        """
        if self.outdated(connection, mappings):
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"dbsync {self.schema}"])
                self._install(connection, mappings, place)

    def _missing(self, installed: dict[str, str], mappings: Sequence[SyncMapping]) -> list[SyncMapping]:
        return [entry for entry in mappings if installed.get(entry.mapping_id) != self._fingerprint(entry)]

    def _fingerprint(self, mapping: SyncMapping) -> str:
        text = self._create(mapping).as_string(None)
        return hashlib.sha256(f"{_FORMAT} {self._readers} {text}".encode()).hexdigest()[:16]

    def _fingerprints(self, connection: psycopg.Connection) -> dict[str, str]:
        found = connection.execute("select to_regclass(%s)", [self._installed.as_string(None)]).fetchone()
        if found == (None,):
            return {}
        # A table that its database's owner has dropped is made again.
        listed = sql.SQL(
            "select object_id, fingerprint from {} where to_regclass(format('%I.%I', {}, object_id)) is not null"
        ).format(self._installed, sql.Literal(self.schema))
        return dict(connection.execute(listed).fetchall())

    def _install(self, connection: psycopg.Connection, mappings: Sequence[SyncMapping], place: str) -> None:
        self._own_schema(connection, place)
        installed = self._fingerprints(connection)
        for mapping in self._missing(installed, mappings):
            if mapping.mapping_id in installed:
                self._upgrade(connection, mapping, place)
            else:
                self._refuse_strangers(connection, mapping, place)
                connection.execute(self._create(mapping))
                forget = sql.SQL("delete from {} where mapping_id = {}")
                connection.execute(forget.format(self.checkpoint, sql.Literal(mapping.mapping_id)))
            self._describe(connection, mapping)
            connection.execute(
                sql.SQL("grant select on {} to {}").format(self.table(mapping), self._grantee),
            )
            connection.execute(
                sql.SQL(
                    "insert into {} (object_id, fingerprint) values ({}, {}) on conflict (object_id) "
                    "do update set fingerprint = excluded.fingerprint, installed_at = clock_timestamp()"
                ).format(self._installed, sql.Literal(mapping.mapping_id), sql.Literal(self._fingerprint(mapping)))
            )

    @property
    def _grantee(self) -> sql.Composable:
        return sql.SQL("public") if self._readers.upper() == _PUBLIC else sql.Identifier(self._readers)

    def _own_schema(self, connection: psycopg.Connection, place: str) -> None:
        strangers = self._relations(connection)
        if _INSTALLED not in strangers and strangers:
            raise IncompatibleTargetError(
                f"schema {self.schema} at {place} holds {strangers[0]}, which dbsync did not make",
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

    def _relations(self, connection: psycopg.Connection) -> list[str]:
        with connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(
                "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                "where n.nspname = %s order by 1",
                [self.schema],
            ).fetchall()

    def _refuse_strangers(self, connection: psycopg.Connection, mapping: SyncMapping, place: str) -> None:
        if mapping.mapping_id in self._relations(connection):
            raise IncompatibleTargetError(
                f"{self.schema}.{mapping.mapping_id} at {place} was not made by dbsync",
                "Rename it, or leave the mapping out for this destination; it is tried again by itself.",
            )

    def _create(self, mapping: SyncMapping) -> sql.Composed:
        return sql.SQL("create table {} ({}, primary key ({}))").format(
            self.table(mapping),
            joined(column.definition for column in self.columns(mapping)),
            joined(sql.Identifier(name) for name in self.key(mapping)),
        )

    def _describe(self, connection: psycopg.Connection, mapping: SyncMapping) -> None:
        described = sql.SQL("comment on table {} is {}").format(self.table(mapping), sql.Literal(mapping.description))
        connection.execute(described)
        for column in self.columns(mapping):
            if column.description:
                name = sql.Identifier(self.schema, mapping.mapping_id, column.name)
                connection.execute(sql.SQL("comment on column {} is {}").format(name, sql.Literal(column.description)))

    def _upgrade(self, connection: psycopg.Connection, mapping: SyncMapping, place: str) -> None:
        """Change a table of ours to what the mapping has become; its rows are delivered anew."""
        table = self.table(mapping)
        present = _present(connection, table)
        wanted = {column.name: column for column in self.columns(mapping)}
        changes = [sql.SQL("drop column {}").format(sql.Identifier(name)) for name in present if name not in wanted]
        for column in wanted.values():
            name = sql.Identifier(column.name)
            there = present.get(column.name)
            if there is None:
                value = sql.SQL("" if column.nullable else "default {}").format(_raw(column.neutral))
                changes.append(sql.SQL("add column {} {}").format(column.definition, value))
                changes.append(sql.SQL("alter column {} drop default").format(name))
            elif there[0] != _canonical(connection, column.type):
                raise IncompatibleTargetError(
                    f"{self.schema}.{mapping.mapping_id} at {place}: column {column.name} is {there[0]}, "
                    f"not {column.type}",
                    "Drop the table and its line in sync_installed there; it is made and filled anew.",
                )
            elif there[1] and column.nullable:
                changes.append(sql.SQL("alter column {} drop not null").format(name))
        if _primary_key(connection, table) != self.key(mapping):
            raise IncompatibleTargetError(
                f"{self.schema}.{mapping.mapping_id} at {place} has another key than the mapping",
                "Drop the table and its line in sync_installed there; it is made and filled anew.",
            )
        if changes:
            # One statement would add a column before its default can be dropped; several see each other.
            for change in changes:
                connection.execute(sql.SQL("alter table {} {}").format(table, change))


def _raw(text: str) -> sql.SQL:
    """Types and literals come from the type table, never from data."""
    return sql.SQL(text)  # pyright: ignore[reportArgumentType] -- as said


def _canonical(connection: psycopg.Connection, type_name: str) -> str:
    """Return a type as Postgres writes it."""
    result = connection.execute(sql.SQL("select null::{}").format(_raw(type_name))).pgresult
    assert result is not None
    row = connection.execute("select format_type(%s, %s)", [result.ftype(0), result.fmod(0)]).fetchone()
    assert row is not None
    return row[0]


def _present(connection: psycopg.Connection, table: sql.Identifier) -> dict[str, tuple[str, bool]]:
    rows = connection.execute(
        "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        [table.as_string(None)],
    )
    return {name: (type_name, not_null) for name, type_name, not_null in rows}


def _primary_key(connection: psycopg.Connection, table: sql.Identifier) -> tuple[str, ...]:
    rows = connection.execute(
        "select a.attname from pg_index i cross join unnest(i.indkey) with ordinality as k (attnum, position) "
        "join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum "
        "where i.indrelid = %s::regclass and i.indisprimary order by k.position",
        [table.as_string(None)],
    )
    return tuple(name for (name,) in rows)
