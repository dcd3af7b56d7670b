"""What a verification says."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is wrong with a row."""

    ALTERED = "altered"
    STALE = "stale"
    MISSING = "missing"
    EXTRA = "extra"
    RESURRECTED = "resurrected"
    WRONG_TENANCY = "wrong tenancy"
    NEVER_NUMBERED = "never numbered"
    AHEAD = "ahead of the source"


MEANINGS = {
    Kind.ALTERED: "The copy holds the newest version of the row, with other values.",
    Kind.STALE: "The copy holds an older version, although it should have the newest.",
    Kind.MISSING: "The copy lacks the row, although its checkpoint says that it was delivered.",
    Kind.EXTRA: "The copy holds a row that the source does not have.",
    Kind.RESURRECTED: "The copy shows a row that was deleted, and its deletion delivered.",
    Kind.WRONG_TENANCY: "The copy shows the row to a tenancy that it does not belong to.",
    Kind.NEVER_NUMBERED: "The row waits for its number, and nobody gives it one.",
    Kind.AHEAD: "A checkpoint or row of the copy has a number that the source has not reached.",
}


BY_HAND = "What is there of tenancies that are not delivered there has to be removed there by hand."
"""What to do about what cannot be repaired."""


@dataclass(frozen=True)
class Difference:
    """One row that is not the same in source and copy.

    Attributes:
        key: column of the key -> value as text; empty where no single row is meant.
        columns: the columns that differ, where both sides have the row. Values are not told: they may be secret.
        place: where the copy has the row: values of the tenancy's columns, where copies carry these.
        repairable: whether sending the row again, or its tombstone, puts it right.
    """

    tenancy: str
    key: dict[str, str]
    kind: Kind
    columns: tuple[str, ...] = ()
    place: dict[str, str] = field(default_factory=dict[str, str])
    repairable: bool = True


@dataclass(frozen=True)
class Verified:
    """One mapping in one destination, compared.

    Attributes:
        source_rows: rows that the source has for it, of what has been delivered.
        destination_rows: rows that the copy shows.
        differing: how many rows differ.
        differences: the first of them.
        waiting: rows that could not be compared, because changes of them are on their way.
        error: why nothing could be compared.
    """

    destination_id: str
    mapping_id: str
    source_rows: int = 0
    destination_rows: int = 0
    differing: int = 0
    differences: tuple[Difference, ...] = ()
    waiting: int = 0
    error: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)
