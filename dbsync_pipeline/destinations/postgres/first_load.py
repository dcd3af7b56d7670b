"""The first load of a table: straight in, without a stage, and without the key while several batches arrive.

Any doubt takes a batch back, and from then on everything goes by the stage: a row that changed since an earlier batch,
a tombstone, a row of another tenancy (I7). The table's own constraints find the first two; for the last it is looked
through.

A load of several batches leaves the key for its end, when building it takes a fifth of the time. It may do so up to
where the source was complete when it began: a row has one number, and what changes it later gives it a higher one, so
that up to there none comes twice. A load that is cut short leaves a table without its key, which whoever opens the next
session builds, as it makes anything else that is missing.
"""

from collections.abc import Iterator, Sequence

import psycopg

from dbsync_pipeline.destinations.base import Pair, ResendError, Slice
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.statements import Merges
from dbsync_pipeline.mappings.spec import SyncMapping, TenancyId

_PAGE_BYTES = 8_192


class FirstLoad:
    """What one session knows of the first loads that it is part of."""

    def __init__(self, merges: Merges) -> None:
        self._merges = merges
        self._tables = merges.tables
        # Epoch and sequence id up to which a load has come; None where it is none, or none any more.
        self._filled: dict[Pair, tuple[int, int] | None] = {}
        self._keyless: dict[str, int] = {}

    def continues(self, connection: psycopg.Connection, mapping: SyncMapping, slices: Sequence[Slice]) -> bool:
        """Tell whether a batch is part of a first load that found the table empty, and goes on where it has come to."""
        if all(entry.first for entry in slices) and not {entry.pair for entry in slices} <= self._filled.keys():
            empty = connection.execute(self._merges.of(mapping).is_empty).fetchone() == (True,)
            self._filled |= {entry.pair: (entry.epoch, entry.after) if empty else None for entry in slices}
        return bool(slices) and all(self._is_next(entry) for entry in slices)

    def _is_next(self, entry: Slice) -> bool:
        """Whether nobody has delivered anything of a pair meanwhile, and nobody has asked for all of it again."""
        return self._filled.get(entry.pair) == (entry.epoch, entry.after)

    def fill(
        self,
        session: ExternalSession,
        mapping: SyncMapping,
        slices: Sequence[Slice],
        blocks: Iterator[bytes],
        owner: TenancyId,
    ) -> int | None:
        """Write a batch straight into the table, in the transaction that is open.

        Returns:
            What `committed` is to be told.

        Raises:
            ResendError: something in it is not new.
        """
        statements, connection = self._merges.of(mapping), session.connection
        pages = self._tables.size_bytes(connection, mapping) // _PAGE_BYTES
        keyless_up_to = self._keyless.get(mapping.mapping_id)
        if keyless_up_to is None and not pages and all(entry.upto < entry.complete_up_to for entry in slices):
            self._tables.drop_key(connection, mapping)
            keyless_up_to = min(entry.complete_up_to for entry in slices)
        if keyless_up_to is not None and any(entry.upto > keyless_up_to for entry in slices):
            keyless_up_to = self.end(session, mapping)
        # Where there is no key to find them by, other tenancies' rows are looked for from the last page there was.
        strangers = statements.is_shared if keyless_up_to is None else statements.has_strangers
        try:
            session.copy(statements.fill, blocks)
            session.limit()
            found = connection.execute(strangers, {"owner": owner, "page": max(pages - 1, 0)}).fetchone()
        except psycopg.IntegrityError as error:
            self._filled = dict.fromkeys(self._filled)
            raise ResendError from error
        if found == (True,):
            self._filled = dict.fromkeys(self._filled)
            raise ResendError
        if keyless_up_to is not None and all(entry.upto == keyless_up_to for entry in slices):
            return self.end(session, mapping)
        return keyless_up_to

    def left_without_key(self, mapping: SyncMapping) -> bool:
        """Whether the table has no key now."""
        return mapping.mapping_id in self._keyless

    def end(self, session: ExternalSession, mapping: SyncMapping) -> None:
        """Build the key of a table that was left without."""
        if self.left_without_key(mapping):
            session.allow(self._tables.seconds(session.connection, self._tables.table(mapping)))
            self._tables.add_key(session.connection, mapping)
            session.progress()

    def committed(self, mapping: SyncMapping, slices: Sequence[Slice], keyless_up_to: int | None) -> None:
        """Note how a batch has left the table: None, with its key; else up to which sequence id it may go without."""
        self._filled |= {
            entry.pair: (entry.epoch, entry.upto) if self._is_next(entry) else None
            for entry in slices
            if entry.pair in self._filled
        }
        if keyless_up_to is None:
            self._keyless.pop(mapping.mapping_id, None)
        else:
            self._keyless[mapping.mapping_id] = keyless_up_to
