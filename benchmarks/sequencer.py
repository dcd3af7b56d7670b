"""How fast dirty rows get their numbers: ours beside the statements of a hand-marked schema.

Both sides start from copies of one database in which every row is numbered, and all rows of the tables that both number
have been marked dirty since. The rival is measured at its best: no pause between its passes, no dependants, one
instance. What it does per pass is fixed: 1,000 rows of each table by key, in the order of the tenancies, each statement
its own transaction, and a queue row for every tenancy in another.
"""

import time
from collections.abc import Iterator
from statistics import median
from threading import Event
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.bench import Bench, generated_source, settle
from benchmarks.row import Row, Target, in_turn, median_ratio
from dbsync_pipeline import source
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.sequencer.sequencer import PassResult

_USERS = 40_000
_TENANCIES = 50
_BATCH_ROWS = 1_000

# In the order of a pass; the invitations among the verification codes have no tenancy of their own.
_OWNED_TABLES = (
    "ProjectUser",
    "ContactChannel",
    "Team",
    "TeamMember",
    "TeamMemberDirectPermission",
    "EmailOutbox",
    "ProjectUserDirectPermission",
    "UserNotificationPreference",
    "ProjectUserRefreshToken",
    "ProjectUserOAuthAccount",
)
_INVITATIONS = sql.SQL("\"type\" = 'TEAM_INVITATION'")

_ENQUEUE = """
insert into "OutgoingRequest" ("id", "qstashOptions", "startedFulfillingAt", "deduplicationKey")
select gen_random_uuid(),
    jsonb_build_object(
        'url', '/api/latest/internal/external-db-sync/sync-engine',
        'body', jsonb_build_object('tenancyId', tenancy_id),
        'flowControl', jsonb_build_object('key', 'sentinel-sync-key', 'parallelism', 20)
    ),
    null,
    'sentinel-sync-key-' || tenancy_id
from unnest(%s::uuid[]) as tenancy_id
on conflict ("deduplicationKey") where "startedFulfillingAt" is null do nothing
"""


def run(bench: Bench) -> Iterator[Row]:
    """Measure both sides in turn, each time on a fresh copy."""
    size = DemoSize(tenancies=_TENANCIES, users=bench.scaled(_USERS, at_least=100))
    bench.say("sequencer: two databases with every row numbered, then marked")
    rows = _prepare_ours(bench, size)
    if rows != _prepare_rival(bench, size):
        raise AssertionError("the two sides have different rows to number")

    def ours(_round: int) -> float:
        return rows / _drain_ours(bench.pipeline(bench.database("bench_copy", template="bench_ours")))

    def rival(_round: int) -> float:
        return rows / _drain_rival(bench.database("bench_copy", template="bench_rival"))

    bench.say("sequencer: measuring")
    mine, theirs = in_turn(ours, rival, bench.rounds)
    bench.drop("bench_copy", "bench_ours", "bench_rival")
    yield Row(
        name="sequencer",
        value=median(mine),
        unit="rows/s",
        rival="1,000 rows per table and statement, by key",
        rival_value=median(theirs),
        ratio=median_ratio(mine, theirs),
        target=Target("ratio", ">=", 1.3),
        contains=f"{rows:,} dirty rows of eleven tables in {_TENANCIES} tenancies until nothing waits, "
        "with everything that makes their tenancies pending.",
    )


def _prepare_ours(bench: Bench, size: DemoSize) -> int:
    url = generated_source(bench, "bench_ours", size)
    _drain_ours(bench.pipeline(url))
    return _mark_dirty(url)


def _prepare_rival(bench: Bench, size: DemoSize) -> int:
    url = bench.database("bench_rival")
    with source.session(url) as connection:
        create_schema(connection, legacy=True)
        generate(connection, size)
    _drain_rival(url)
    return _mark_dirty(url)


def _mark_dirty(url: str) -> int:
    settle(url)
    with source.session(url) as connection:
        marked = sum(connection.execute(statement).rowcount for statement in _marking())
    settle(url)
    return marked


def _marking() -> Iterator[sql.Composed]:
    for table in _OWNED_TABLES:
        yield sql.SQL('update {} set "shouldUpdateSequenceId" = true').format(sql.Identifier(table))
    yield sql.SQL('update "VerificationCode" set "shouldUpdateSequenceId" = true where {}').format(_INVITATIONS)


def _drain_ours(pipeline: Pipeline) -> float:
    passes: list[PassResult] = []
    with pipeline.sequencer() as sequencer:
        started = time.perf_counter()
        sequencer.run(stop=Event(), max_seconds=float("inf"), idle_seconds=0, report=passes.append)
        seconds = time.perf_counter() - started
        left = sequencer.waiting()
    errors = {error for result in passes for error in result.errors.values()}
    if left or errors:
        raise AssertionError(f"the sequencer stopped before {left}, with {errors}")
    return seconds


def _drain_rival(url: str) -> float:
    with source.session(url) as connection:
        statements = [_number_owned(connection, table) for table in _OWNED_TABLES]
        statements.insert(5, _number_invitations())
        started = time.perf_counter()
        # A pass visits every table, whatever the first ones had.
        while sum(_visit(connection, statement) for statement in statements):
            pass
        return time.perf_counter() - started


def _visit(connection: psycopg.Connection, statement: sql.Composed) -> bool:
    tenancies: list[UUID] = [tenancy_id for (tenancy_id,) in connection.execute(statement)]
    if tenancies:
        connection.execute(_ENQUEUE, [tenancies])
    return bool(tenancies)


def _number_owned(connection: psycopg.Connection, table: str) -> sql.Composed:
    key = connection.execute(
        "select array_agg(a.attname::text) from pg_index i join pg_attribute a on a.attrelid = i.indrelid "
        "and a.attnum = any(i.indkey) where i.indrelid = %s::regclass and i.indisprimary",
        [sql.Identifier(table).as_string(connection)],
    ).fetchone()
    assert key is not None
    names = [sql.Identifier(name) for name in dict.fromkeys(["tenancyId", *key[0]])]
    return sql.SQL(
        'with picked as (select {names} from {table} where "shouldUpdateSequenceId" order by "tenancyId" '
        "limit {limit} for update skip locked), "
        "numbered as (update {table} as t set \"sequenceId\" = nextval('global_seq_id'), "
        '"shouldUpdateSequenceId" = false from picked where {same} returning t."tenancyId") '
        'select distinct "tenancyId" from numbered'
    ).format(
        names=sql.SQL(", ").join(names),
        table=sql.Identifier(table),
        limit=sql.Literal(_BATCH_ROWS),
        same=sql.SQL(" and ").join(sql.SQL("t.{0} = picked.{0}").format(name) for name in names),
    )


def _number_invitations() -> sql.Composed:
    """Whatever tenancies share an invitation's project and branch are queued."""
    return sql.SQL(
        'with picked as (select "projectId", "branchId", "id" from "VerificationCode" '
        'where "shouldUpdateSequenceId" and {invitations} order by "projectId", "branchId" '
        "limit {limit} for update skip locked), "
        'numbered as (update "VerificationCode" as t set "sequenceId" = nextval(\'global_seq_id\'), '
        '"shouldUpdateSequenceId" = false from picked where t."projectId" = picked."projectId" '
        'and t."branchId" = picked."branchId" and t."id" = picked."id" returning t."projectId", t."branchId") '
        'select distinct "Tenancy"."id" from numbered join "Tenancy" using ("projectId", "branchId")'
    ).format(invitations=_INVITATIONS, limit=sql.Literal(_BATCH_ROWS))
