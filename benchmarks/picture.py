"""Draws how lag went over time."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.probes import Lag


def draw(path: Path, lags: Sequence[Lag], *, started: float, killed_at: float) -> None:
    """Write a picture in which each sign-up is a point, at the second of its commit.

    Args:
        path: of the PNG file.
        lags: what is shown.
        started: zero of the time axis, by the clock of the lags.
        killed_at: when the worker was killed, by the same clock.
    """
    figure = Figure(figsize=(9, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter([lag.committed - started for lag in lags], [lag.seconds for lag in lags], s=9, label="one sign-up")
    axes.axvline(killed_at - started, color="tab:red", linestyle="--", label="the worker is killed (SIGKILL)")
    axes.set_xlabel("time of the commit (s)")
    axes.set_ylabel("commit to ClickHouse (s)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.savefig(path)
