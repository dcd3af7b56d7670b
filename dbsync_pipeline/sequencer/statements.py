"""The statements that number one source table.

All of them pick rows with `skip locked`, so that the sequencer never waits for a row of the application: one that
someone is changing stays dirty, and a tombstone or touch that concerns it stays where it is, until the next pass.
`no key update` lets foreign key checks of the application pass meanwhile.

Rows are addressed by `ctid` between two statements of one transaction, which is safe because they are locked.
"""

from dataclasses import dataclass

from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import PLACEMENT, Feed, feeds_of
from dbsync_pipeline.mappings.relation import (
    SyncColumns,
    column,
    dirty_condition,
    identity_object,
    join_clause,
    joined,
    ours,
    placed_tenancy,
    rebuilt_row,
    row_filter,
    same_columns,
    table_name,
    turns_by,
)
from dbsync_pipeline.mappings.spec import SOURCE, SyncMapping, Table

_SHARE_IN_TURN = 16
"""One row in so many of a batch of dirty rows is picked by turns."""

_NEXT_ID = sql.SQL("nextval('dbsync.sequence_id')")


@dataclass(frozen=True)
class TableStatements:
    """What numbers one table.

    Attributes:
        waiting: a boolean: is there anything to number?
        feeds: what touches of its rows may be of.
    """

    table: Table
    mappings: tuple[SyncMapping, ...]
    columns: SyncColumns
    batch_size: int
    waiting: sql.Composed
    feeds: tuple[Feed, ...]

    @property
    def smallest_batch(self) -> int:
        """Rows, tombstones or touches that fill a batch; a dirty row can be picked twice, in turn and out of it."""
        return self.batch_size - self._share

    @property
    def _share(self) -> int:
        return max(self.batch_size // _SHARE_IN_TURN, 1)

    def tombstones(self, mapping: SyncMapping, behind: int) -> sql.Composed:
        """Return the statement that numbers tombstones of a mapping, up to the batch size, with ids above `behind`.

        It yields (places, mapping_id, tenancy_id, highest sequence id, tombstones): first a line with nothing but the
        places of rows that live again under a numbered tombstone's identity, which must get higher ids in the same
        transaction, and, in place of the sequence id, the id of the last tombstone of a full batch; then a line for
        every tenancy, none where the row had never been placed. Which of two tombstones gets the lower number does not
        matter: each is below the row that lives.
        """
        return _tombstones(mapping, self.batch_size, behind)

    def touches(self, feed: Feed, behind: int) -> sql.Composed:
        """Return the statement that looks at touches of a feed, up to the batch size, with ids above `behind`.

        It yields (places of rows that touches concern, touches that are done with, whether more may be left than were
        looked at, the id of the last touch of a full batch that could hardly be dealt with).
        """
        return _touches(feed, self.columns, self.batch_size, behind)

    def number(self, places: list[str], turn: str | None) -> sql.Composed:
        """Return the statement that numbers dirty rows, up to the batch size, and the rows at `places`.

        It yields (mapping_id, tenancy_id, highest sequence id, rows, next turn) for everything numbered; where no
        tenancy is to get a row, None. Most of a batch are the rows that are cheapest to find, which may all be of one
        tenancy with a large backlog; so a share goes by turns, and `turn` is the last value that came back, None at
        the start and when all have had theirs.
        """
        rest = self._dirty(
            sql.SQL("source.ctid"),
            sql.SQL("limit {} - (select count(*) from in_turn)").format(self.batch_size),
        )
        chosen = sql.SQL("array(select place from in_turn) || array({})").format(rest)
        if places:
            chosen = sql.SQL("{} || {}::tid[]").format(
                chosen, sql.Literal("{" + ",".join(f'"{place}"' for place in places) + "}")
            )
        taking_turns = column(turns_by(self.mappings))
        in_turn = self._dirty(
            sql.SQL("source.ctid, {}").format(taking_turns),
            sql.SQL("{behind} order by {turn} limit {limit}").format(
                behind=sql.SQL("and {} > {}").format(taking_turns, sql.Literal(turn)) if turn else sql.SQL(""),
                turn=taking_turns,
                limit=sql.Literal(self._share),
            ),
        )
        parts = [
            sql.SQL("in_turn (place, turn) as materialized ({})").format(in_turn),
            sql.SQL(
                "numbered as (update {table} as source set {sequence} = {next}, {dirty} = false "
                "where source.ctid = any({chosen}) returning source.*)"
            ).format(
                table=table_name(self.table),
                sequence=sql.Identifier(self.columns.sequence),
                dirty=sql.Identifier(self.columns.dirty),
                next=_NEXT_ID,
                chosen=chosen,
            ),
        ]
        changes: list[sql.Composable] = []
        for mapping in self.mappings:
            if mapping.has_placement:
                parts += _placement(mapping, self.columns)
                changes.append(sql.SQL("select * from {}").format(_name("changed", mapping)))
            else:
                changes.append(_changes(mapping, self.columns))
        return sql.SQL(
            "with {parts} select mapping_id, tenancy_id, max(sequence_id), count(*), "
            "(select turn::text from in_turn order by turn desc limit 1) "
            "from ({changes}) as changes group by mapping_id, tenancy_id"
        ).format(parts=joined(parts), changes=joined(changes, " union all "))

    def _dirty(self, values: sql.Composable, which: sql.Composable) -> sql.Composed:
        return sql.SQL(
            "select {values} from {table} as source where {condition} {which} for no key update skip locked"
        ).format(
            values=values,
            table=table_name(self.table),
            condition=dirty_condition(self.mappings, self.columns),
            which=which,
        )


def generate(catalog: Catalog, table: Table, columns: SyncColumns, batch_size: int) -> TableStatements:
    """Generate the statements of one source table."""
    mappings = catalog.mappings_of(table)
    feeds = tuple(feed for mapping in mappings for feed in feeds_of(catalog, mapping))
    # In the order of an index each: its first entry is there at once, whereas `exists` may read the whole table when
    # the statistics are of a time when many rows waited. (An order or limit within `exists` is ignored.)
    waiting = sql.SQL(
        "coalesce((select true from {table} as source where {dirty} order by {turn} limit 1), "
        "(select true from {tombstone} where mapping_id = any({mappings}) and sequence_id is null "
        "order by mapping_id, tombstone_id limit 1), "
        "(select true from {touch} where dependant_id = any({feeds}) order by dependant_id, touch_id limit 1), false)"
    ).format(
        table=table_name(table),
        dirty=dirty_condition(mappings, columns),
        turn=column(turns_by(mappings)),
        tombstone=ours("tombstone"),
        mappings=sql.Literal([mapping.mapping_id for mapping in mappings]),
        touch=ours("touch"),
        feeds=sql.Literal([feed.dependant_id for feed in feeds]),
    )
    return TableStatements(
        table,
        mappings,
        columns,
        batch_size,
        waiting,
        feeds,
    )


def _locked(table: Table, places: str) -> sql.Composed:
    return sql.SQL(
        "locked as materialized (select source.ctid as place from {table} as source "
        "where source.ctid = any(array(select place from {places})) for no key update skip locked)"
    ).format(table=table_name(table), places=sql.Identifier(places))


def _tombstones(mapping: SyncMapping, batch_size: int, behind: int) -> sql.Composed:
    parts = [
        sql.SQL(
            "batch as materialized (select tombstone_id, identity from {tombstone} where mapping_id = {mapping} "
            "and sequence_id is null and tombstone_id > {behind} order by tombstone_id limit {limit})"
        ).format(
            tombstone=ours("tombstone"),
            mapping=sql.Literal(mapping.mapping_id),
            behind=sql.Literal(behind),
            limit=sql.Literal(batch_size),
        ),
        sql.SQL(
            "living as materialized (select batch.tombstone_id, source.ctid as place from batch, {gone} "
            "join {table} as source on {same})"
        ).format(
            gone=rebuilt_row(mapping.source, sql.SQL("batch.identity"), "gone"),
            table=table_name(mapping.source),
            same=same_columns(mapping.identity, SOURCE, "gone"),
        ),
        _locked(mapping.source, "living"),
        sql.SQL(
            "ready as materialized (select tombstone_id, identity from batch where not exists ("
            "select from living where living.tombstone_id = batch.tombstone_id "
            "and living.place not in (select place from locked)))"
        ),
    ]
    parts += _number_placed(mapping) if mapping.has_placement else [_number_owned(mapping)]
    return sql.SQL(
        "with {parts} select array_agg(place::text), null, null, "
        "(select max(tombstone_id) from batch having count(*) = {limit}), 0 from locked union all "
        "select null, {mapping}, tenancy_id, max(sequence_id), count(*) from done group by tenancy_id"
    ).format(parts=joined(parts), limit=sql.Literal(batch_size), mapping=sql.Literal(mapping.mapping_id))


def _same_tombstone(mapping: SyncMapping, other: str) -> sql.Composed:
    """Find an unnumbered tombstone the way its only index does."""
    return sql.SQL("t.mapping_id = {} and t.sequence_id is null and t.tombstone_id = {}.tombstone_id").format(
        sql.Literal(mapping.mapping_id), sql.Identifier(other)
    )


def _number_owned(mapping: SyncMapping) -> sql.Composed:
    return sql.SQL(
        "done as (update {tombstone} as t set sequence_id = {next} from ready "
        "where {same} returning t.tenancy_id, t.sequence_id)"
    ).format(tombstone=ours("tombstone"), next=_NEXT_ID, same=_same_tombstone(mapping, "ready"))


def _number_placed(mapping: SyncMapping) -> list[sql.Composed]:
    """The row went where its placement says; one that was never placed was never delivered."""
    names = {
        "tombstone": ours("tombstone"),
        "placement": ours("placement"),
        "mapping": sql.Literal(mapping.mapping_id),
        "next": _NEXT_ID,
        "same_ready": _same_tombstone(mapping, "ready"),
        "same_placed": _same_tombstone(mapping, "placed"),
    }
    return [
        sql.SQL(
            "placed as materialized (select ready.tombstone_id, coalesce(t.tenancy_id, p.tenancy_id) as tenancy_id "
            "from ready join {tombstone} as t on {same_ready} "
            "left join {placement} as p on p.mapping_id = {mapping} and p.identity = ready.identity)"
        ).format(**names),
        sql.SQL(
            "numbered as (update {tombstone} as t set sequence_id = {next}, tenancy_id = placed.tenancy_id from placed "
            "where {same_placed} and placed.tenancy_id is not null "
            "returning t.tenancy_id, t.sequence_id)"
        ).format(**names),
        sql.SQL(
            "forgotten as (delete from {tombstone} as t using placed "
            "where {same_placed} and placed.tenancy_id is null "
            "returning t.tenancy_id, t.sequence_id)"
        ).format(**names),
        sql.SQL("done as ({})").format(sql.SQL("select * from numbered union all select * from forgotten")),
        sql.SQL(
            "displaced as (delete from {placement} as p using ready "
            "where p.mapping_id = {mapping} and p.identity = ready.identity)"
        ).format(**names),
    ]


def _touches(feed: Feed, columns: SyncColumns, batch_size: int, behind: int) -> sql.Composed:
    """One touch may concern a million rows, which are then sent again in batches.

    While they are, or are locked, another batch has room for what other touches concern.

    `upto` remembers the highest id there was when the touch was first seen; rows with a higher one were numbered
    since, and are not sent again. A row without an id is dirty anyway.
    """
    mapping = feed.mapping
    return sql.SQL(
        "with mark as materialized (select last_value as id from dbsync.sequence_id), "
        "batch as materialized (select touch_id, match, coalesce(upto, (select id from mark)) as upto from {touch} "
        "where dependant_id = {feed} and touch_id > {behind} order by touch_id limit {limit}), "
        "fed as materialized (select batch.touch_id, found.place from batch cross join lateral ("
        "select source.ctid as place from {rows} where {filter} and {sequence} <= batch.upto limit {limit}) as found "
        "limit {twice}), {locked}, "
        "large as materialized (select touch_id from fed group by touch_id having count(*) = {limit}), "
        "done as (delete from {touch} as t using batch where t.dependant_id = {feed} and t.touch_id = batch.touch_id "
        "and (select count(*) from fed) < {twice} and t.touch_id not in (select touch_id from large) and not exists ("
        "select from fed where fed.touch_id = batch.touch_id and fed.place not in (select place from locked)) "
        "returning t.touch_id), "
        "begun as (update {touch} as t set upto = batch.upto from batch "
        "where t.dependant_id = {feed} and t.touch_id = batch.touch_id "
        "and t.upto is null and ((select count(*) from fed) = {twice} or t.touch_id in (select touch_id from large) "
        "or exists ("
        "select from fed where fed.touch_id = batch.touch_id and fed.place not in (select place from locked)))) "
        "select (select array_agg(place::text) from locked), (select count(*) from done), "
        "(select count(*) from batch) = {limit} or (select count(*) from fed) = {twice} or exists (select from large), "
        "(select max(touch_id) from batch having count(*) = {limit} and (select count(*) from done) < {limit} / 2)"
    ).format(
        touch=ours("touch"),
        feed=sql.Literal(feed.dependant_id),
        behind=sql.Literal(behind),
        limit=sql.Literal(batch_size),
        twice=sql.Literal(2 * batch_size),
        rows=_fed_rows(feed),
        filter=row_filter(mapping),
        sequence=column(columns.sequence),
        locked=_locked(mapping.source, "fed"),
    )


def _fed_rows(feed: Feed) -> sql.Composed:
    """The rows `source` that a touch `batch` concerns; those of a tenancy, where only placements know, by these."""
    mapping = feed.mapping
    names = {
        "feeding": rebuilt_row(feed.table, sql.SQL("batch.match"), "feeding"),
        "condition": feed.condition("feeding"),
        "source": table_name(mapping.source),
    }
    if feed.table != PLACEMENT:
        return sql.SQL("{feeding} join {source} as source on {condition}").format(**names)
    return sql.SQL(
        "{feeding} join {placement} as placement on placement.mapping_id = {mapping} and {condition} "
        "cross join {placed} join {source} as source on {same}"
    ).format(
        placement=table_name(PLACEMENT),
        mapping=sql.Literal(mapping.mapping_id),
        placed=rebuilt_row(mapping.source, sql.SQL("placement.identity"), "placed"),
        same=same_columns(mapping.identity, SOURCE, "placed"),
        **names,
    )


def _changes(mapping: SyncMapping, columns: SyncColumns) -> sql.Composed:
    return sql.SQL(
        "select {mapping} as mapping_id, {tenancy} as tenancy_id, {sequence} as sequence_id "
        "from numbered as source where {filter}"
    ).format(
        mapping=sql.Literal(mapping.mapping_id),
        tenancy=column(mapping.tenancy.column or ""),
        sequence=column(columns.sequence),
        filter=row_filter(mapping),
    )


def _name(part: str, mapping: SyncMapping) -> sql.Identifier:
    return sql.Identifier(f"{part}_{mapping.mapping_id}")


def _placement(mapping: SyncMapping, columns: SyncColumns) -> list[sql.Composed]:
    """Remember where each numbered row goes, and entomb it where it went before, if that is elsewhere."""
    names = {
        "mapping": sql.Literal(mapping.mapping_id),
        "placement": ours("placement"),
        "tombstone": ours("tombstone"),
        "placed": _name("placed", mapping),
        "entombed": _name("entombed", mapping),
        "next": _NEXT_ID,
    }
    joins = joined((join_clause(join, outer=True) for join in mapping.joins if join.required), " ")
    return [
        sql.SQL(
            "{placed} as materialized ("
            "select {identity} as identity, {tenancy} as tenancy_id, {sequence} as sequence_id "
            "from numbered as source {joins} where {filter})"
        ).format(
            identity=identity_object(mapping),
            tenancy=placed_tenancy(mapping),
            sequence=column(columns.sequence),
            joins=joins,
            filter=row_filter(mapping),
            **names,
        ),
        sql.SQL(
            "{entombed} as (insert into {tombstone} (mapping_id, tenancy_id, identity, sequence_id) "
            "select {mapping}, p.tenancy_id, p.identity, {next} from {placement} as p join {placed} using (identity) "
            "where p.mapping_id = {mapping} and p.tenancy_id is distinct from {placed}.tenancy_id "
            "returning tenancy_id, sequence_id)"
        ).format(**names),
        sql.SQL(
            "{unplaced} as (delete from {placement} as p using {placed} where p.mapping_id = {mapping} "
            "and p.identity = {placed}.identity and {placed}.tenancy_id is null)"
        ).format(unplaced=_name("unplaced", mapping), **names),
        sql.SQL(
            "{put} as (insert into {placement} (mapping_id, identity, tenancy_id, sequence_id) "
            "select {mapping}, identity, tenancy_id, sequence_id from {placed} where tenancy_id is not null "
            "on conflict (mapping_id, identity) do update "
            "set tenancy_id = excluded.tenancy_id, sequence_id = excluded.sequence_id)"
        ).format(put=_name("put", mapping), **names),
        sql.SQL(
            "{changed} as (select {mapping} as mapping_id, tenancy_id, sequence_id from {placed} "
            "union all select {mapping}, tenancy_id, sequence_id from {entombed})"
        ).format(changed=_name("changed", mapping), **names),
    ]
