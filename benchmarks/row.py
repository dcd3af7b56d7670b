"""One line of the result: a measured value, the rival beside it, and the target it is held to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


@dataclass(frozen=True)
class Target:
    """A bound on a row's ratio or on its value."""

    of: Literal["ratio", "value"]
    bound: Literal[">=", "<="]
    number: float

    def is_met(self, value: float, ratio: float | None) -> bool:
        """Tell whether a row's numbers keep the bound."""
        number = value if self.of == "value" or ratio is None else ratio
        return number >= self.number if self.bound == ">=" else number <= self.number

    def __str__(self) -> str:
        return f"{self.of} {self.bound} {self.number:g}"

    @classmethod
    def of_text(cls, text: str) -> "Target":
        """Read what `str` has returned."""
        of, bound, number = text.split()
        return cls(of, bound, float(number))  # pyright: ignore[reportArgumentType] -- written by `str`


@dataclass(frozen=True)
class Row:
    """A result.

    Attributes:
        name: what was measured; stable, so that results can be compared over time.
        value: ours, in `unit`.
        rival: what ours stands beside, or nothing.
        rival_value: the rival's, in the same unit unless `rival` names another.
        contains: what exactly was measured, in one sentence.
    """

    name: str
    value: float
    unit: str
    contains: str
    rival: str | None = None
    rival_value: float | None = None
    ratio: float | None = None
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; nothing where there is none."""
        return None if self.target is None else self.target.is_met(self.value, self.ratio)

    def document(self) -> dict[str, object]:
        """Return the row as JSON takes it, and `Row.of` again."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "rival": self.rival,
            "rival_value": self.rival_value,
            "ratio": self.ratio,
            "target": None if self.target is None else str(self.target),
            "met": self.met,
            "contains": self.contains,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Row":
        """Read what `document` has returned."""
        own = {name: value for name, value in document.items() if name not in ("met", "target")}
        return cls(**own, target=None if document["target"] is None else Target.of_text(document["target"]))


def in_turn(
    ours: Callable[[int], First], rival: Callable[[int], Second], rounds: int
) -> tuple[list[First], list[Second]]:
    """Measure both sides in every round, each side first every other time, so that a drift hits both alike."""
    ours_results: list[First] = []
    rival_results: list[Second] = []
    for number in range(rounds):
        if number % 2:
            rival_results.append(rival(number))
            ours_results.append(ours(number))
        else:
            ours_results.append(ours(number))
            rival_results.append(rival(number))
    return ours_results, rival_results


def median_ratio(ours: Sequence[float], rivals: Sequence[float]) -> float:
    """Return the median of the rounds' ratios: each pair was measured under about the same load."""
    return median(one / other for one, other in zip(ours, rivals, strict=True))
