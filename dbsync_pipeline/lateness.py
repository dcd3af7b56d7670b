"""Which copies are late: what the checks in Dagster show, and what is told to who wants to be told.

A change has an age from when it was numbered. Before that it only waits; that it waits for long shows between two
looks, when no number was given out meanwhile. So whoever looks again and again remembers a `Standstill`.
"""

from pydantic import BaseModel, ConfigDict

from dbsync_pipeline.status import MappingStatus, Status, waiting_for_sequencer


class Standstill(BaseModel):
    """How long changes have waited for a number while none was given out.

    Attributes:
        sequence_id: the last number at the last look.
        since: when it was first seen so, in seconds since 1970; None while nothing waits, or numbering is paused.
    """

    model_config = ConfigDict(frozen=True)

    sequence_id: int = 0
    since: float | None = None

    def then(self, found: Status, now: float) -> "Standstill":
        """Return what is to be remembered after a look at `now`, in seconds since 1970."""
        if found.numbering_paused or not waiting_for_sequencer(found):
            return Standstill(sequence_id=found.sequence_id)
        if self.since is None or self.sequence_id != found.sequence_id:
            return Standstill(sequence_id=found.sequence_id, since=now)
        return self

    def seconds(self, now: float) -> float:
        """Return how long it has lasted."""
        return 0.0 if self.since is None else now - self.since


def behind_seconds(entry: MappingStatus, standstill_seconds: float = 0.0) -> float:
    """Return how long the oldest change of a mapping has been on its way to a kind of copy, as far as is known."""
    return max(entry.lag_seconds, standstill_seconds if entry.waiting_for_sequencer else 0.0)
