"""How much processor time a deployment at work takes, and who takes it.

Unlike a latency, that is the same on a busy machine as on a quiet one, but for what caches make of it.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dbsync_pipeline.pipeline import Pipeline

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_CLICKHOUSE = b"dbsync_pipeline.embedded.clickhouse_server"


def seconds_used(pipeline: Pipeline, processes: dict[str, int]) -> dict[str, float]:
    """Return the processor seconds so far of processes by name, of ClickHouse, and of the sessions on Postgres."""
    used = {name: _seconds(pid) for name, pid in processes.items()}
    used["ClickHouse"] = sum(_seconds(pid) for pid in _children(os.getpid()) if _CLICKHOUSE in _command(pid))
    with pipeline.source("bench processor") as connection:
        for pid, name in connection.execute(
            "select pid, application_name from pg_stat_activity where backend_type = 'client backend'"
        ):
            session = f"session {name!r}"
            # One may have ended since.
            with suppress(FileNotFoundError):
                used[session] = used.get(session, 0) + _seconds(pid)
    return used


def _seconds(pid: int) -> float:
    # The name, which comes second, may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@dataclass(frozen=True)
class MachineTime:
    """What all processors of the machine have done since it started, in ticks."""

    busy: int
    whole: int

    @classmethod
    def now(cls) -> Self:
        """Look."""
        # Guests are counted as users, too.
        ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        idle, waiting = ticks[3:5]
        return cls(sum(ticks) - idle - waiting, sum(ticks))

    def busy_since(self, before: Self) -> float:
        """Return which share of them was busy."""
        return (self.busy - before.busy) / max(self.whole - before.whole, 1)
