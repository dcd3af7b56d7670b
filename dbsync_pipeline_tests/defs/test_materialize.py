"""Materializing partitions by hand: one, a range in one run, several assets, beside other workers, and failing."""

import threading

import dagster as dg

from dbsync_pipeline.defs.catch_up import catch_up
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.mappings.relation import SEQUENCER_LOCK
from dbsync_pipeline_tests.defs.conftest import Deployment, failure, unholdable_recording
from dbsync_pipeline_tests.harness import Harness


def events(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dict[str, object]]:
    """Return the metadata of a run's materializations by mapping and partition."""
    return {
        (event.materialization.asset_key.path[-1], event.partition or ""): {
            name: entry.value for name, entry in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def test_one_partition_is_numbered_and_delivered_and_no_other(pipeline: Harness, deployment: Deployment) -> None:
    chosen, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    for tenancy in (chosen, other):
        pipeline.app.user(tenancy, email="ada@example.com")
    deployment.tick("tenancy_sensor")

    result = deployment.materialize("users", keys=[str(chosen)])

    assert result.success
    ((place, metadata),) = events(result).items()
    assert place == ("users", str(chosen))
    assert (metadata["sequence_from"], metadata["rows_upserted"]) == (0, 1)
    assert metadata["sequence_to"] == pipeline.checkpoint("users", chosen)
    assert deployment.materialized("users") == {str(chosen)}
    assert [row["tenancy_id"] for row in pipeline.view("users")] == [chosen]
    assert pipeline.view("contact_channels") == []


def test_nothing_pending_succeeds_and_says_where_the_checkpoint_is(pipeline: Harness, deployment: Deployment) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.drain()
    deployment.tick("tenancy_sensor")
    result = deployment.materialize("users", "teams", keys=[str(tenancy)])
    assert result.success
    found = events(result)
    checkpoint = pipeline.checkpoint("users", tenancy)
    users, teams = found["users", str(tenancy)], found["teams", str(tenancy)]
    assert (users["sequence_from"], users["sequence_to"], users["rows_upserted"]) == (checkpoint, checkpoint, 0)
    assert (teams["sequence_to"], teams["rows_upserted"]) == (pipeline.checkpoint("teams", tenancy) or 0, 0)


def test_a_range_is_one_run_with_every_partitions_own_metadata(pipeline: Harness, deployment: Deployment) -> None:
    tenancies = [pipeline.app.tenancy() for _ in range(4)]
    deployment.tick("tenancy_sensor")
    keys = deployment.keys
    for number, key in enumerate(keys):
        for _ in range(number):
            pipeline.app.user(next(tenancy for tenancy in tenancies if str(tenancy) == key))
    result = deployment.materialize("users", keys=keys[1:])
    assert result.success
    assert {key: entry["rows_upserted"] for (_, key), entry in events(result).items()} == {
        key: number for number, key in enumerate(keys) if number
    }
    assert deployment.materialized("users") == set(keys[1:])


def test_a_failing_tenancy_of_a_range_fails_alone(pipeline: Harness, deployment: Deployment, resting: None) -> None:
    tenancies = [pipeline.app.tenancy() for _ in range(3)]
    deployment.tick("tenancy_sensor")
    failing = tenancies[1]
    mend = unholdable_recording(pipeline, failing)
    healthy = {str(tenancy) for tenancy in tenancies if tenancy != failing}

    result = deployment.materialize("session_replays", keys=deployment.keys)

    assert f"tenancy {failing}, mapping session_replays" in failure(result)
    assert deployment.materialized("session_replays") == healthy

    # It rests after its failure, and whoever materializes it has mended the cause.
    mend()
    assert deployment.materialize("session_replays", keys=[str(failing)]).success
    assert deployment.materialized("session_replays") == {*healthy, str(failing)}
    pipeline.assert_equal("session_replays")


def test_a_paused_tenancy_is_not_called_up_to_date(pipeline: Harness, deployment: Deployment) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    pipeline.admin.execute("update dbsync.pending set paused = true")
    deployment.tick("tenancy_sensor")
    assert "it is paused" in failure(deployment.materialize("users", keys=[str(tenancy)]))
    assert deployment.materialized("users") == set()


def test_what_another_worker_holds_is_awaited(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    with pipeline.worker(Selection(mappings=["users"])) as other:
        queue = other._queue
        (item,) = queue.claim(1, mappings=["users"])

        class WhenPausing(threading.Event):
            """The other worker finishes when the one under test has begun to wait for it."""

            def wait(self, timeout: float | None = None) -> bool:
                queue.complete({(item.tenancy_id, item.mapping_id): item.wanted}, complete_up_to=item.wanted)
                return False

        outcome = catch_up(pipeline.pipeline, "users", [str(tenancy)], stop=WhenPausing())
    assert outcome.failed == {}
    assert outcome.advances[str(tenancy)].sequence_to == item.wanted


def test_a_load_that_another_worker_is_at_is_awaited_however_long_it_takes(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    for _ in range(5):
        pipeline.app.user(tenancy)
    pipeline.sequence()
    seconds = iter(range(0, 1_000_000, 20))
    with pipeline.worker(Selection(mappings=["users"])) as other:
        queue = other._queue
        (item,) = queue.claim(1, mappings=["users"])
        chunks = iter(range(item.wanted - 4, item.wanted + 1))

        class WhenPausing(threading.Event):
            """The other worker delivers one more chunk whenever the one under test looks."""

            def wait(self, timeout: float | None = None) -> bool:
                reached = {"reached": next(chunks), "tenancy": tenancy}
                pipeline.admin.execute(
                    "update dbsync.pending set reached = %(reached)s "
                    "where tenancy_id = %(tenancy)s and mapping_id = 'users'",
                    reached,
                )
                return False

        outcome = catch_up(
            pipeline.pipeline, "users", [str(tenancy)], stop=WhenPausing(), clock=lambda: float(next(seconds))
        )
    assert outcome.failed == {}
    assert list(chunks) == []


def test_the_failure_of_another_worker_is_passed_on(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    with pipeline.worker(Selection(mappings=["users"])) as other:
        assert other._queue.claim(1, mappings=["users"])

        class WhenPausing(threading.Event):
            """The other worker gives up when the one under test has begun to wait for it."""

            def wait(self, timeout: float | None = None) -> bool:
                pipeline.admin.execute(
                    "update dbsync.pending set lease_until = null, last_error = 'refused', "
                    "next_attempt_at = 'infinity' where mapping_id = 'users'"
                )
                return False

        outcome = catch_up(pipeline.pipeline, "users", [str(tenancy)], stop=WhenPausing())
    assert outcome.failed == {str(tenancy): "refused"}
    assert outcome.advances == {}


def test_a_worker_in_a_long_turn_is_awaited(pipeline: Harness) -> None:
    """It has reached nothing yet, but keeps renewing its lease, here for much longer than one that is stuck has."""
    pipeline.configure(lease_seconds=10)
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    seconds = iter(range(1_000_000))
    looks = iter(range(1_000_000))
    with pipeline.worker() as other:
        assert other._queue.claim(10)

        class Renewing(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                if next(looks) < 50:
                    pipeline.admin.execute("update dbsync.pending set lease_until = now() + interval '1 hour'")
                return False

        outcome = catch_up(
            pipeline.pipeline, "users", [str(tenancy)], stop=Renewing(), clock=lambda: float(next(seconds))
        )
    assert "has not moved" in outcome.failed[str(tenancy)]
    assert next(looks) > 50


def test_a_worker_that_does_not_move_is_not_awaited_for_ever(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    seconds = iter(range(1_000_000))
    with pipeline.worker() as other:
        assert other._queue.claim(10)

        class NoPause(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                return False

        outcome = catch_up(
            pipeline.pipeline, "users", [str(tenancy)], stop=NoPause(), clock=lambda: float(next(seconds))
        )
    assert "has not moved" in outcome.failed[str(tenancy)]
    assert outcome.advances == {}


def test_changes_that_another_sequencer_numbers_are_awaited(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    holder = pipeline.admin

    class WhenPausing(threading.Event):
        """The other sequencer ends its transaction when the one under test has begun to wait for it."""

        def wait(self, timeout: float | None = None) -> bool:
            holder.execute("select pg_advisory_unlock_all()")
            return False

    holder.execute("select pg_advisory_lock(%s)", [SEQUENCER_LOCK])
    outcome = catch_up(pipeline.pipeline, "users", [str(tenancy)], stop=WhenPausing())
    assert outcome.failed == {}
    assert outcome.advances[str(tenancy)].rows_upserted == 1
