"""The command: runs the benchmarks asked for and prints their rows as Markdown or as JSON."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import (
    capture_overhead,
    dagster_latency,
    external_latency,
    external_load,
    fairness,
    first_load,
    idle,
    latency,
    scaling,
    sequencer,
    sweep,
    takeover,
    verify,
)
from benchmarks.bench import Bench
from benchmarks.report import PICTURES, measurement, save, table_of
from benchmarks.row import Row
from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres

_SESSIONS = 600
"""Room for one on each of two hundred databases, from a worker and from who looks there."""

BENCHMARKS: Mapping[str, Callable[[Bench], Iterator[Row]]] = {
    "first_load_clickhouse": first_load.run,
    "first_load_postgres": external_load.first_load,
    "incremental_postgres": external_load.incremental,
    "sequencer": sequencer.run,
    "capture_overhead": capture_overhead.run,
    "commit_to_clickhouse": latency.run,
    "commit_to_clickhouse_dagster": dagster_latency.run,
    "commit_to_postgres": external_latency.run,
    "sweep_ten_thousand_tenancies": sweep.run,
    "fairness": fairness.run,
    "takeover": takeover.run,
    "scaling": scaling.run,
    "idle": idle.run,
    "verify": verify.run,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code tells only whether everything could be measured."""
    options = _parse(arguments)
    results: list[Row] = []
    for name in options.only:
        rows: list[Row] = []
        # Services of its own for each, so that none pays for what another left behind.
        with tempfile.TemporaryDirectory(prefix="dbsync bench ") as home:
            for row in _run(name, Path(home), options):
                rows.append(row)
                if options.json:
                    print(json.dumps(row.document()), flush=True)
        results += rows
        if options.save:
            save([measurement(name, rows, options.scale)], list(BENCHMARKS))
    if not options.json:
        print(table_of(results))
    return 0


def _run(name: str, home: Path, options: argparse.Namespace) -> Iterator[Row]:
    with (
        EmbeddedPostgres(home / "postgres", sessions=_SESSIONS) as postgres,
        EmbeddedClickHouse(home / "clickhouse") as clickhouse,
    ):
        bench = Bench(postgres, clickhouse.url, options.scale, _say, PICTURES if options.save else None)
        yield from BENCHMARKS[name](bench)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(BENCHMARKS), metavar="NAME,…", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="one JSON object a row, as soon as it is measured")
    parser.add_argument("--scale", type=float, default=1.0, metavar="F", help="sizes times F; 1 is what counts")
    parser.add_argument(
        "--save", action="store_true", help="put them among the results, with day and machine, and draw"
    )
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
