"""Finds the row, and the column, that keeps a slice from being delivered.

The slice is halved until one row is left, and that row's columns are tried one by one, against the source's own
conversions and, without writing, against the destination. Costs about as much as reading the slice twice; it runs only
after a failure, and its answer is what the person on call reads. A destination that does not let itself be asked leaves
it at the failure: that is no reason for others to wait (I8).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import psycopg
from psycopg import sql

from dbsync_pipeline.destinations.base import Destination, ProjectedColumn, Slice
from dbsync_pipeline.engine.extraction import Extraction
from dbsync_pipeline.engine.snapshot import Snapshot
from dbsync_pipeline.errors import DbsyncError, UnreachableError

logger = logging.getLogger(__name__)


def describe_failure(
    extraction: Extraction,
    failed: Slice,
    snapshot: Snapshot,
    destination: Destination,
    error: Exception,
) -> str:
    """Return one line that names mapping, key and column; what cannot be found out is left out of it."""
    mapping = extraction.mapping
    cause = error.what if isinstance(error, DbsyncError) else DbsyncError(str(error)).what
    place = f"mapping {mapping.mapping_id}, tenancy {failed.pair.tenancy_id}"

    def refused(part: Slice, columns: Sequence[ProjectedColumn]) -> str | None:
        statement = extraction.copy(columns, [[part]], destination)
        try:
            with snapshot.copy(statement) as blocks:
                return destination.refusal(mapping, columns, blocks)
        except psycopg.Error as refusal:
            if snapshot.is_lost(refusal):
                raise
            return DbsyncError(str(refusal)).what

    projection = destination.projection(mapping)
    try:
        row = _narrow(extraction, failed, snapshot, lambda part: refused(part, projection) is not None)
        if row is not None:
            place += f", key {_key(extraction, row, snapshot)}"
            for column in projection:
                reason = refused(row, [column])
                if reason is not None:
                    return f"{place}, column {column.name}: {reason}"
    except UnreachableError:
        raise
    except DbsyncError as unasked:
        logger.info("what is refused cannot be found out", extra={"mapping": mapping.mapping_id, "why": unasked.what})
    return f"{place}: {cause}"


def _narrow(
    extraction: Extraction, failed: Slice, snapshot: Snapshot, is_refused: Callable[[Slice], bool]
) -> Slice | None:
    """Return the slice of one refused row, or None if the rows are not what is refused."""
    if not is_refused(failed):
        return None
    low, high = failed.after, failed.upto
    while True:
        part = replace(failed, after=low, upto=high)
        rows = _rows(extraction, part, snapshot)
        if rows <= 1:
            return part
        middle = _id_at(extraction, part, snapshot, rows // 2)
        if is_refused(replace(failed, after=low, upto=middle)):
            high = middle
        else:
            low = middle


def _rows(extraction: Extraction, part: Slice, snapshot: Snapshot) -> int:
    row = snapshot.connection.execute(extraction.extent([part], 2**31)).fetchone()
    return 0 if row is None else row[1] + row[2]


def _id_at(extraction: Extraction, part: Slice, snapshot: Snapshot, rows: int) -> int:
    row = snapshot.connection.execute(extraction.extent([part], rows)).fetchone()
    assert row is not None
    return row[3]


def _key(extraction: Extraction, row: Slice, snapshot: Snapshot) -> str:
    columns = [
        ProjectedColumn(entry.name, f"({entry.expression})::text", f"({entry.expression})::text")
        for entry in extraction.mapping.key_columns
    ]
    statement = sql.SQL("{} union all {}").format(
        extraction.live_rows(columns, [row]), extraction.tombstones(columns, [row])
    )
    found = snapshot.connection.execute(statement).fetchone()
    values = found if found is not None else ("?",) * len(columns)
    return ", ".join(
        f"{entry.name}={value}" for entry, value in zip(extraction.mapping.key_columns, values, strict=True)
    )
