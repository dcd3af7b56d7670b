"""How many rows of large loads a turn may have, so that small changes do not wait long for them.

A change that comes while a turn is under way is seen by the next one. Long turns are the cheapest way through a large
load, and right while nobody else has anything; as soon as others do, turns become short.
"""

from dataclasses import dataclass

FIRST_ROWS = 50_000
"""What a load's first turn has, of which nobody knows yet who may come meanwhile."""

FIRST_ROWS_OF_ONE = 150_000
"""The same where a tenancy alone may have to wait: what it was given at 15,000 rows/s in `_SECONDS_ALONE`."""

_SECONDS_IN_COMPANY = 0.5
_SECONDS_ALONE = 10.0


@dataclass
class TurnSize:
    """One worker's turns over a load that takes several; it begins with short ones, as it knows nothing of others.

    Attributes:
        most: the most rows that a turn ever has.
        least: fewer of a large load are not worth a turn.
        first: how many the first one has at most.
        rows: how many the next turn has.
        alone: how many one has while nobody else has anything: all, unless that takes very long.
    """

    most: int
    least: int
    first: int = FIRST_ROWS

    def __post_init__(self) -> None:
        """Begin with short turns."""
        self.rows = min(self.first, self.most)
        self.alone = self.most

    def note(self, rows: int, seconds: float, *, company: bool) -> None:
        """Take in a turn that has left some of a load for the next one.

        Args:
            rows: how many it delivered.
            seconds: how long it took.
            company: whether small changes went with it.
        """
        if company:
            self.rows = self._within(_SECONDS_IN_COMPANY, rows, seconds)
            return
        # A turn of few rows tells little of how long many would take.
        if seconds > _SECONDS_ALONE or rows > self.alone // 2:
            self.alone = self._within(_SECONDS_ALONE, rows, seconds)
        self.rows = self.alone

    def _within(self, wanted_seconds: float, rows: int, seconds: float) -> int:
        """Return how many take so long, where so many took `seconds`."""
        return min(max(int(rows * wanted_seconds / max(seconds, 0.001)), self.least), self.most)
