"""Reads what the live source looks like, and refuses a mapping that does not fit it.

Every complaint names the file, the line, the reason and the mend. A mapping that passes can neither lose nor multiply
rows, nor meet a NULL where a destination has none. Whether its expressions have the right types is for the database to
say: see `explain.py`.

Mappings may feed each other in a circle, and a table may feed itself. Nothing goes round in it: a mapping reads source
tables, never what another mapping delivered, and a row that is sent again sends its dependants again only when a column
that they read has changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

import psycopg

from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings import expressions
from dbsync_pipeline.mappings.catalog import TENANCY_FILE, Catalog
from dbsync_pipeline.mappings.document import location
from dbsync_pipeline.mappings.relation import LATE_TRIGGERS
from dbsync_pipeline.mappings.spec import SOURCE, Column, Join, SyncMapping, Table


@dataclass(frozen=True)
class SourceColumn:
    """A column of a source table.

    Attributes:
        type: as Postgres writes it, such as `timestamp(3) without time zone`.
        generated_from: the columns that a generated column is computed from; none for any other.
        is_virtual: it is computed when it is read, and NULL in triggers.
    """

    name: str
    type: str
    nullable: bool
    generated_from: tuple[str, ...]
    is_virtual: bool


@dataclass(frozen=True)
class SourceTable:
    """A source table.

    Attributes:
        primary_key: its columns in the key's order; none without a primary key.
        unique_keys: column sets of the valid, immediate, unconditional unique indexes. One with a nullable column does
            not tell rows apart that hold NULL there, but at most one row equals given values.
        indexes: plain columns that a valid, unconditional B-tree starts with.
        is_inherited: it is a partition, or rows of it are rows of another table too.
        later_triggers: of the application, that can change an updated row after it has been looked at.
    """

    table: Table
    columns: dict[str, SourceColumn]
    primary_key: tuple[str, ...]
    unique_keys: tuple[frozenset[str], ...]
    indexes: tuple[tuple[str, ...], ...]
    is_inherited: bool
    later_triggers: tuple[str, ...]

    def identifies(self, columns: frozenset[str]) -> bool:
        """Tell whether at most one row has given values, none of them NULL, in these columns."""
        return any(key <= columns for key in self.unique_keys)


@dataclass(frozen=True)
class SourceSchema:
    """The tables that a catalog reads, as far as they exist, and the names of all there are."""

    tables: dict[Table, SourceTable]
    names: tuple[str, ...] = ()

    def table(self, table: Table) -> SourceTable:
        """Return one table.

        Raises:
            MappingError: the source has no such table.
        """
        if table not in self.tables:
            raise MappingError(f"the source has no table {table}", "Create it, or correct the mapping.")
        return self.tables[table]


_COLUMNS = """
    select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull,
        case when a.attgenerated = '' then '{}' else array(
            select base.attname::text
            from pg_depend d join pg_attribute base on base.attrelid = d.refobjid and base.attnum = d.refobjsubid
            where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid <> a.attnum
                -- Postgres 15 moved the dependency from the column to its expression.
                and ((d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = a.attnum)
                    or (d.classid = 'pg_attrdef'::regclass and d.objid = e.oid))
            order by base.attnum
        ) end,
        a.attgenerated = 'v'
    from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef e on e.adrelid = c.oid and e.adnum = a.attnum
    where c.relkind = 'r' and (n.nspname, c.relname) in (select * from unnest(%(schemas)s::text[], %(names)s::text[]))
    order by c.oid, a.attnum
"""
# An expression has the column number 0, and no name here.
_INDEXES = """
    select n.nspname, c.relname, i.indisprimary, i.indisunique and i.indimmediate,
        array(
            select coalesce(a.attname::text, '')
            from unnest(i.indkey::int2[]) with ordinality as part (number, place)
                left join pg_attribute a on a.attrelid = c.oid and a.attnum = part.number and part.number <> 0
            where part.place <= i.indnkeyatts
            order by part.place
        )
    from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_index i on i.indrelid = c.oid and i.indisvalid and i.indpred is null
        join pg_class x on x.oid = i.indexrelid and x.relam = (select oid from pg_am where amname = 'btree')
    where c.relkind = 'r' and (n.nspname, c.relname) in (select * from unnest(%(schemas)s::text[], %(names)s::text[]))
    order by i.indexrelid
"""
# Of `before` triggers for each row (1 and 2) on UPDATE (16), which fire by name.
_TRAITS = """
    select n.nspname, c.relname, exists (select from pg_inherits where c.oid in (inhrelid, inhparent)),
        array(
            select t.tgname::text
            from pg_trigger t
            where t.tgrelid = c.oid and t.tgtype & 19 = 19 and t.tgenabled <> 'D'
                and t.tgname > %(mark)s and not starts_with(t.tgname::text, %(prefix)s)
            order by t.tgname
        )
    from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and (n.nspname, c.relname) in (select * from unnest(%(schemas)s::text[], %(names)s::text[]))
"""


_NAMES = """
    select n.nspname, c.relname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
    order by 1, 2
"""


def read_schema(connection: psycopg.Connection, catalog: Catalog) -> SourceSchema:
    """Read every ordinary table that the catalog names and the source has."""
    return read_tables(connection, catalog.captured_tables)


def read_tables(connection: psycopg.Connection, wanted: Sequence[Table]) -> SourceSchema:
    """Read those of some tables that the source has, and that are ordinary tables."""
    parameters = {"schemas": [table.schema_name for table in wanted], "names": [table.name for table in wanted]}
    columns = defaultdict[tuple[str, str], dict[str, SourceColumn]](dict)
    primary_keys: dict[tuple[str, str], tuple[str, ...]] = {}
    unique_keys = defaultdict[tuple[str, str], list[frozenset[str]]](list)
    indexes = defaultdict[tuple[str, str], list[tuple[str, ...]]](list)
    for schema_name, table, name, type_, nullable, generated_from, virtual in connection.execute(_COLUMNS, parameters):
        columns[schema_name, table][name] = SourceColumn(name, type_, nullable, tuple(generated_from), virtual)
    for schema_name, table, primary, unique, parts in connection.execute(_INDEXES, parameters):
        plain = tuple[str, ...](takewhile(bool, parts))
        if plain:
            indexes[schema_name, table].append(plain)
        if unique and plain == tuple(parts):
            unique_keys[schema_name, table].append(frozenset(plain))
        if primary:
            primary_keys[schema_name, table] = plain
    parameters |= {"mark": f"{LATE_TRIGGERS}mark", "prefix": LATE_TRIGGERS}
    traits = {
        (schema_name, table): (inherited, tuple[str, ...](later))
        for schema_name, table, inherited, later in connection.execute(_TRAITS, parameters)
    }
    return SourceSchema(
        {
            table: SourceTable(
                table,
                columns[place],
                primary_keys.get(place, ()),
                tuple(unique_keys[place]),
                tuple(indexes[place]),
                *traits[place],
            )
            for table in wanted
            if (place := (table.schema_name, table.name)) in columns
        },
        tuple(str(Table(schema_name=schema_name, name=name)) for schema_name, name in connection.execute(_NAMES)),
    )


def check_catalog(catalog: Catalog, schema: SourceSchema) -> None:
    """Hold the tenancy table and every mapping against the source.

    Raises:
        MappingError: something does not fit; the first such thing.
    """
    tenancy = _Check(catalog.files[TENANCY_FILE], schema)
    table = tenancy.table(catalog.tenancy.table, "table")
    tenancy.not_null(table, catalog.tenancy.id, "id")
    if not table.identifies(frozenset({catalog.tenancy.id})):
        tenancy.refuse(
            f"column {catalog.tenancy.id!r} does not tell the rows of {table.table} apart",
            "Name the primary key, or add a unique index.",
            "id",
        )
    for index, column in enumerate(catalog.tenancy.columns):
        tenancy.not_null(table, column.source, "columns", index, "source")
    for mapping in catalog.mappings:
        _MappingCheck(catalog.files[mapping.mapping_id], schema, mapping).run()


@dataclass(frozen=True)
class _Check:
    path: Path
    schema: SourceSchema

    def refuse(self, reason: str, mend: str, *place: int | str) -> NoReturn:
        raise MappingError(f"{location(self.path, *place)}: {reason}", mend)

    def table(self, table: Table, *place: int | str) -> SourceTable:
        if table not in self.schema.tables:
            mend = f"{_nearest(str(table), self.schema.names)}Only ordinary tables can be followed."
            self.refuse(f"the source has no table {str(table)!r}", mend, *place)
        found = self.schema.tables[table]
        if found.is_inherited:
            self.refuse(
                f"table {table} is a partition, or inherits or is inherited from",
                "What is written by the name of another table does not fire its triggers. Only ordinary tables can be "
                "followed: keep its rows in one.",
                *place,
            )
        return found

    def column(self, table: SourceTable, name: str, *place: int | str) -> SourceColumn:
        if name not in table.columns:
            mend = f"{_nearest(name, table.columns)}It has {', '.join(table.columns)}."
            self.refuse(f"table {table.table} has no column {name!r}", mend, *place)
        return table.columns[name]

    def stored(self, table: SourceTable, name: str, *place: int | str) -> SourceColumn:
        """Return a column that triggers and indexes read."""
        found = self.column(table, name, *place)
        if found.is_virtual:
            self.refuse(
                f"column {name!r} of table {table.table} is generated and virtual: triggers cannot see it, and it "
                "cannot be indexed",
                "Have it STORED in the source, or write its expression here; a column of the mapping may copy it.",
                *place,
            )
        return found

    def not_null(self, table: SourceTable, name: str, *place: int | str) -> None:
        """Check a column that tells rows or tenancies apart."""
        if self.stored(table, name, *place).nullable:
            self.refuse(
                f"column {name!r} of table {table.table} can be NULL, but tells rows or tenancies apart",
                "Add NOT NULL to it in the source, or choose another column.",
                *place,
            )


@dataclass(frozen=True)
class _MappingCheck(_Check):
    mapping: SyncMapping

    def run(self) -> None:
        self._check_references()
        self._check_key()
        self._check_joins()
        self._check_nulls()

    @cached_property
    def source(self) -> SourceTable:
        return self._captured(self.mapping.source, "source")

    @cached_property
    def joins(self) -> dict[str, tuple[Join, SourceTable]]:
        return {
            join.alias: (join, self._captured(join.table, "joins", index, "table"))
            for index, join in enumerate(self.mapping.joins)
        }

    def _captured(self, table: Table, *place: int | str) -> SourceTable:
        found = self.table(table, *place)
        if found.later_triggers:
            name = found.later_triggers[0]
            self.refuse(
                f"trigger {name!r} of table {table} fires after the pipeline's own, which would not see its changes",
                f"`before` triggers fire by name: rename it to one below {LATE_TRIGGERS!r}, by `alter trigger`.",
                *place,
            )
        return found

    def _check_references(self) -> None:
        for place, text in self._expressions():
            for alias in sorted(expressions.aliases_of(text)):
                for name in sorted(expressions.columns_of(text, alias)):
                    self._check_reference(alias, name, *place)
                    if place[0] == "filter" or "on" in place:
                        self.stored(self.source, name, *place)
        for index, (join, table) in enumerate(self.joins.values()):
            for part, names in (("on", join.on), ("match", join.match)):
                for name in names:
                    self.stored(table, name, "joins", index, part, name)
            for position, name in enumerate(join.quiet):
                self.column(table, name, "joins", index, "quiet", position)

    def _expressions(self) -> Iterator[tuple[tuple[int | str, ...], str]]:
        mapping = self.mapping
        if mapping.filter is not None:
            yield ("filter",), mapping.filter
        if mapping.tenancy.value is not None:
            yield ("tenancy", "value"), mapping.tenancy.value
        for index, join in enumerate(mapping.joins):
            yield from ((("joins", index, "on", name), join.on_value(name)) for name in join.on)
            yield from ((("joins", index, "aggregate", name), text) for name, text in join.aggregate.items())
        for index, column in enumerate(mapping.columns):
            yield ("columns", index, "source" if column.value is None else "value"), column.expression

    def _check_reference(self, alias: str, name: str, *place: int | str) -> None:
        if alias == SOURCE:
            self.column(self.source, name, *place)
            return
        join, table = self.joins[alias]
        # An aggregate reads its table; everything else reads the aggregate.
        if not join.aggregate or place[0] == "joins":
            self.column(table, name, *place)
        elif name not in join.aggregate:
            mend = f"{_nearest(name, join.aggregate)}It has {', '.join(join.aggregate)}."
            self.refuse(f"join {alias!r} has no aggregate {name!r}", mend, *place)

    def _check_key(self) -> None:
        tenancy = self.mapping.tenancy
        if tenancy.column is not None:
            self.not_null(self.source, tenancy.column, "tenancy", "column")
        for index, name in enumerate(tenancy.scope):
            self.not_null(self.source, name, "tenancy", "scope", index)
        for index, column in enumerate(self.mapping.key_columns):
            self.not_null(self.source, column.source or "", "key", index)
        identity = self.mapping.identity
        if not self.source.identifies(frozenset(identity)):
            self.refuse(
                f"the key does not tell the rows of {self.source.table} apart: "
                f"no unique index lies within ({', '.join(identity)})",
                _unique_keys(self.source, "Add columns to `key`, or a unique index to the table"),
                "key",
            )

    def _check_joins(self) -> None:
        for index, (join, table) in enumerate(self.joins.values()):
            matched = frozenset((*join.on, *join.match))
            if not join.aggregate and not table.identifies(matched):
                self.refuse(
                    f"join {join.alias!r} can find several rows of {table.table} for one of {self.source.table}: "
                    f"no unique index lies within ({', '.join(sorted(matched))})",
                    _unique_keys(table, "Match more columns with `on` or `match`, or declare an `aggregate`"),
                    "joins",
                    index,
                )

    def _check_nulls(self) -> None:
        tenancy = self.mapping.tenancy.value
        if tenancy is not None and expressions.may_be_null(tenancy, self._may_be_null):
            self.refuse("the tenancy can be NULL", "Take it from a NOT NULL column.", "tenancy", "value")
        for index, column in enumerate(self.mapping.columns):
            if not column.nullable and self._gets_null(column):
                kind = "NULL, or JSON null, which counts as NULL" if column.type == "json" else "NULL"
                self.refuse(
                    f"column {column.name!r} has to hold a value in every row, but can get {kind}",
                    "Add `nullable: true`, or a `default` that is not NULL.",
                    "columns",
                    index,
                )

    def _gets_null(self, column: Column) -> bool:
        if column.default is not None:
            return expressions.may_be_null(column.default, self._may_be_null)
        if column.type == "json" and not expressions.builds_json(column.expression):
            return True
        return expressions.may_be_null(column.expression, self._may_be_null)

    def _may_be_null(self, alias: str, name: str) -> bool:
        if alias == SOURCE:
            present = expressions.not_null_where(self.mapping.filter or "true")
            return self.source.columns[name].nullable and (SOURCE, name) not in present
        join, table = self.joins[alias]
        if join.aggregate:
            return expressions.may_be_null(join.aggregate[name], lambda _, column: table.columns[column].nullable)
        return not join.required or (table.columns[name].nullable and name not in join.on and name not in join.match)


def _nearest(name: str, names: Iterable[str]) -> str:
    found = get_close_matches(name, names, n=1)
    return f"Did you mean {found[0]!r}? " if found else ""


def _unique_keys(table: SourceTable, mend: str) -> str:
    keys = sorted(", ".join(sorted(key)) for key in table.unique_keys)
    return f"{mend}; unique there: {', '.join(f'({key})' for key in keys) or 'nothing'}."
