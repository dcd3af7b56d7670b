"""Attacks I5: everything up to a checkpoint is durable, and no checkpoint goes back within its epoch."""

from uuid import UUID

from dbsync_pipeline.destinations.base import Pair, Slice
from dbsync_pipeline_tests.harness import Harness, init_source
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedSequencer, WatchedWorker, expire_leases

_MISSING = """
    select "projectUserId", "sequenceId" from "ProjectUser" where "tenancyId" = %(tenancy)s and "sequenceId" <= %(upto)s
    union all
    select (identity->>'projectUserId')::uuid, sequence_id from dbsync.tombstone
    where mapping_id = 'users' and tenancy_id = %(tenancy)s and sequence_id <= %(upto)s
"""


def assert_true_checkpoint(pipeline: Harness, tenancy: UUID) -> int:
    """Compare the checkpoint of a tenancy's users with the versions that ClickHouse holds; return it."""
    reached = pipeline.checkpoint("users", tenancy) or 0
    wanted = pipeline.admin.execute(_MISSING, {"tenancy": tenancy, "upto": reached}).fetchall()
    newest: dict[UUID, int] = {}
    for row in pipeline.versions("users"):
        newest[row["id"]] = max(newest.get(row["id"], 0), row["sync_sequence_id"])
    late = [(user, number) for user, number in wanted if newest.get(user, 0) < number]
    assert late == [], f"behind checkpoint {reached}"
    return reached


def test_everything_below_a_checkpoint_is_there_at_every_step(pipeline: Harness) -> None:
    """In chunks of two rows, with deletes among them, while a sequencer goes on numbering."""
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy) for _ in range(6)]
    reached: list[int] = []
    # The very first load may leave tombstones out: nothing of them was ever sent.
    pipeline.drain()

    def look(boundary: str) -> None:
        reached.append(assert_true_checkpoint(pipeline, tenancy))

    with (
        WatchedWorker(pipeline, chunk_rows=2, tell=look) as worker,
        WatchedSequencer(pipeline, batch_size=2) as numberer,
    ):
        for turn in range(4):
            pipeline.app.delete("ProjectUser", projectUserId=users.pop())
            users.append(pipeline.app.user(tenancy))
            pipeline.app.update("ProjectUser", {"projectUserId": users[0]}, displayName=f"turn {turn}")
            numberer.sequencer.run_pass()
            worker.cycle.run_once()
    assert reached == sorted(reached)
    assert len(set(reached)) > 3
    pipeline.assert_synced()


def test_checkpoints_recorded_out_of_order(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.drain()
    reached = pipeline.checkpoint("users", tenancy)
    assert reached is not None
    pair = Pair(tenancy, "users")
    with WatchedWorker(pipeline) as worker:
        for late in (reached - 1, 1, 0):
            worker.destination.inner.record([Slice(pair, 0, 0, late, first=False, complete_up_to=late)])
        assert worker.destination.inner.checkpoints([pair])[pair].sequence_id == reached
        pipeline.clickhouse.execute(f"optimize table {pipeline.names.checkpoint} final")
        assert worker.destination.inner.checkpoints([pair])[pair].sequence_id == reached
    pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.assert_synced()


def test_a_worker_of_before_a_resync_does_not_end_it(pipeline: Harness) -> None:
    """It finishes after the resync was asked for; what the resync is to deliver still has to be delivered."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="changed")
    pipeline.sequence()
    work = Steps()
    with WatchedWorker(pipeline, tell=work.wait) as worker:
        work.start(worker.cycle.run_once)
        work.until("recorded")
        pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('users'))}")
        pipeline.admin.execute("update dbsync.installed set fingerprint = 'older' where object_id = 'mapping users'")
        assert "mapping users" in init_source(pipeline.pipeline, pipeline.admin)
        work.finish()
    assert (tenancy, "users") in pipeline.pending()
    pipeline.assert_synced()
    assert pipeline.versions("users")[-1]["display_name"] == "changed"


def test_a_lease_that_is_lost_completes_nothing(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    work = Steps()
    with WatchedWorker(pipeline, tell=work.wait) as slow:
        work.start(slow.cycle.run_once)
        work.until("deliver")
        expire_leases(pipeline)
        with WatchedWorker(pipeline) as other:
            held = other.queue.claim(100)
            assert {item.tenancy_id for item in held} == {tenancy}
            work.finish()
            kept = "select count(*) from dbsync.pending where lease_worker is not null and wanted > reached"
            assert pipeline.value(kept) == len(held)
    pipeline.assert_synced()
