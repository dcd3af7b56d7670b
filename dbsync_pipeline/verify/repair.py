"""Has what differs delivered again, in the way in which everything is delivered; no copy is ever written from here.

Rows that the source has are marked dirty: they get new numbers, which win everywhere. Rows that it does not have get
tombstones, for the tenancy under which the copy shows them. Both need the order to be above every number that the copy
holds, and tombstones have to be sent to the place where the copy has the row, so these are put right first.
"""

from collections.abc import Iterable
from typing import LiteralString

import psycopg
from psycopg.types.json import Jsonb

from dbsync_pipeline.errors import IncompatibleTargetError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import IS_PAUSED, SEQUENCER_LOCK, SyncColumns
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.verify.copies import Copy
from dbsync_pipeline.verify.differences import Difference, Kind
from dbsync_pipeline.verify.states import Key, States

_HIGHEST_NUMBER = 1 << 62
"""Half of all there are; beyond, nobody could count on."""

_RAISE = """
select setval('dbsync.sequence_id', greatest(last_value, %s)) from dbsync.sequence_id
"""
# What is in the order below has been numbered, as nobody is numbering.
_COMPLETE = "update dbsync.sequencer set last_sequence_id = greatest(last_sequence_id, %s)"

# A tenancy that never was counts as one that was deleted: what there is of it is gone.
_PLACE = """
insert into dbsync.tenancy as known (tenancy_id, columns, deleted_at)
select tenancy_id, columns, clock_timestamp() from jsonb_populate_record(null::dbsync.tenancy, %s)
on conflict (tenancy_id) do update set former = known.former || jsonb_build_array(excluded.columns)
where known.columns <> excluded.columns and not known.former @> jsonb_build_array(excluded.columns)
"""

# Tombstones of a pair that nobody ever claimed would be left out, as there could be nothing for them to remove.
_CLAIMED: LiteralString = (
    """
insert into dbsync.pending as known (tenancy_id, mapping_id, destination_id, wanted, claims, paused)
select r.tenancy_id, r.mapping_id, r.destination_id, r.wanted, r.claims,
"""
    + IS_PAUSED.format("r.destination_id", "r.tenancy_id", "r.mapping_id")
    + """
from jsonb_populate_recordset(null::dbsync.pending, %s) r order by r.tenancy_id
on conflict (destination_id, tenancy_id, mapping_id) do update set claims = greatest(known.claims, excluded.claims)
"""
)


class Repair:
    """Repairs one mapping in one copy."""

    def __init__(
        self, connection: psycopg.Connection, catalog: Catalog, columns: SyncColumns, mapping: SyncMapping, copy: Copy
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._copy = copy
        self._states = States(catalog, mapping, columns, copy.kind, copy.destination_id)

    def __call__(self, differences: list[Difference]) -> None:
        """Have the rows of some differences delivered again.

        Raises:
            IncompatibleTargetError: the copy holds a number that no row could ever exceed.
        """
        repairable = [entry for entry in differences if entry.repairable]
        if not repairable:
            return
        self._rise_above(self._copy.newest())
        self._make_places_known(repairable)
        keys = [Key(entry.tenancy, tuple(entry.key.values())) for entry in repairable if entry.kind is not Kind.AHEAD]
        if not keys:
            return
        # Whoever numbers a row that comes to be meanwhile has to see its tombstone.
        with self._connection.transaction():
            self._connection.execute("select pg_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
            states = self._states.read(self._connection, keys)
            gone = [key for key in keys if states[key].texts is None]
            self._make_claimed({key.tenancy for key in gone})
            self._states.entomb(self._connection, gone)
        # Waits for whoever has locked one of the rows, and holds up nobody else meanwhile.
        self._states.mark(self._connection, [key for key in keys if states[key].texts is not None])

    def _rise_above(self, newest: tuple[str, int] | None) -> None:
        if newest is None:
            return
        tenancy, sequence_id = newest
        if sequence_id > _HIGHEST_NUMBER:
            raise IncompatibleTargetError(
                f"{self._copy.destination_id} holds number {sequence_id} in {self._mapping.mapping_id}, "
                f"tenancy {tenancy}, which no change can exceed",
                "Remove that row or checkpoint there by hand, then verify again.",
            )
        row = self._connection.execute("select last_sequence_id < %s from dbsync.sequencer", [sequence_id]).fetchone()
        if row != (True,):
            return
        with self._connection.transaction():
            self._connection.execute("select pg_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
            self._connection.execute(_RAISE, [sequence_id])
            self._connection.execute(_COMPLETE, [sequence_id])

    def _make_places_known(self, differences: Iterable[Difference]) -> None:
        places = {(entry.tenancy, tuple(entry.place.items())) for entry in differences if entry.place}
        for tenancy, place in sorted(places):
            self._connection.execute(_PLACE, [Jsonb({"tenancy_id": tenancy, "columns": dict(place)})])

    def _make_claimed(self, tenancies: Iterable[str]) -> None:
        destination = {"destination_id": self._copy.destination_id, "mapping_id": self._mapping.mapping_id}
        pairs = [{"tenancy_id": tenancy, "wanted": 0, "claims": 1, **destination} for tenancy in tenancies]
        self._connection.execute(_CLAIMED, [Jsonb(pairs)])
