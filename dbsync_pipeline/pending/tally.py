"""How much has been delivered, whoever delivers: counted in the statement that ends a turn.

Counters only grow, and say how much was written, not how much is there: a row that is delivered twice counts twice. A
worker that dies between a delivery and the end of its turn leaves that turn out. So that workers do not wait for each
other, a mapping has a few rows of counters, of which a worker takes the one that its session's number points to;
readers add them up. What is locked is the last that a turn locks, in one order: nobody who waits for it holds up who
has it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg.types.json import Jsonb

from dbsync_pipeline.mappings.spec import DestinationKind

_PLACES = 16
"""Rows of counters a mapping and kind of copy: of four workers, two have the same one in a third of all cases."""

COUNTED: LiteralString = """
insert into dbsync.delivered as known (kind, mapping_id, place, upserted, deleted, failed, last_at)
select %(kind)s, turn.mapping_id, %(place)s, turn.upserted, turn.deleted, turn.failed,
    case when turn.upserted + turn.deleted > 0 then clock_timestamp() end
-- Counted, so that all pending rows are locked and written before the first counter is.
from (select count(*) from ended) as before cross join jsonb_to_recordset(%(turn)s) as turn
    (mapping_id text, upserted bigint, deleted bigint, failed bigint)
order by turn.mapping_id
on conflict (kind, mapping_id, place) do update set
    upserted = known.upserted + excluded.upserted,
    deleted = known.deleted + excluded.deleted,
    failed = known.failed + excluded.failed,
    last_at = greatest(known.last_at, excluded.last_at)
"""
"""SQL of the last part of a statement in which `ended` ends claims; with the parameters of `counted`."""

_TOTALS = """
select mapping_id, kind, sum(upserted)::bigint, sum(deleted)::bigint, sum(failed)::bigint, max(last_at)
from dbsync.delivered group by mapping_id, kind
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one pair in one turn: rows and tombstones that were delivered, and whether it failed."""

    mapping_id: str
    upserted: int = 0
    deleted: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Delivered:
    """What has been delivered of a mapping to a kind of copy, since `dbsync init` made the counters.

    Attributes:
        upserted: rows, each as often as it was written.
        deleted: tombstones, likewise.
        failed: how often a pair's delivery has failed.
        last_at: when a row or tombstone was delivered last; None when none was.
    """

    upserted: int = 0
    deleted: int = 0
    failed: int = 0
    last_at: datetime | None = None

    @property
    def rows(self) -> int:
        """Rows and tombstones together, as sequence ids count them."""
        return self.upserted + self.deleted


def counted(kind: DestinationKind, worker: int, outcomes: Iterable[Outcome]) -> dict[str, object]:
    """Return the parameters that add a turn's outcomes to the counters of a worker's place."""
    upserted, deleted, failed = Counter[str](), Counter[str](), Counter[str]()
    for outcome in outcomes:
        upserted[outcome.mapping_id] += outcome.upserted
        deleted[outcome.mapping_id] += outcome.deleted
        failed[outcome.mapping_id] += outcome.failed
    turn = [
        {"mapping_id": name, "upserted": upserted[name], "deleted": deleted[name], "failed": failed[name]}
        for name in upserted
        if upserted[name] or deleted[name] or failed[name]
    ]
    return {"kind": kind, "place": worker % _PLACES, "turn": Jsonb(turn)}


def read_delivered(connection: psycopg.Connection) -> dict[tuple[str, DestinationKind], Delivered]:
    """Return (mapping, kind of copy) -> what has been delivered of it; nothing where nothing was."""
    return {(mapping_id, kind): Delivered(*totals) for mapping_id, kind, *totals in connection.execute(_TOTALS)}
