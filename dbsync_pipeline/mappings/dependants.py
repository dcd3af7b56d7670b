"""Which rows of a mapping a change elsewhere sends again, and how they are found.

A `touch` names a dependant and carries the values it matches by. Two things feed a mapping: the tables it joins, and
the tenancy table, whose columns every row carries in ClickHouse.
"""

from dataclasses import dataclass, field

from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import column, expression, joined, ours, table_name
from dbsync_pipeline.mappings.spec import SyncMapping, Table

_TENANCY = "tenancy"


@dataclass(frozen=True)
class Feed:
    """One way in which rows of a mapping are sent again.

    Attributes:
        dependant_id: name of the feed in `dbsync.touch`.
        mapping: the mapping fed.
        table: the table whose row type the touch's `match` has.
        match: column of that table -> SQL over `source` that must equal it.
        constants: column of that table -> the value without which a row of it feeds nothing.
        watched: the columns of that table whose change matters.
    """

    dependant_id: str
    mapping: SyncMapping
    table: Table
    match: dict[str, str]
    constants: dict[str, str] = field(default_factory=dict[str, str])
    watched: frozenset[str] = frozenset()

    @property
    def feeds(self) -> sql.Composable:
        """The condition that a row `source` of `table` feeds anything."""
        if not self.constants:
            return sql.SQL("true")
        return joined(
            (sql.SQL("{} = {}").format(column(name), sql.Literal(value)) for name, value in self.constants.items()),
            " and ",
        )

    @property
    def match_object(self) -> sql.Composed:
        """The jsonb of a touch, over the alias `source` of a row of `table`."""
        pairs = (sql.SQL("{}, {}").format(sql.Literal(name), column(name)) for name in self.match)
        return sql.SQL("jsonb_build_object({})").format(joined(pairs))

    def condition(self, alias: str) -> sql.Composed:
        """Return the condition that `source` is fed by the row `alias` of `table`."""
        return joined(
            (sql.SQL("{} = {}").format(expression(value), column(name, alias)) for name, value in self.match.items()),
            " and ",
        )


def join_feeds(catalog: Catalog) -> tuple[Feed, ...]:
    """Return a feed for every join of every mapping."""
    return tuple(
        Feed(
            dependant.dependant_id,
            dependant.mapping,
            dependant.join.table,
            {name: dependant.join.on_value(name) for name in dependant.join.on},
            dependant.join.match,
            dependant.mapping.join_columns(dependant.join),
        )
        for dependant in catalog.dependants
    )


def tenancy_feed(mapping: SyncMapping) -> Feed:
    """Return the feed of the tenancy table; its touches carry identifying columns of the mapping's own table."""
    names = mapping.identity if mapping.tenancy.column is None else (mapping.tenancy.column,)
    return Feed(
        f"{mapping.mapping_id}.@{_TENANCY}", mapping, mapping.source, {name: f'source."{name}"' for name in names}
    )


def feeds_of(catalog: Catalog, mapping: SyncMapping) -> tuple[Feed, ...]:
    """Return every feed of one mapping."""
    return (*(feed for feed in join_feeds(catalog) if feed.mapping is mapping), tenancy_feed(mapping))


def touch_tenancy(mapping: SyncMapping, tenancy_id: sql.Composable) -> sql.Composed:
    """Return the statement that sends every row of one tenancy again."""
    feed = tenancy_feed(mapping)
    if mapping.tenancy.column is None:
        return sql.SQL(
            "insert into {touch} (dependant_id, match) select {dependant}, identity from {placement} "
            "where mapping_id = {mapping} and tenancy_id = {tenancy}"
        ).format(
            touch=ours("touch"),
            placement=ours("placement"),
            dependant=sql.Literal(feed.dependant_id),
            mapping=sql.Literal(mapping.mapping_id),
            tenancy=tenancy_id,
        )
    return sql.SQL(
        "insert into {touch} (dependant_id, match) values ({dependant}, jsonb_build_object({column}, {tenancy}))"
    ).format(
        touch=ours("touch"),
        dependant=sql.Literal(feed.dependant_id),
        column=sql.Literal(mapping.tenancy.column),
        tenancy=tenancy_id,
    )


def entomb_tenancy(mapping: SyncMapping, tenancy_id: sql.Composable, tenancy_columns: sql.Composable) -> sql.Composed:
    """Return the statement that writes a tombstone for every row of one tenancy, under the given tenancy columns."""
    from_placement = sql.SQL("select identity from {} where mapping_id = {} and tenancy_id = {}").format(
        ours("placement"), sql.Literal(mapping.mapping_id), tenancy_id
    )
    if mapping.has_placement:
        identities = from_placement
    else:
        pairs = (sql.SQL("{}, {}").format(sql.Literal(name), column(name)) for name in mapping.identity)
        identities = sql.SQL("select jsonb_build_object({}) as identity from {} as source where {} = {}").format(
            joined(pairs), table_name(mapping.source), column(mapping.tenancy.column or ""), tenancy_id
        )
    return sql.SQL(
        "insert into {tombstone} (mapping_id, tenancy_id, identity, tenancy_columns) "
        "select {mapping}, {tenancy}, rows.identity, {columns} from ({identities}) as rows"
    ).format(
        tombstone=ours("tombstone"),
        mapping=sql.Literal(mapping.mapping_id),
        tenancy=tenancy_id,
        columns=tenancy_columns,
        identities=identities,
    )
