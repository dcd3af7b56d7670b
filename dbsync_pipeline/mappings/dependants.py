"""Which rows of a mapping a change elsewhere sends again, and how they are found.

A `touch` names a dependant and carries the values it matches by. Two things feed a mapping: the tables it joins, and
the tenancy table, whose columns every row carries in ClickHouse.
"""

from dataclasses import dataclass, field

from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import SCHEMA, column, columns_object, expression, joined, ours
from dbsync_pipeline.mappings.spec import SOURCE, SyncMapping, Table

PLACEMENT = Table(schema_name=SCHEMA, name="placement")
"""Where rows of mappings with a placement were last delivered to."""

_TENANCY = "tenancy"
_ALL = "all"


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

    def feeding(self, alias: str = SOURCE) -> sql.Composable:
        """Return the condition that a row `alias` of `table` feeds anything."""
        if not self.constants:
            return sql.SQL("true")
        return joined(
            (
                sql.SQL("{} = {}").format(column(name, alias), sql.Literal(value))
                for name, value in self.constants.items()
            ),
            " and ",
        )

    def match_object(self, alias: str = SOURCE) -> sql.Composed:
        """Return the jsonb of a touch, over a row `alias` of `table`."""
        return columns_object(self.match, alias)

    def condition(self, alias: str) -> sql.Composable:
        """Return the condition that `source` is fed by the row `alias` of `table`."""
        if not self.match:
            return sql.SQL("true")
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
    """Return the feed of the tenancy table; its touches carry the tenancy, in the mapping's own rows or placements."""
    dependant_id = f"{mapping.mapping_id}.@{_TENANCY}"
    if mapping.tenancy.column is None:
        return Feed(dependant_id, mapping, PLACEMENT, {"tenancy_id": 'placement."tenancy_id"'})
    return Feed(dependant_id, mapping, mapping.source, {mapping.tenancy.column: f'source."{mapping.tenancy.column}"'})


def whole_feed(mapping: SyncMapping) -> Feed:
    """Return the feed of nothing in particular, for a mapping with a placement: its touches concern every row.

    One that was never placed is of no tenancy yet.
    """
    return Feed(f"{mapping.mapping_id}.@{_ALL}", mapping, mapping.source, {})


def feeds_of(catalog: Catalog, mapping: SyncMapping) -> tuple[Feed, ...]:
    """Return every feed of one mapping."""
    whole = [whole_feed(mapping)] if mapping.has_placement else []
    return (*(feed for feed in join_feeds(catalog) if feed.mapping is mapping), tenancy_feed(mapping), *whole)


def touch_rows_of(mapping: SyncMapping, tenancies: sql.Composable) -> sql.Composed:
    """Return the statement that sends every row of some tenancies again: of a `from` item with their `tenancy_id`."""
    feed = tenancy_feed(mapping)
    return sql.SQL(
        "insert into {touch} (dependant_id, match) select {dependant}, jsonb_build_object({columns}, tenancy_id) "
        "from {tenancies}"
    ).format(
        touch=ours("touch"),
        dependant=sql.Literal(feed.dependant_id),
        columns=joined(sql.Literal(name) for name in feed.match),
        tenancies=tenancies,
    )


def touch_all(mapping: SyncMapping) -> sql.Composed:
    """Return the statement that sends every row of a mapping again, tenancy by tenancy where an index serves that."""
    if not mapping.has_placement:
        return touch_rows_of(mapping, ours("tenancy"))
    return touch_whole(mapping, sql.SQL("true"))


def touch_whole(mapping: SyncMapping, where: sql.Composable) -> sql.Composed:
    """Return the statement that sends every row of a mapping again by one touch, where a condition holds."""
    return sql.SQL("insert into {touch} (dependant_id, match) select {dependant}, '{{}}' where {where}").format(
        touch=ours("touch"), dependant=sql.Literal(whole_feed(mapping).dependant_id), where=where
    )
