"""ClickHouse's databases, tables and views: what `dbsync init` creates there, and refuses to write into.

Tables live in `<database>_internal`, one a mapping, with every version of every row until merges drop the old ones;
people read the views in `<database>`, which show the newest version of what is not deleted. There is no PARTITION BY:
rows must never change partition, or old versions could not be merged away.
"""

import re
from dataclasses import dataclass

from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.errors import IncompatibleTargetError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.mappings.types import data_type

CHECKPOINT_TABLE = "sync_checkpoint"
PROGRESS_VIEW = "sync_progress"
TENANCY = "tenancy_id"
SEQUENCE = "sync_sequence_id"
DELETED = "sync_is_deleted"
CREATED = "sync_created_at"

EVERY_VERSION = "settings final = 0"
"""End of a SELECT that has to see what is deleted or old, though the user's profile may show the newest rows only."""

REPLICATED_SETTINGS: dict[str, object] = {
    # An acknowledged insert is on most replicas, so that a checkpoint never outlives the rows that it stands for. A
    # replica that is behind shows an older checkpoint, or none, which costs a second delivery and nothing else; so
    # reads need not be sequential, which would allow one insert into a table at a time.
    "insert_quorum": "auto",
    "insert_quorum_timeout": 60_000,
    # A statement on the cluster is done when every replica has done it.
    "distributed_ddl_output_mode": "throw",
}
"""What goes with every statement to a cluster."""


@dataclass(frozen=True)
class TargetColumn:
    """A column of a target table."""

    name: str
    type: str
    comment: str = ""
    default: str = ""

    @property
    def definition(self) -> str:
        """Its part of CREATE TABLE."""
        default = f" default {self.default}" if self.default else ""
        comment = f" comment {literal(self.comment)}" if self.comment else ""
        return f"{name(self.name)} {self.type}{default}{comment}"


@dataclass(frozen=True)
class ClickHouseStep:
    """One statement of a plan, and what it is for."""

    title: str
    statement: str


@dataclass(frozen=True)
class ClickHouseNames:
    """Where things are in ClickHouse; all follows from the database of the views.

    Attributes:
        database: the database of the views.
        cluster: the cluster whose every replica has all of it; empty for a single server.
    """

    database: str
    cluster: str = ""

    @property
    def internal(self) -> str:
        """Database of the tables."""
        return f"{self.database}_internal"

    @property
    def on_cluster(self) -> str:
        """What makes a statement run on every replica, with a blank before it; nothing for a single server."""
        return f" on cluster {name(self.cluster)}" if self.cluster else ""

    def engine(self, *arguments: str) -> str:
        """Engine of a table that keeps the newest version; replicas find each other by the server's default path."""
        return f"{'Replicated' if self.cluster else ''}ReplacingMergeTree({', '.join(arguments)})"

    def table(self, mapping: SyncMapping) -> str:
        """Quoted name of a mapping's table."""
        return f"{name(self.internal)}.{name(mapping.mapping_id)}"

    @property
    def checkpoint(self) -> str:
        """Quoted name of the checkpoint table."""
        return f"{name(self.internal)}.{name(CHECKPOINT_TABLE)}"

    @property
    def progress(self) -> str:
        """Quoted name of the view of how far everything is complete."""
        return f"{name(self.database)}.{name(PROGRESS_VIEW)}"

    def view(self, mapping: SyncMapping) -> str:
        """Quoted name of the view over all tenancies."""
        return f"{name(self.database)}.{name(mapping.mapping_id)}"

    def tenancy_view(self, mapping: SyncMapping) -> str:
        """Quoted name of the view of one tenancy, a parameter."""
        return f"{name(self.database)}.{name(mapping.mapping_id + '_of')}"


def name(text: str) -> str:
    """Quote an identifier."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """Quote a string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def columns(catalog: Catalog, mapping: SyncMapping) -> tuple[TargetColumn, ...]:
    """Return every column of a mapping's table, the bookkeeping last."""
    return (*readable_columns(catalog, mapping), *_BOOKKEEPING)


def readable_columns(catalog: Catalog, mapping: SyncMapping) -> tuple[TargetColumn, ...]:
    """Return the columns that a mapping's views show."""
    tenancy = [
        TargetColumn(entry.name, data_type(entry.type).clickhouse, entry.description)
        for entry in catalog.tenancy.columns
    ]
    own = [
        TargetColumn(entry.name, entry.data_type.clickhouse_column(nullable=entry.nullable), entry.description)
        for entry in mapping.columns_for("clickhouse")
    ]
    return (*tenancy, TargetColumn(TENANCY, data_type(catalog.tenancy.type).clickhouse), *own)


# The flag comes last in what is sent, too: a line cut short by a lost connection is then never a whole row.
_BOOKKEEPING = (
    TargetColumn(SEQUENCE, "UInt64"),
    TargetColumn(DELETED, "UInt8"),
    TargetColumn(CREATED, "DateTime64(3, 'UTC')", default="now64(3)"),
)


def sorting_key(catalog: Catalog, mapping: SyncMapping) -> tuple[str, ...]:
    """Return the columns that tell rows apart, those that every query narrows by first."""
    return (*(entry.name for entry in catalog.tenancy.columns), TENANCY, *mapping.key)


def plan(clickhouse: ClickHouse, catalog: Catalog, names: ClickHouseNames) -> list[ClickHouseStep]:
    """Return what is missing in ClickHouse, in order.

    Raises:
        IncompatibleTargetError: a table is there that cannot be written: another key, engine or column type.
    """
    tenancy_type = data_type(catalog.tenancy.type).clickhouse
    steps = [
        ClickHouseStep(
            f"database {names.internal}", f"create database if not exists {name(names.internal)}{names.on_cluster}"
        ),
        ClickHouseStep(
            f"database {names.database}", f"create database if not exists {name(names.database)}{names.on_cluster}"
        ),
        ClickHouseStep(
            "checkpoints",
            f"create table if not exists {names.checkpoint}{names.on_cluster} ("
            f"mapping_id LowCardinality(String), tenancy_id {tenancy_type}, epoch UInt32, sequence_id UInt64, "
            "recorded_at DateTime64(3, 'UTC') default now64(3)) "
            f"engine = {names.engine('sequence_id')} order by (mapping_id, tenancy_id, epoch)",
        ),
        ClickHouseStep(
            "view of the progress",
            # Aliases would stand for the columns within the aggregates, too.
            f"create or replace view {names.progress}{names.on_cluster} as "  # noqa: S608 -- quoted names
            "select newest.mapping_id as mapping_id, newest.tenancy_id as tenancy_id, "
            "newest.point.2 as sequence_id, newest.since as complete_since from ("
            "select mapping_id, tenancy_id, max((epoch, sequence_id)) as point, "
            f"argMax(recorded_at, (epoch, sequence_id)) as since "
            f"from {names.checkpoint} group by mapping_id, tenancy_id) as newest",
        ),
    ]
    present = _present(clickhouse, names)
    for mapping in catalog.mappings:
        found = present.get(mapping.mapping_id)
        steps += [_create(catalog, mapping, names)] if found is None else _alter(catalog, mapping, names, found)
        steps += _views(catalog, mapping, names)
    return steps


@dataclass(frozen=True)
class _PresentTable:
    engine: str
    sorting_key: tuple[str, ...]
    columns: dict[str, str]


def _present(clickhouse: ClickHouse, names: ClickHouseNames) -> dict[str, _PresentTable]:
    parameters: dict[str, object] = {"database": names.internal}
    tables = clickhouse.query(
        "select name, engine_full, sorting_key from system.tables where database = {database:String}", parameters
    )
    found = clickhouse.query(
        "select table, name, type from system.columns where database = {database:String} order by position", parameters
    )
    return {
        table: _PresentTable(
            engine,
            tuple(part.strip().strip("`") for part in key.split(",")),
            {column: type_name for of, column, type_name in found if of == table},
        )
        for table, engine, key in tables
    }


def _create(catalog: Catalog, mapping: SyncMapping, names: ClickHouseNames) -> ClickHouseStep:
    definitions = ", ".join(column.definition for column in columns(catalog, mapping))
    key = ", ".join(name(part) for part in sorting_key(catalog, mapping))
    return ClickHouseStep(
        f"table {mapping.mapping_id}",
        f"create table if not exists {names.table(mapping)}{names.on_cluster} ({definitions}) "
        f"engine = {names.engine(SEQUENCE, DELETED)} order by ({key}) comment {literal(mapping.description)}",
    )


def _alter(
    catalog: Catalog, mapping: SyncMapping, names: ClickHouseNames, found: _PresentTable
) -> list[ClickHouseStep]:
    place = f"table {names.internal}.{mapping.mapping_id} in ClickHouse"
    mend = "It was not made for this mapping: rename it or drop it, then run `dbsync init` again."
    # ClickHouse Cloud makes each table one whose parts are shared by all replicas. Replicas that copy them need the
    # statements of a cluster.
    kind = "(Shared|Replicated)" if names.cluster else "(Shared)?"
    if not re.match(rf"{kind}ReplacingMergeTree\((.*, )?{SEQUENCE}, {DELETED}\)", found.engine):
        raise IncompatibleTargetError(f"{place} has another engine", mend)
    key = sorting_key(catalog, mapping)
    if found.sorting_key != key:
        raise IncompatibleTargetError(
            f"{place} is keyed by ({', '.join(found.sorting_key)}), not ({', '.join(key)})", mend
        )
    steps: list[ClickHouseStep] = []
    previous = ""
    for column in columns(catalog, mapping):
        there = found.columns.get(column.name)
        if there is None:
            where = f" after {name(previous)}" if previous else " first"
            steps.append(
                ClickHouseStep(
                    f"column {mapping.mapping_id}.{column.name}",
                    f"alter table {names.table(mapping)}{names.on_cluster} "
                    f"add column if not exists {column.definition}{where}",
                )
            )
        elif there != column.type:
            raise IncompatibleTargetError(f"{place}: column {column.name} is {there}, not {column.type}", mend)
        previous = column.name
    return steps


def _views(catalog: Catalog, mapping: SyncMapping, names: ClickHouseNames) -> list[ClickHouseStep]:
    shown = ", ".join(name(column.name) for column in readable_columns(catalog, mapping))
    newest = f"select {shown} from {names.table(mapping)} final where {DELETED} = 0"  # noqa: S608 -- quoted names
    tenancy_type = data_type(catalog.tenancy.type).clickhouse
    return [
        ClickHouseStep(
            f"view {mapping.mapping_id}", f"create or replace view {names.view(mapping)}{names.on_cluster} as {newest}"
        ),
        ClickHouseStep(
            f"view {mapping.mapping_id}_of",
            f"create or replace view {names.tenancy_view(mapping)}{names.on_cluster} as {newest} "
            f"and {TENANCY} = {{tenancy:{tenancy_type}}}",
        ),
    ]
