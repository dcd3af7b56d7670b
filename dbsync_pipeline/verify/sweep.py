"""Has removed what a copy holds and the source does not, where tombstones that would say so are gone.

It is a verification whose repair is confined to such rows: what the copy lacks or has in an older form is about to be
delivered anyway.
"""

from collections.abc import Sequence

import psycopg

from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import SyncColumns
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.verify.copies import Copy
from dbsync_pipeline.verify.differences import Difference, Kind
from dbsync_pipeline.verify.repair import Repair
from dbsync_pipeline.verify.verification import Verification

_NOT_IN_SOURCE = (Kind.EXTRA, Kind.RESURRECTED, Kind.WRONG_TENANCY)


def sweep(
    connection: psycopg.Connection,
    catalog: Catalog,
    columns: SyncColumns,
    mapping: SyncMapping,
    copy: Copy,
    *,
    tenancies: Sequence[str],
) -> None:
    """Entomb what a copy holds of some tenancies, by their ids as text, and the source does not.

    Raises:
        DbsyncError: the two cannot be compared.
        psycopg.Error: the session on the source is lost.
    """
    repair = Repair(connection, catalog, columns, mapping, copy)

    def remove(differences: list[Difference]) -> None:
        repair([entry for entry in differences if entry.kind in _NOT_IN_SOURCE])

    try:
        Verification(
            connection, catalog, columns, mapping, copy, tenancies=tenancies, repair=remove, patience_seconds=0
        ).run()
    except psycopg.Error as error:
        if connection.broken:
            raise
        raise DbsyncError(f"what is left behind cannot be looked for: {error}") from error
