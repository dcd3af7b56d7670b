"""Tenancies as partitions: one dynamic partition key a tenancy, its id as text.

The source's `dbsync.tenancy` is the truth; Dagster's keys follow it. Reading goes round in pages by primary key, on
both sides, so that a tick costs the same whatever there is, and whatever was missed or meddled with comes right within
a round. Keys are added and removed by the sensor; a run adds those that it needs before the sensor came to them.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import dagster as dg
import psycopg
from psycopg import sql
from pydantic import BaseModel

from dbsync_pipeline.mappings.spec import TenancyId, TenancySpec
from dbsync_pipeline.mappings.types import data_type

TENANCIES = dg.DynamicPartitionsDefinition(name="tenancy")

PAGE = 5_000
"""Tenancies read, and keys checked, in one tick: about 20 ms."""

_PAGE_OF_TENANCIES = (
    "select tenancy_id from dbsync.tenancy where deleted_at is null{after} order by tenancy_id limit {page}"
)


class Round(BaseModel):
    """How far the two rounds have come; a sensor's cursor.

    Attributes:
        tenancy: the last tenancy read, as text; None at the start of a round.
        key: the last partition key checked.
    """

    tenancy: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Turn:
    """What one turn found: keys to add, keys to remove, and where the next one goes on."""

    come: list[str]
    gone: list[str]
    next: Round


def compare(
    connection: psycopg.Connection, spec: TenancySpec, keys: Collection[str], position: Round, page: int = PAGE
) -> Turn:
    """Compare one page of tenancies with the keys, and one page of keys with the tenancies.

    Args:
        connection: a session on the source.
        spec: how the application tells tenancies apart.
        keys: every partition key there is.
        position: where the last turn stopped.
        page: the most to read on either side.
    """
    known = set(keys)
    tenancies = _page_of_tenancies(connection, spec, position.tenancy, page)
    in_order = sorted(known)
    first = 0 if position.key is None else bisect_right(in_order, position.key)
    checked = in_order[first : first + page]
    there = living(connection, spec, checked)
    return Turn(
        come=[tenancy for tenancy in tenancies if tenancy not in known],
        gone=[key for key in checked if key not in there],
        next=Round(
            tenancy=tenancies[-1] if len(tenancies) == page else None,
            key=checked[-1] if len(checked) == page else None,
        ),
    )


def living(connection: psycopg.Connection, spec: TenancySpec, keys: Sequence[str]) -> set[str]:
    """Return those keys that are tenancies now."""
    ids = [tenancy_id for tenancy_id in map(_parser(spec), keys) if tenancy_id is not None]
    if not ids:
        return set()
    statement = sql.SQL(
        "select tenancy_id from dbsync.tenancy where tenancy_id = any(%s::{}[]) and deleted_at is null"
    ).format(_type(spec))
    return {str(tenancy_id) for (tenancy_id,) in connection.execute(statement, [ids])}


def _page_of_tenancies(connection: psycopg.Connection, spec: TenancySpec, after: str | None, page: int) -> list[str]:
    condition = sql.SQL("" if after is None else " and tenancy_id > {}::{}").format(sql.Literal(after), _type(spec))
    statement = sql.SQL(_PAGE_OF_TENANCIES).format(after=condition, page=sql.Literal(page))
    return [str(tenancy_id) for (tenancy_id,) in connection.execute(statement)]


def _type(spec: TenancySpec) -> sql.SQL:
    return sql.SQL(data_type(spec.type).postgres)  # pyright: ignore[reportArgumentType] -- from the type table


def _parser(spec: TenancySpec) -> Callable[[str], TenancyId | None]:
    """Return what turns a key back into an id, and one that cannot be an id into None."""
    constructor: Callable[[str], TenancyId] = {"uuid": UUID, "integer": int, "bigint": int}.get(
        data_type(spec.type).postgres, str
    )

    def parse(key: str) -> TenancyId | None:
        try:
            return constructor(key)
        except ValueError:
            return None

    return parse
