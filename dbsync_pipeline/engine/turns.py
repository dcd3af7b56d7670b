"""How many rows of large loads a turn may have, so that small changes do not wait long for them.

A change that comes while a turn is under way is seen by the next one. Long turns are the cheapest way through a large
load, and right while nobody else has anything; as soon as others do, turns become short.
"""

from dataclasses import dataclass

_FIRST_ROWS = 50_000
_SECONDS_IN_COMPANY = 0.5


@dataclass
class TurnSize:
    """One worker's turns over a load that takes several; it begins with short ones, as it knows nothing of others.

    Attributes:
        most: the most rows that a turn ever has.
        least: fewer of a large load are not worth a turn.
    """

    most: int
    least: int

    def __post_init__(self) -> None:
        """Begin with short turns."""
        self.rows = min(_FIRST_ROWS, self.most)

    def note(self, rows: int, seconds: float, *, company: bool) -> None:
        """Take in a turn that has left some of a load for the next one.

        Args:
            rows: how many it delivered.
            seconds: how long it took.
            company: whether small changes went with it.
        """
        if company:
            rows_in_time = int(rows * _SECONDS_IN_COMPANY / max(seconds, 0.001))
            self.rows = min(max(rows_in_time, self.least), self.most)
        else:
            self.rows = self.most
