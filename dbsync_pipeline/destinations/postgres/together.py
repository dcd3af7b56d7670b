"""Writes small batches of several mappings and moves their checkpoints, in one transaction of two round trips.

There is no stage: rows come as parameters, an array for each column, to statements that are prepared. Nothing is
written where a checkpoint does not stand where it was believed to, so that who was overtaken, or knows too little, can
neither bring back a deleted row nor undo a newer one (I5, I6), and no row of another tenancy than the one given (I7).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from dbsync_pipeline import binary_copy
from dbsync_pipeline.binary_copy import Array
from dbsync_pipeline.destinations.base import Pair, Rows
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.statements import Merges
from dbsync_pipeline.mappings.spec import SyncMapping, TenancyId

MOST_BYTES = 262_144
"""Up to so much is cut into columns here; of more, a COPY costs less."""


@dataclass(frozen=True)
class Mark:
    """A checkpoint as it stands there; it counts as long as the mapping is still what it was written for."""

    version: str
    epoch: int
    sequence_id: int


@dataclass(frozen=True)
class Move:
    """A checkpoint, where it stands and where it goes."""

    pair: Pair
    found: Mark
    mark: Mark


class Together:
    """What one tenancy's database gets at once.

    Args:
        received: the mappings that it has a copy of; given where nobody has looked at their tables just now.
    """

    def __init__(
        self, merges: Merges, session: ExternalSession, owner: TenancyId, received: Sequence[SyncMapping] | None = None
    ) -> None:
        self._merges = merges
        self._session = session
        self._owner = owner
        self._received = received

    def write(self, rows: Sequence[Rows], moves: Sequence[Move]) -> bool:
        """Write all of it, or nothing; return whether it was written.

        It is not where another worker has moved a checkpoint, a table has to be looked after, or a row is of another
        tenancy.

        Raises:
            UnreachableError: the database does not answer.
            DbsyncError: it refuses; nothing was written.
        """
        tenancies = {value for _, columns in rows if columns for value in columns[0]}
        if any(binary_copy.value(value, self._merges.tables.tenancy_type) != self._owner for value in tenancies):
            return False
        with self._session.turn() as connection, connection.pipeline() as pipeline, connection.transaction():
            self._session.share(2 * len(rows) + 2)
            intact = self._ask_intact(connection)
            moved = move_later(connection, self._merges, moves)
            for mapping, columns in rows:
                if not columns:
                    continue
                merge = self._merges.of(mapping)
                given = [
                    Array.of(values, column.bare_type) for values, column in zip(columns, merge.columns, strict=True)
                ]
                if any(map(binary_copy.is_negative, columns[-1])):
                    connection.execute(merge.remove_given, given)
                connection.execute(merge.write_given, given)
            pipeline.sync()
            if moved.rowcount != len(moves) or (intact is not None and intact.fetchone() != (True,)):
                raise psycopg.Rollback
            return True
        return False

    def _ask_intact(self, connection: psycopg.Connection) -> psycopg.Cursor | None:
        if self._received is None:
            return None
        return connection.execute(self._merges.tables.intact(self._received), [self._owner])


def move_later(connection: psycopg.Connection, merges: Merges, moves: Sequence[Move]) -> psycopg.Cursor:
    """Move checkpoints that are there; fewer rows are moved where another worker has been there since."""
    given = [
        {
            "tenancy_id": str(move.pair.tenancy_id),
            "mapping_id": move.pair.mapping_id,
            "version": move.mark.version,
            "epoch": move.mark.epoch,
            "sequence_id": move.mark.sequence_id,
            "found_version": move.found.version,
            "found_epoch": move.found.epoch,
            "found_sequence_id": move.found.sequence_id,
        }
        for move in moves
    ]
    return connection.execute(merges.move, [json.dumps(given)])
