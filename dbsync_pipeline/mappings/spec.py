"""The models of a mapping file and of the tenancy file beside it.

A mapping is data: which source table, how its rows are told apart, what a destination's columns hold and what other
tables feed them. These models check what can be known without a database; `schema.py` checks the rest against the live
source. Everything else in the project is generated from here.
"""

import hashlib
import re
from functools import cached_property
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from dbsync_pipeline.mappings import expressions
from dbsync_pipeline.mappings.types import DataType, data_type

SOURCE = "source"
"""Alias of the source table in every expression of a mapping."""

DestinationKind = Literal["clickhouse", "postgres"]

TenancyId = UUID | int | str
"""A tenancy id as the drivers give it; its type is the application's choice."""

_BARE_COLUMN = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def _known_type(declaration: str) -> str:
    data_type(declaration)
    return declaration


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
TypeName = Annotated[str, AfterValidator(_known_type)]


class MisplacedError(ValueError):
    """What is wrong with one part of a model, found by a rule about several."""

    def __init__(self, message: str, *place: int | str) -> None:
        super().__init__(message)
        self.place = place


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(_Model):
    """A table of the application: its schema and name, written `name` (in `public`) or `schema.name`."""

    schema_name: str
    name: str

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        schema_name, _, name = value.rpartition(".")
        return {"schema_name": schema_name or "public", "name": name}

    def __str__(self) -> str:
        return self.name if self.schema_name == "public" else f"{self.schema_name}.{self.name}"


class TenancyColumn(_Model):
    """A column of the tenancy table that every ClickHouse row carries in front of its key."""

    name: Name
    source: str
    type: TypeName = "text"
    description: str = ""


class TenancySpec(_Model):
    """How the application tells its customers apart (`_tenancy.yaml`, one per directory of mappings)."""

    table: Table
    id: str
    type: TypeName = "uuid"
    columns: tuple[TenancyColumn, ...] = ()


class MappingTenancy(_Model):
    """Whose a source row is: a column of the row itself, or a value found through a required join.

    In the second case `scope` names the source columns that, with the key, tell the mapping's rows apart, because the
    tenancy is not part of the row.
    """

    column: str | None = None
    value: str | None = None
    scope: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("give either `column` or `value`")
        if self.value is not None:
            expressions.parse(self.value)
            if not self.scope:
                raise ValueError("`value` needs `scope`: the source columns that tell rows of equal key apart")
        elif self.scope:
            raise ValueError("`scope` goes with `value`; with `column` the tenancy itself is the scope")
        return self


class Join(_Model):
    """Another table that feeds columns; it may neither multiply rows nor, unless `required`, drop them.

    Attributes:
        on: column of the joined table -> source column, or SQL over `source`.
        match: column of the joined table -> the constant it must equal.
        required: a row without a match does not exist in any destination.
        aggregate: name -> aggregate over the joined rows; then any number of rows may match.
        quiet: columns whose change alone re-sends nothing.
    """

    alias: Name
    table: Table
    on: dict[str, str] = Field(min_length=1)
    match: dict[str, str] = Field(default_factory=dict[str, str])
    required: bool = False
    aggregate: dict[Name, str] = Field(default_factory=dict[Name, str])
    quiet: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.alias == SOURCE:
            raise ValueError(f"`{SOURCE}` is the source table's own alias")
        if self.required and self.aggregate:
            raise ValueError("an aggregate always has one row; `required` has no meaning there")
        for column, value in self.on.items():
            if expressions.aliases_of(self.on_value(column)) - {SOURCE}:
                raise ValueError(f"`on` matches columns of the source table alone, not {value!r}")
        for value in self.aggregate.values():
            if expressions.aliases_of(value) - {self.alias}:
                raise ValueError(f"an aggregate reads its own table, `{self.alias}`, alone: {value!r}")
        return self

    def on_value(self, column: str) -> str:
        """Return the SQL over `source` that the joined table's `column` must equal."""
        value = self.on[column]
        return f'{SOURCE}."{value}"' if _BARE_COLUMN.match(value) else value


class Column(_Model):
    """One column of the destinations.

    Attributes:
        source: the source column it copies, or
        value: the SQL it holds, over `source` and the aliases of the joins.
        default: SQL literal that stands for NULL.
        only: the one kind of destination that has this column; none means all.
        unverified_json_keys: keys of a JSON object fed by `quiet` columns, which verification leaves out.
    """

    name: Name
    source: str | None = None
    value: str | None = None
    type: TypeName
    nullable: bool = False
    default: str | None = None
    only: DestinationKind | None = None
    unverified_json_keys: tuple[Name, ...] = ()
    description: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.source is None) == (self.value is None):
            raise ValueError("give either `source`, a column to copy, or `value`, SQL")
        if self.default is not None and self.nullable:
            raise ValueError("a column with a `default` is never NULL; drop `nullable`")
        expressions.parse(self.expression)
        if self.default is not None and expressions.aliases_of(self.default):
            raise ValueError("`default` is a constant")
        return self

    @property
    def expression(self) -> str:
        """The SQL of the value as declared."""
        return self.value if self.value is not None else f'{SOURCE}."{self.source}"'

    @property
    def data_type(self) -> DataType:
        """The declared type."""
        return data_type(self.type)

    @property
    def converted(self) -> str:
        """The SQL of the value as every destination gets it: converted by its type, NULL replaced by the default."""
        converted = self.data_type.convert(self.expression)
        return converted if self.default is None else f"coalesce({converted}, {self.data_type.convert(self.default)})"

    @property
    def neutral(self) -> str:
        """The SQL that stands here in a tombstone."""
        return f"null::{self.data_type.postgres}" if self.nullable else self.data_type.neutral


class SyncMapping(_Model):
    """One table's sync description.

    `key` maps nothing: it lists destination columns that copy source columns, the same for every destination; together
    with the tenancy (or its scope) they identify one source row, for ever.
    """

    mapping_id: Annotated[Name, Field(alias="mapping")]
    description: str
    source: Table
    tenancy: MappingTenancy
    key: tuple[str, ...] = Field(min_length=1)
    filter: str | None = None
    joins: tuple[Join, ...] = ()
    columns: tuple[Column, ...] = Field(min_length=1)

    @field_validator("filter")
    @classmethod
    def _filter_reads_source(cls, value: str | None) -> str | None:
        if value is not None and expressions.aliases_of(value) - {SOURCE}:
            raise ValueError("a filter reads the source table alone; make a join `required` to filter by it")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_aliases()
        for kind in ("clickhouse", "postgres"):
            self._check_names(kind)
        self._check_key()
        required = {join.alias for join in self.joins if join.required}
        if self.tenancy.value is not None and expressions.aliases_of(self.tenancy.value) - required:
            raise MisplacedError("the tenancy's value comes from a `required` join", "tenancy", "value")
        return self

    def _check_aliases(self) -> None:
        aliases = [SOURCE]
        for index, join in enumerate(self.joins):
            if join.alias in aliases:
                raise MisplacedError(f"two joins share the alias {join.alias!r}", "joins", index, "alias")
            aliases.append(join.alias)
        for index, column in enumerate(self.columns):
            for alias in sorted(expressions.aliases_of(column.expression) - set(aliases)):
                raise MisplacedError(f"{alias!r} is no join; there are {', '.join(aliases)}", "columns", index, "value")

    def _check_names(self, kind: DestinationKind) -> None:
        names: set[str] = set()
        for index, column in enumerate(self.columns):
            if column.only not in (None, kind):
                continue
            if column.name in names:
                raise MisplacedError(f"column {column.name!r} stands twice for {kind}", "columns", index, "name")
            if column.name.startswith("sync_"):
                raise MisplacedError("names that start with sync_ are the project's own", "columns", index, "name")
            names.add(column.name)

    def _check_key(self) -> None:
        columns = {column.name: column for column in self.columns}
        for index, name in enumerate(self.key):
            column = columns.get(name)
            if column is None:
                raise MisplacedError(f"key column {name!r} is not among the columns", "key", index)
            if column.source is None or column.nullable or column.only is not None:
                raise MisplacedError(
                    f"key column {name!r} copies a source column, is never NULL, and goes everywhere", "key", index
                )

    def columns_for(self, kind: DestinationKind) -> tuple[Column, ...]:
        """Return the columns a kind of destination has, in order."""
        return tuple(column for column in self.columns if column.only in (None, kind))

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the key, in the key's order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """The source columns that tell one row from every other: tenancy or scope, then the key."""
        scope = self.tenancy.scope if self.tenancy.column is None else (self.tenancy.column,)
        key = [column.source for column in self.key_columns if column.source is not None]
        return tuple(dict.fromkeys((*scope, *key)))

    @cached_property
    def has_placement(self) -> bool:
        """Whether a row's existence or tenancy depends on another table, so that where it went must be remembered."""
        return any(join.required for join in self.joins)

    @cached_property
    def source_columns(self) -> frozenset[str]:
        """Every column of the source table that the mapping reads; a change of any other re-sends nothing."""
        texts = [column.expression for column in self.columns]
        texts += [join.on_value(column) for join in self.joins for column in join.on]
        texts += [self.filter] if self.filter else []
        read = frozenset[str]().union(*(expressions.columns_of(text, SOURCE) for text in texts))
        return read | set(self.identity)

    def join_columns(self, join: Join) -> frozenset[str]:
        """Every column of a joined table whose change re-sends the rows that it feeds."""
        texts = [column.expression for column in self.columns] + [self.tenancy.value or "1"]
        if join.aggregate:
            texts = list(join.aggregate.values())
        read = frozenset[str]().union(*(expressions.columns_of(text, join.alias) for text in texts))
        return (read | set(join.on) | set(join.match)) - set(join.quiet)

    @cached_property
    def code_version(self) -> str:
        """A short hash of what the mapping delivers; words that only describe it leave it as it is."""
        wordless = {"description": True, "columns": {"__all__": {"description"}}}
        return hashlib.sha256(self.model_dump_json(exclude=wordless).encode()).hexdigest()[:12]  # pyright: ignore[reportArgumentType] -- pydantic's own form of a nested exclusion
