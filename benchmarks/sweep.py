"""What it takes to deliver one change in each of very many tenancies: a sweep in batches, beside a cycle for each.

The changes are of all mappings alike. They come in a few hundred tenancies after the other, and are numbered as they
come, so that every batch has all mappings. Both sides are the same worker over the same queue, and what they deliver is
numbered before the time begins. The rival is restricted to one tenancy at a time, with its sessions open, on a sample
of the tenancies.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from threading import Event
from uuid import UUID

from benchmarks.bench import Bench, number_all, settle
from benchmarks.live import deliver_all, expect_all_delivered, loaded
from benchmarks.row import Row, Target, in_turn, median_ratio
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.engine.cycle import Selection, SyncResult
from dbsync_pipeline.pipeline import Pipeline

_TENANCIES = 10_000
_SAMPLE = 150
_TENANCIES_AT_ONCE = 500
_FOREVER = float("inf")
_DATABASE = "bench_sweep"

_USER = """
insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt"
)
select "id", gen_random_uuid(), "projectId", "branchId", 'New', now() from "Tenancy" where "id" = any(%s)
"""
_TEAM = """
insert into "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
select "id", gen_random_uuid(), "projectId", "branchId", 'New', now() from "Tenancy" where "id" = any(%s)
"""
_MEMBER = """
insert into "TeamMember" ("tenancyId", "projectUserId", "teamId", "updatedAt")
select distinct on ("tenancyId") "tenancyId", "projectUserId", "teamId", now()
from "ProjectUser" join "Team" using ("tenancyId") where "tenancyId" = any(%s)
"""

# One for each mapping. A tenancy has one membership, whose user and team the others are about.
_CHANGES = (
    _USER,
    _TEAM,
    """
    update "TeamMember" set "displayName" = 'New ' || gen_random_uuid() where "tenancyId" = any(%s)
    """,
    """
    insert into "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "value", "isVerified", "updatedAt")
    select "tenancyId", "projectUserId", gen_random_uuid(), 'EMAIL', gen_random_uuid() || '@example.com', false, now()
    from "TeamMember" where "tenancyId" = any(%s)
    """,
    """
    insert into "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
    select gen_random_uuid(), "tenancyId", "projectUserId", gen_random_uuid()::text, now()
    from "TeamMember" where "tenancyId" = any(%s)
    """,
    """
    insert into "TeamMemberDirectPermission" (
        "id", "tenancyId", "projectUserId", "teamId", "permissionId", "updatedAt"
    )
    select gen_random_uuid(), "tenancyId", "projectUserId", "teamId", gen_random_uuid()::text, now()
    from "TeamMember" where "tenancyId" = any(%s)
    """,
    """
    insert into "UserNotificationPreference" (
        "id", "tenancyId", "projectUserId", "notificationCategoryId", "enabled"
    )
    select gen_random_uuid(), "tenancyId", "projectUserId", gen_random_uuid(), true
    from "TeamMember" where "tenancyId" = any(%s)
    """,
    """
    insert into "ProjectUserOAuthAccount" (
        "tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "updatedAt"
    )
    select "tenancyId", gen_random_uuid(), "projectUserId", 'github', gen_random_uuid()::text, now()
    from "TeamMember" where "tenancyId" = any(%s)
    """,
    """
    insert into "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
    select "tenancyId", gen_random_uuid(), "projectUserId", gen_random_uuid()::text, now()
    from "TeamMember" where "tenancyId" = any(%s)
    """,
    """
    insert into "VerificationCode" (
        "projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt"
    )
    select "projectId", "branchId", gen_random_uuid(), 'TEAM_INVITATION', gen_random_uuid()::text,
        jsonb_build_object('team_id', "teamId"), now(), now()
    from "TeamMember" join "Tenancy" on "Tenancy"."id" = "tenancyId" where "tenancyId" = any(%s)
    """,
    """
    insert into "EmailOutbox" (
        "tenancyId", "id", "createdWith", "emailProgrammaticCallTemplateId", "tsxSource", "to", "extraRenderVariables",
        "isHighPriority", "shouldSkipDeliverabilityCheck", "scheduledAt", "updatedAt"
    )
    select "id", gen_random_uuid(), 'PROGRAMMATIC_CALL', 'new', '', '{}', '{}', false, false, now(), now()
    from "Tenancy" where "id" = any(%s)
    """,
    """
    insert into "SessionReplay" (
        "tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "updatedAt"
    )
    select "tenancyId", gen_random_uuid(), "projectUserId", gen_random_uuid(), now(), now(), now()
    from "TeamMember" where "tenancyId" = any(%s)
    """,
)


@dataclass(frozen=True)
class _Sweep:
    seconds: float
    inserts_per_batch: int


def run(bench: Bench) -> Iterator[Row]:
    """Measure both sides in turn, each time over new changes."""
    tenancies = bench.scaled(_TENANCIES, at_least=len(_CHANGES))
    bench.say(f"sweep: {tenancies:,} tenancies")
    pipeline = loaded(bench, _DATABASE, DemoSize(tenancies=tenancies, users=tenancies, users_only=True))
    with pipeline.source("bench") as connection:
        everyone = [tenancy_id for (tenancy_id,) in connection.execute('select "id" from "Tenancy"')]
        for statement in (_USER, _TEAM, _MEMBER):
            connection.execute(statement, [everyone])
    number_all(pipeline)
    deliver_all(pipeline)
    settle(pipeline.settings.source_url.get_secret_value())
    sample = everyone[: min(_SAMPLE, len(everyone))]

    def ours(_round: int) -> _Sweep:
        return _sweep(pipeline, everyone)

    def rival(_round: int) -> float:
        return _one_by_one(pipeline, sample) / len(sample) * len(everyone)

    bench.say("sweep: measuring")
    mine, theirs = in_turn(ours, rival, bench.rounds)
    yield Row(
        name="sweep_ten_thousand_tenancies",
        value=median(sweep.seconds for sweep in mine),
        unit="s",
        rival=f"a cycle for each tenancy, from {len(sample)} of them",
        rival_value=median(theirs),
        ratio=median_ratio(theirs, [sweep.seconds for sweep in mine]),
        target=Target("ratio", ">=", 20),
        contains=f"One change in each of {tenancies:,} tenancies, spread over {len(_CHANGES)} mappings, from the claim "
        "to the last `complete`; the rival's time is a sample's, multiplied.",
    )
    yield Row(
        name="sweep_inserts_per_batch",
        value=max(sweep.inserts_per_batch for sweep in mine),
        unit="inserts",
        target=Target("value", "<=", 12),
        contains="The most that a batch of that sweep took, by ClickHouse's own count: one for each mapping that has "
        "changed, and one for the checkpoints.",
    )
    with pipeline.clickhouse() as clickhouse:
        limit = _number(
            clickhouse, "select toInt64(value) from system.merge_tree_settings where name = 'parts_to_delay_insert'"
        )
        yield Row(
            name="sweep_parts",
            value=_number(
                clickhouse,
                "select max(parts) from (select count() as parts from system.parts where active "  # noqa: S608 -- our own name
                f"and database = '{pipeline.clickhouse_names.internal}' group by table)",
            ),
            unit="parts",
            rival="where ClickHouse begins to delay inserts",
            rival_value=limit,
            target=Target("value", "<=", limit),
            contains="Active parts of the table that has the most, right after all of these sweeps and cycles.",
        )
    bench.drop(_DATABASE)


def _change(pipeline: Pipeline, tenancies: list[UUID]) -> None:
    """Change one row of each tenancy, the next mapping's in each."""
    with pipeline.source("bench") as connection:
        for first in range(0, len(tenancies), _TENANCIES_AT_ONCE):
            some = tenancies[first : first + _TENANCIES_AT_ONCE]
            for number, statement in enumerate(_CHANGES):
                connection.execute(statement, [some[number :: len(_CHANGES)]])
            number_all(pipeline)


def _sweep(pipeline: Pipeline, tenancies: list[UUID]) -> _Sweep:
    _change(pipeline, tenancies)
    batches: list[int] = []
    with pipeline.clickhouse() as clickhouse, pipeline.clickhouse_worker() as worker:
        count = _inserts(clickhouse)

        def report(results: list[SyncResult]) -> None:
            nonlocal count
            expect_all_delivered(results)
            before, count = count, _inserts(clickhouse)
            batches.append(count - before)

        started = time.perf_counter()
        worker.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, report=report)
        return _Sweep(time.perf_counter() - started, max(batches))


def _one_by_one(pipeline: Pipeline, tenancies: list[UUID]) -> float:
    _change(pipeline, tenancies)
    seconds = 0.0
    only: list[str] = []
    # The worker reads its selection at every claim, so that one keeps its sessions and what is prepared in them.
    with pipeline.clickhouse_worker(Selection(tenancies=only)) as worker:
        for tenancy in tenancies:
            only[:] = [str(tenancy)]
            started = time.perf_counter()
            expect_all_delivered(worker.run_once())
            seconds += time.perf_counter() - started
    return seconds


def _inserts(clickhouse: ClickHouse) -> int:
    return _number(clickhouse, "select sum(value) from system.events where event = 'InsertQuery'")


def _number(clickhouse: ClickHouse, question: str) -> int:
    return int(clickhouse.query(question)[0][0])
