"""How long small changes take to become visible while one tenancy has a first load that keeps the worker busy.

The large tenancy is prepared by one statement that writes its users with their numbers, past the triggers; one more
user signs up in the usual way, so that the sequencer makes all of them pending. That leaves what numbering each row
would leave, but for a dead version of it, and takes a fraction of the time.
"""

import time
from collections.abc import Callable, Iterator
from statistics import quantiles
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.bench import Bench, number_all, settle
from benchmarks.live import Deployment, deliver, loaded
from benchmarks.probes import SIGN_UPS_PER_SECOND, Lag, clickhouse_looks, lags
from benchmarks.row import Row, Target
from benchmarks.worker import peak_memory
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.pipeline import Pipeline

_USERS_OF_THE_LARGE_ONE = 5_000_000
_TENANCIES = 200
_USERS_OF_THE_OTHERS = 5_000
_WARM_UP_SECONDS = 5
_SECONDS_BEFORE = 10
_DATABASE = "bench_fairness"

_IMPORT = """
insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt",
    "sequenceId", "shouldUpdateSequenceId"
)
select "id", gen_random_uuid(), "projectId", "branchId", 'User ' || i, now(), nextval('dbsync.sequence_id'), false
from "Tenancy", generate_series(2, %s) as i where "id" = %s
"""

_TRIGGERS = """
select tgname from pg_trigger where tgrelid = '"ProjectUser"'::regclass and not tgisinternal
"""

_SIGN_UP = """
insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt"
)
select "id", gen_random_uuid(), "projectId", "branchId", 'User 1', now() from "Tenancy" where "id" = %s
"""

_PAUSE = "update dbsync.pending set paused = %s where tenancy_id = %s"


def run(bench: Bench) -> Iterator[Row]:
    """Measure the others, first by themselves and then during the load."""
    tenancies, users = bench.scaled(_TENANCIES, at_least=4), bench.scaled(_USERS_OF_THE_LARGE_ONE, at_least=1_000)
    bench.say(f"fairness: {tenancies} tenancies")
    pipeline = loaded(bench, _DATABASE, DemoSize(tenancies, users=bench.scaled(_USERS_OF_THE_OTHERS, at_least=50)))
    with clickhouse_looks(pipeline) as looks, pipeline.source("bench") as connection:
        large, *others = [tenancy_id for (tenancy_id,) in connection.execute('select "id" from "Tenancy" order by 1')]
        bench.say(f"fairness: {users:,} users of one tenancy, every row numbered")
        present = _delivered(pipeline, large)
        with connection.transaction():
            # A replica's session would not do: these fire in all of them.
            triggers = connection.execute(_TRIGGERS).fetchall()
            for (name,) in triggers:
                connection.execute(sql.SQL('alter table "ProjectUser" disable trigger {}').format(sql.Identifier(name)))
            connection.execute(_IMPORT, [users, large])
            for (name,) in triggers:
                enable = sql.SQL('alter table "ProjectUser" enable always trigger {}')
                connection.execute(enable.format(sql.Identifier(name)))
        connection.execute(_SIGN_UP, [large])
        number_all(pipeline)
        connection.execute(_PAUSE, [True, large])
        settle(pipeline.settings.source_url.get_secret_value())
        bench.say("fairness: measuring")

        def until(end: float) -> Callable[[], bool]:
            return lambda: time.perf_counter() < end

        with Deployment(pipeline, deliver, writing=False) as deployment:
            lags(pipeline, looks, others, until(time.perf_counter() + bench.scaled(_WARM_UP_SECONDS)))
            before = lags(pipeline, looks, others, until(time.perf_counter() + bench.scaled(_SECONDS_BEFORE)))
            started = time.perf_counter()
            connection.execute(_PAUSE, [False, large])
            during = lags(pipeline, looks, others, lambda: _is_pending(connection, large))
            seconds = time.perf_counter() - started
            megabytes = peak_memory(deployment.pids["worker"])
        if _delivered(pipeline, large) != present + users:
            raise AssertionError("not every user of the large tenancy arrived")
    bench.drop(_DATABASE)
    yield Row(
        name="fairness_p99",
        value=_p99(during),
        unit="s",
        rival="the same before that load",
        rival_value=_p99(before),
        target=Target("value", "<=", 2),
        contains=f"From a sign-up's commit until ClickHouse shows it, {len(during)} of them in {len(others)} others, "
        f"{SIGN_UPS_PER_SECOND} a second, beside the first load of {users:,} users of another, which took "
        f"{seconds:,.0f} s.",
    )
    yield Row(
        name="memory_worker_5m",
        value=megabytes,
        unit="MB",
        target=Target("value", "<=", 300),
        contains=f"Peak resident memory of the worker's process through that load of {users:,} users and the sign-ups "
        "beside it, the interpreter included.",
    )


def _delivered(pipeline: Pipeline, tenancy_id: UUID) -> int:
    view = pipeline.clickhouse_names.view(pipeline.catalog.mapping("users"))
    question = f"select count() from {view} where tenancy_id = %(tenancy)s"  # noqa: S608 -- our own name
    with pipeline.clickhouse() as clickhouse:
        return clickhouse.query(question, {"tenancy": tenancy_id})[0][0]


def _is_pending(connection: psycopg.Connection, tenancy_id: UUID) -> bool:
    row = connection.execute(
        "select exists (select from dbsync.pending where tenancy_id = %s and wanted > reached)", [tenancy_id]
    ).fetchone()
    return row is not None and row[0]


def _p99(found: list[Lag]) -> float:
    return quantiles([lag.seconds for lag in found], n=100, method="inclusive")[98]
