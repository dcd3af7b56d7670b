"""Remembers, for every tenancy in every copy, what the last comparison of each mapping came to.

A row in dbsync.verified is written over by the next comparison, so that there are as many as there are pairs to
compare, however often that is done. It goes with its destination and, when that is erased, with its tenancy: whoever
writes one holds both for that moment, and leaves out what somebody is removing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import expression
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.mappings.types import data_type

_WRITTEN_AT_ONCE = 2_000

# Where nothing is on its way to a destination, it is complete up to the last number; one that is not announced as it is
# now has only what it was given before.
_BOUNDS: LiteralString = """
select t.tenancy_id::text, case when d.announced and p.wanted > p.reached is not true then s.last_sequence_id
    else coalesce(p.reached, 0) end
from dbsync.tenancy t cross join dbsync.sequencer s
join dbsync.destination d on d.destination_id = %(destination)s
left join dbsync.pending p on p.destination_id = d.destination_id and p.tenancy_id = t.tenancy_id
    and p.mapping_id = %(mapping)s
where %(tenancies)s::text[] is null or t.tenancy_id = any(%(tenancies)s::{type}[])
"""

_RECORD: LiteralString = """
with found as (
    select * from unnest(%(tenancies)s::{type}[], %(sequence_ids)s::bigint[], %(source_rows)s::bigint[],
        %(destination_rows)s::bigint[], %(differing)s::bigint[], %(waiting)s::bigint[])
        as found (tenancy_id, sequence_id, source_rows, destination_rows, differing, waiting)
), kept as materialized (
    select d.destination_id, t.tenancy_id from dbsync.tenancy t cross join dbsync.destination d
    where t.tenancy_id = any(%(tenancies)s::{type}[]) and d.destination_id = %(destination)s
    order by t.tenancy_id
    for key share of t, d skip locked
)
insert into dbsync.verified as known (destination_id, tenancy_id, mapping_id, verified_at, sequence_id, source_rows,
    destination_rows, differing, waiting)
select kept.destination_id, kept.tenancy_id, %(mapping)s, statement_timestamp(), sequence_id, source_rows,
    destination_rows, differing, waiting
from kept join found using (tenancy_id)
-- Two who compare the same write in the same order.
order by kept.tenancy_id
on conflict (destination_id, tenancy_id, mapping_id) do update set
    verified_at = excluded.verified_at, sequence_id = excluded.sequence_id, source_rows = excluded.source_rows,
    destination_rows = excluded.destination_rows, differing = excluded.differing, waiting = excluded.waiting
"""

# Everything that there is to compare, whether it ever was or not: a tenancy's own databases are found by index.
_PAIRS: LiteralString = """
from dbsync.tenancy t
cross join lateral (
    select * from dbsync.destination where tenancy_id is null
    union all select * from dbsync.destination where tenancy_id = t.tenancy_id
) d
join unnest(%(mappings)s::text[]) with ordinality as m (mapping_id, position)
    on d.mappings is null or m.mapping_id = any(d.mappings)
left join dbsync.verified v on v.destination_id = d.destination_id and v.tenancy_id = t.tenancy_id
    and v.mapping_id = m.mapping_id
where d.enabled and (%(tenancies)s::text[] is null or t.tenancy_id = any(%(tenancies)s::{type}[]))
    and (%(destinations)s::text[] is null or d.destination_id = any(%(destinations)s))
"""

_LAST: LiteralString = (
    """
select d.destination_id, t.tenancy_id::text as tenancy, m.mapping_id, v.verified_at, v.sequence_id, v.source_rows,
    v.destination_rows, v.differing, v.waiting
"""
    + _PAIRS
    + "and (v.differing > 0 or not %(differing)s) order by t.tenancy_id, d.kind, d.destination_id, m.position"
)

_COVERAGE: LiteralString = (
    """
select d.kind, m.mapping_id, count(v.verified_at) as compared, count(*) - count(v.verified_at) as never_compared,
    min(v.verified_at) as oldest, count(*) filter (where v.differing > 0) as differing
"""
    + _PAIRS
    + "group by d.kind, m.mapping_id, m.position order by d.kind, m.position"
)


@dataclass(frozen=True)
class Outcome:
    """What came of comparing one tenancy's rows.

    Attributes:
        sequence_id: the copy had everything of it up to here, at least.
        waiting: rows that could not be compared, because changes of them were on their way.
    """

    tenancy: str
    sequence_id: int
    source_rows: int
    destination_rows: int
    differing: int
    waiting: int


@dataclass(frozen=True)
class LastComparison:
    """The last outcome for one tenancy and mapping in one destination; None all through where there never was one."""

    destination_id: str
    tenancy: str
    mapping_id: str
    verified_at: datetime | None
    sequence_id: int | None
    source_rows: int | None
    destination_rows: int | None
    differing: int | None
    waiting: int | None


@dataclass(frozen=True)
class Coverage:
    """How much of one mapping in one kind of destination has been compared.

    Attributes:
        compared: (tenancy, destination) pairs that were, at some time.
        never_compared: those that were not yet.
        oldest: when the one was that was compared longest ago.
        differing: pairs that differed when they were last compared.
    """

    kind: str
    mapping_id: str
    compared: int
    never_compared: int
    oldest: datetime | None
    differing: int


def bounds(
    connection: psycopg.Connection,
    catalog: Catalog,
    mapping: SyncMapping,
    destination_id: str,
    tenancies: Sequence[str] | None,
) -> dict[str, int]:
    """Return tenancy -> up to which sequence id a destination has all of it, of those that the source knows."""
    parameters = {
        "mapping": mapping.mapping_id,
        "destination": destination_id,
        "tenancies": None if tenancies is None else list(tenancies),
    }
    return dict(connection.execute(_typed(_BOUNDS, catalog), parameters).fetchall())


def record(
    connection: psycopg.Connection,
    catalog: Catalog,
    mapping: SyncMapping,
    destination_id: str,
    outcomes: Sequence[Outcome],
) -> None:
    """Write down what came of comparing, over what was there."""
    names = ("tenancies", "sequence_ids", "source_rows", "destination_rows", "differing", "waiting")
    for first in range(0, len(outcomes), _WRITTEN_AT_ONCE):
        columns = zip(*map(astuple, outcomes[first : first + _WRITTEN_AT_ONCE]), strict=True)
        lists = {name: list(values) for name, values in zip(names, columns, strict=True)}
        connection.execute(
            _typed(_RECORD, catalog), {"mapping": mapping.mapping_id, "destination": destination_id, **lists}
        )


def read_last(
    connection: psycopg.Connection,
    catalog: Catalog,
    *,
    tenancies: Sequence[str] | None = None,
    destinations: Sequence[str] | None = None,
    differing: bool = False,
) -> Iterator[LastComparison]:
    """Yield a line for every tenancy, destination and mapping that is to be compared, or that differed, by tenancy."""
    chosen = {**_chosen(catalog, tenancies, destinations), "differing": differing}
    with connection.cursor(row_factory=class_row(LastComparison)) as cursor:
        yield from cursor.execute(_typed(_LAST, catalog), chosen)


def read_coverage(
    connection: psycopg.Connection,
    catalog: Catalog,
    *,
    destinations: Sequence[str] | None = None,
) -> list[Coverage]:
    """Return a line for every mapping and kind of destination."""
    with connection.cursor(row_factory=class_row(Coverage)) as cursor:
        return cursor.execute(_typed(_COVERAGE, catalog), _chosen(catalog, None, destinations)).fetchall()


def _typed(statement: LiteralString, catalog: Catalog) -> sql.Composed:
    return sql.SQL(statement).format(type=expression(data_type(catalog.tenancy.type).postgres))


def _chosen(
    catalog: Catalog, tenancies: Sequence[str] | None, destinations: Sequence[str] | None
) -> dict[str, list[str] | None]:
    return {
        "mappings": [mapping.mapping_id for mapping in catalog.mappings],
        "tenancies": None if tenancies is None else list(tenancies),
        "destinations": None if destinations is None else list(destinations),
    }
