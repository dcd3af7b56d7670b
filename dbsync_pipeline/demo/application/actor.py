"""What every transaction of the demo application needs: a connection, the tenancies, and a random row to act on.

A row is found by probing a key's index at a random id, so choosing costs the same however large the table is, and
nothing has to be remembered. It stays locked until the transaction ends, and rows that others have locked are passed
over: several applications may write to one database without breaking each other's foreign keys.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from dbsync_pipeline.demo import samples

_LOWEST_ID = UUID(int=0)
_MINIMUM_TENANCIES = 4

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Tenancy:
    """A tenancy as the application's rows refer to it."""

    id: UUID
    project_id: str
    branch_id: str


def utc_now() -> datetime:
    """Return the time as the application's columns hold it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


class Actor:
    """The base of the transaction classes.

    Every public method of those is one transaction (or two, where its description says so) that returns whether it
    found something to write. The same random numbers on the same data write the same rows; new ids come from them,
    too, so a sequence of random numbers is good for one use in a database.

    Args:
        connection: to a database with the application's schema; not used by anybody else meanwhile.
        clock: gives the time that goes into the rows, UTC without a zone.
    """

    def __init__(self, connection: psycopg.Connection, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.connection = connection
        self.clock = clock
        rows = connection.execute('select "id", "projectId", "branchId" from "Tenancy" order by "createdAt", "id"')
        self.tenancies = [Tenancy(*row) for row in rows]
        if not connection.autocommit:
            connection.rollback()

    def random_tenancy(self, rng: random.Random) -> Tenancy:
        """Return one of the tenancies; the older ones are busier."""
        return self.tenancies[int(len(self.tenancies) * rng.random() ** 2)]

    def doomed_tenancy(self, rng: random.Random) -> Tenancy | None:
        """Return one of the younger half, or nothing when only few are left."""
        if len(self.tenancies) <= _MINIMUM_TENANCIES:
            return None
        return self.tenancies[rng.randrange(len(self.tenancies) // 2, len(self.tenancies))]

    def still_exists(self, tenancy: Tenancy) -> bool:
        """Return whether the tenancy is there, and keep it there until the transaction ends."""
        row = self.execute('select 1 from "Tenancy" where "id" = %s for key share', tenancy.id).fetchone()
        return row is not None

    def siblings(self, tenancy: Tenancy) -> list[Tenancy]:
        """Return the other tenancies of the same project and branch."""
        return [
            other
            for other in self.tenancies
            if other != tenancy and (other.project_id, other.branch_id) == (tenancy.project_id, tenancy.branch_id)
        ]

    def pick(self, rng: random.Random, query: LiteralString, *scope: object) -> Row | None:
        """Return the first row of `query` at or after a random id, else the first of all, else nothing.

        Args:
            rng: where the id comes from.
            query: selects one row for a scope and a lowest id, in this order, and locks it.
            scope: what the query's parameters before the id are bound to.
        """
        row = self.execute(query, *scope, new_id(rng)).fetchone()
        return row or self.execute(query, *scope, _LOWEST_ID).fetchone()

    def pick_user(self, rng: random.Random, tenancy: Tenancy) -> UUID | None:
        """Return the id of a user of the tenancy."""
        row = self.pick(
            rng,
            """
            select "projectUserId" from "ProjectUser" where "tenancyId" = %s and "projectUserId" >= %s
            order by "projectUserId" limit 1 for no key update skip locked
            """,
            tenancy.id,
        )
        return row[0] if row else None

    def pick_team(self, rng: random.Random, tenancy: Tenancy) -> UUID | None:
        """Return the id of a team of the tenancy."""
        row = self.pick(
            rng,
            """
            select "teamId" from "Team" where "tenancyId" = %s and "teamId" >= %s
            order by "teamId" limit 1 for no key update skip locked
            """,
            tenancy.id,
        )
        return row[0] if row else None

    def execute(self, query: LiteralString, *parameters: object) -> psycopg.Cursor[Row]:
        """Run a statement in the current transaction."""
        return self.connection.execute(query, parameters)

    def write(self, query: LiteralString, *parameters: object) -> bool:
        """Run a statement and return whether it wrote a row."""
        return self.execute(query, *parameters).rowcount > 0

    def some_time(self, rng: random.Random) -> datetime | str:
        """Return the present, or now and then a time that is hard to carry."""
        return rng.choice(samples.TIMES) if rng.random() < 1 / 50 else self.clock()


def new_id(rng: random.Random) -> UUID:
    """Return a random id."""
    return UUID(int=rng.getrandbits(128), version=4)


def some_text(rng: random.Random, usual: str) -> str:
    """Return the usual text with a number, or an awkward one."""
    return rng.choice(samples.TEXTS) if rng.random() < 1 / 6 else f"{usual} {rng.randrange(10_000)}"


def some_document(rng: random.Random) -> str | None:
    """Return a JSON text of any shape, or nothing."""
    chance = rng.random()
    if chance < 1 / 8:
        return None
    if chance < 1 / 2:
        return rng.choice(samples.DOCUMENTS)
    return f'{{"plan": "plan {rng.randrange(5)}", "seats": {rng.randrange(100)}}}'


def new_email(rng: random.Random) -> str:
    """Return an address that nobody has, sometimes an awkward one."""
    prefix = rng.choice(samples.TEXTS) if rng.random() < 1 / 20 else "user."
    return f"{prefix}{rng.getrandbits(64):016x}@example.com"
