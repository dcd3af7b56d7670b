"""Which tenancies a verification looks at: all, some by name, or a share of them that another day is another one.

A share is an interval of the tenancies' hashes, which every database computes alike. It therefore also holds the rows
of tenancies that exist in no list, such as those that somebody wrote for a tenancy that never was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Self

import psycopg
from psycopg import sql

SLOTS = 1 << 32
"""Hashes of tenancies are smaller than this."""


@dataclass(frozen=True)
class Share:
    """An interval of hashes of `width` from `start` on; after the last one comes the first."""

    start: int
    width: int

    @classmethod
    def nth(cls, fraction: float, number: int) -> Self:
        """Return one of the shares of this size; consecutive numbers walk through all tenancies, and begin again."""
        count = ceil(1 / fraction)
        width = ceil(SLOTS / count)
        return cls(number % count * width, width)


@dataclass(frozen=True)
class Scope:
    """What to look at: the tenancies named, by their ids as text, and those of a share; everything when neither is."""

    tenancies: tuple[str, ...] | None = None
    share: Share | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self.tenancies is None and self.share is None

    def ids(self, connection: psycopg.Connection) -> list[str] | None:
        """Return the tenancies that the source knows, as text; None when that is all of them."""
        if self.is_everything:
            return None
        named = set(self.tenancies or ())
        if self.share is not None:
            known = sql.SQL("select tenancy_id::text from dbsync.tenancy where {}").format(
                self.postgres(sql.SQL("tenancy_id::text"))
            )
            named |= {tenancy for (tenancy,) in connection.execute(known)}
        return sorted(named)

    def postgres(self, tenancy: sql.Composable) -> sql.Composed:
        """Return the condition on a tenancy's text for Postgres."""
        slot = sql.SQL("('x' || left(md5({}), 8))::bit(32)::bigint").format(tenancy)
        return _either(
            [
                *([] if self.tenancies is None else [sql.SQL("{} = any({})").format(tenancy, list(self.tenancies))]),
                *(
                    []
                    if self.share is None
                    else [
                        sql.SQL("({slot} - {start} + {slots}) % {slots} < {width}").format(
                            slot=slot, start=self.share.start, slots=SLOTS, width=self.share.width
                        )
                    ]
                ),
            ]
        )

    def clickhouse(self, tenancy: str, literals: Sequence[str]) -> str:
        """Return the condition on a tenancy for ClickHouse; `literals` are the named ones, quoted.

        They are compared as what they are: only by that does ClickHouse leave out parts of a table.
        """
        conditions: list[str] = []
        if self.tenancies is not None:
            conditions.append(f"{tenancy} in ({', '.join(literals)})" if literals else "false")
        if self.share is not None:
            slot = f"reinterpretAsUInt32(reverse(substring(MD5(toString({tenancy})), 1, 4)))"
            conditions.append(f"({slot} - {self.share.start} + {SLOTS}) % {SLOTS} < {self.share.width}")
        return f"({' or '.join(conditions)})" if conditions else "true"


def _either(conditions: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(" or ").join(conditions) if conditions else sql.SQL("true"))
