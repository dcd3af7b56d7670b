"""Attacks I6: a batch may be applied again, late, or beside another one; an older row never overwrites a newer one."""

import itertools
from uuid import UUID

import pytest

from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedWorker, expire_leases

BOUNDARIES = ("checkpoints", "extract", "deliver", "delivered", "record")


def held_worker(pipeline: Harness) -> tuple[WatchedWorker, Steps]:
    """Return a worker whose cycle goes one boundary at a time."""
    work = Steps()
    worker = WatchedWorker(pipeline, tell=work.wait)
    return worker, work.start(worker.cycle.run_once)


def write_everything(pipeline: Harness, tenancy: UUID) -> tuple[UUID, UUID]:
    app = pipeline.app
    user, team = app.user(tenancy, email="first@example.com"), app.team(tenancy)
    app.member(tenancy, team, user)
    app.team_permission(tenancy, team, user, "$read")
    app.project_permission(tenancy, user, "admin")
    app.session(tenancy, user)
    app.account(tenancy, user)
    app.invitation(tenancy, team)
    app.mail(tenancy)
    app.chunk(tenancy, app.replay(tenancy, user))
    app.preference(tenancy, user)
    return user, team


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("loaded", [False, True], ids=["first load", "later"])
def test_an_older_worker_that_finishes_last_changes_nothing(pipeline: Harness, boundary: str, *, loaded: bool) -> None:
    tenancy = pipeline.app.tenancy()
    user, team = write_everything(pipeline, tenancy)
    if loaded:
        pipeline.drain()
        pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="second")
        pipeline.app.update("Team", {"teamId": team}, displayName="second")
    pipeline.sequence()
    old, work = held_worker(pipeline)
    work.until(boundary)

    pipeline.app.delete("Team", teamId=team)
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="third")
    pipeline.app.delete("ProjectUserRefreshToken", projectUserId=user)
    pipeline.app.delete("EmailOutbox", tenancyId=tenancy)
    expire_leases(pipeline)
    pipeline.assert_synced()
    highest = pipeline.checkpoint("users", tenancy)
    work.finish()
    pipeline.assert_equal()
    assert pipeline.checkpoint("users", tenancy) == highest
    pipeline.assert_synced()
    old.close()


@pytest.mark.parametrize("boundary", ["checkpoints", "begin", "extract", "deliver"])
def test_a_worker_of_before_a_resync_brings_nothing_back(pipeline: Harness, boundary: str) -> None:
    """I5: into an external database, where somebody else has done the resync by the time it goes on."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    gone = pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"projectUserId": gone}, displayName="changed")
    pipeline.sequence()
    work = Steps()
    with WatchedWorker(pipeline, external=external, tell=work.wait) as worker:
        work.start(worker.cycle.run_once)
        work.until(boundary)
        pipeline.admin.execute("update dbsync.pending set epoch = epoch + 1, reached = 0, lease_worker = null")
        pipeline.app.delete("ProjectUser", projectUserId=gone)
        pipeline.drain()
        work.finish()
    assert pipeline.pending() == []
    external.assert_equal("users")


def test_every_batch_again_at_the_end_changes_nothing(pipeline: Harness) -> None:
    """All that was ever sent, in any order, with deletes and re-creations in between."""
    worker = WatchedWorker(pipeline, chunk_rows=4)
    tenancy = pipeline.app.tenancy()
    for turn in range(4):
        user, team = write_everything(pipeline, tenancy)
        pipeline.sequence()
        worker.cycle.run_once()
        pipeline.app.delete("ProjectUser", projectUserId=user)
        pipeline.app.user(tenancy, projectUserId=user, displayName=f"again {turn}")
        pipeline.sequence()
        worker.cycle.run_once()
        pipeline.app.delete("Team", teamId=team)
    pipeline.assert_synced()
    sent = worker.destination.delivered
    assert len(sent) > 20
    for batches in (sent, list(reversed(sent))):
        for mapping, slices, blocks in batches:
            worker.destination.inner.deliver(mapping, slices, iter(blocks))
            worker.destination.inner.record(slices)
        pipeline.assert_equal()
    for mapping in pipeline.catalog.mappings:
        pipeline.clickhouse.execute(f"optimize table {pipeline.names.table(mapping)} final")
    for mapping, slices, blocks in sent:
        worker.destination.inner.deliver(mapping, slices, iter(blocks))
    pipeline.assert_equal()
    worker.close()


def test_two_workers_beside_each_other_deliver_the_same_slices(pipeline: Harness) -> None:
    """In every order of their six boundaries, of which some are tried."""
    tenancy = pipeline.app.tenancy()
    for order in list(itertools.combinations(range(8), 4))[::18]:
        user, _ = write_everything(pipeline, tenancy)
        pipeline.sequence()
        pairs = []
        for _ in range(2):
            expire_leases(pipeline)
            worker, work = held_worker(pipeline)
            work.until("checkpoints")
            pairs.append((worker, work))
        pipeline.app.delete("ProjectUser", projectUserId=user)
        pipeline.sequence()
        for turn in range(8):
            work = pairs[turn in order][1]
            for _ in range(12):
                work.advance()
        for worker, work in pairs:
            work.finish()
            worker.close()
        pipeline.assert_synced()
