"""Pausing, resuming and retrying: what stops, what goes on, and for whom it holds."""

from threading import Thread
from uuid import UUID

import psycopg
import pytest

from dbsync_pipeline import controls, source
from dbsync_pipeline.controls import Controlled, Part
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.relation import SEQUENCER_LOCK
from dbsync_pipeline.status import read_status
from dbsync_pipeline_tests.harness import Harness, init_source

DEADLINE_SECONDS = 30.0


def pause(pipeline: Harness, part: Part | None = None, *, sequencer: bool = False) -> Controlled:
    return controls.pause(pipeline.admin, pipeline.catalog, part, sequencer=sequencer)


def resume(pipeline: Harness, part: Part | None = None, *, sequencer: bool = False) -> Controlled:
    return controls.resume(pipeline.admin, pipeline.catalog, part, sequencer=sequencer)


def waiting(pipeline: Harness) -> set[tuple[UUID, str, str]]:
    """Number what there is, deliver what may be, and return what is left."""
    pipeline.sequence()
    pipeline.sync()
    pipeline.sync_external()
    return set(
        pipeline.rows("select tenancy_id, mapping_id, destination_id from dbsync.pending where wanted > reached")
    )


def everything(pipeline: Harness, tenancies: list[UUID], *destinations: str) -> set[tuple[UUID, str, str]]:
    """Change a user and a team of every tenancy, and return what that concerns."""
    for tenancy in tenancies:
        pipeline.app.user(tenancy)
        pipeline.app.team(tenancy)
    return {
        (tenancy, mapping_id, destination)
        for tenancy in tenancies
        for mapping_id in ("users", "teams")
        for destination in ("clickhouse", *destinations)
        if destination == "clickhouse" or str(tenancy) in destination
    }


@pytest.mark.parametrize("later", [False, True], ids=["pending before", "pending later"])
@pytest.mark.parametrize("chosen", ["sync", "tenancy", "mapping", "destination", "tenancy mapping", "all three"])
def test_what_is_paused_waits_and_nothing_else(pipeline: Harness, chosen: str, later: bool) -> None:
    """Also where a pair comes to be only after the pause."""
    ours, theirs = pipeline.app.tenancy(), pipeline.app.tenancy()
    external = pipeline.configure_external(ours, mappings=["users", "teams"])
    part = {
        "sync": Part(),
        "tenancy": Part(str(ours)),
        "mapping": Part(mapping_id="users"),
        "destination": Part(destination_id=external.destination_id),
        "tenancy mapping": Part(str(ours), "teams"),
        "all three": Part(str(ours), "users", "clickhouse"),
    }[chosen]
    pipeline.drain()
    if later:
        pause(pipeline, part)
    concerned = everything(pipeline, [ours, theirs], external.destination_id)
    if not later:
        pipeline.sequence()
        pause(pipeline, part)

    expected = {
        (tenancy, mapping_id, destination)
        for tenancy, mapping_id, destination in concerned
        if part.tenancy in (None, str(tenancy))
        and part.mapping_id in (None, mapping_id)
        and part.destination_id in (None, destination)
    }
    assert expected
    assert waiting(pipeline) == expected

    outcome = resume(pipeline, part)
    assert (outcome.pairs >= len(expected), outcome.paused) == (True, [])
    assert waiting(pipeline) == set()
    pipeline.assert_equal("users", "teams")
    external.assert_equal("users", "teams")


def test_a_new_destination_begins_paused_where_its_tenancy_is(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.drain()
    pause(pipeline, Part(str(tenancy)))
    external = pipeline.configure_external(tenancy, mappings=["users"])
    assert waiting(pipeline) == {(tenancy, "users", external.destination_id)}
    resume(pipeline, Part(str(tenancy)))
    assert waiting(pipeline) == set()
    external.assert_equal("users")


def test_a_changed_mapping_leaves_paused_what_is(pipeline: Harness) -> None:
    """`init` makes pairs pending by itself, of tenancies that never had any of that mapping."""
    tenancy = pipeline.app.tenancy()
    pipeline.drain()
    pause(pipeline, Part(str(tenancy)))
    pipeline.admin.execute("delete from dbsync.installed where object_id = 'mapping users'")
    init_source(pipeline.pipeline, pipeline.admin)
    assert pipeline.rows("select paused from dbsync.pending where mapping_id = 'users'") == [(True,)]


def test_a_narrower_resume_does_not_end_a_wider_pause(pipeline: Harness) -> None:
    ours, theirs = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.drain()
    pause(pipeline, Part())
    assert pause(pipeline, Part(str(ours))).paused == ["everything", f"tenancy {ours}"]
    concerned = everything(pipeline, [ours, theirs])
    assert waiting(pipeline) == concerned
    # One of the two is ended, and the other still holds what it holds.
    assert resume(pipeline, Part()).paused == [f"tenancy {ours}"]
    assert waiting(pipeline) == {entry for entry in concerned if entry[0] == ours}
    assert resume(pipeline, Part(str(theirs))).paused == [f"tenancy {ours}"]
    assert resume(pipeline, Part(str(ours))).paused == []
    assert waiting(pipeline) == set()


def test_a_pause_twice_is_one(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    assert pause(pipeline, Part(mapping_id="users")).pairs == 1
    assert pause(pipeline, Part(mapping_id="users")).pairs == 0
    assert pipeline.value("select count(*) from dbsync.pause") == 1


def test_numbering_stops_and_goes_on(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.drain()
    assert pause(pipeline, sequencer=True) == Controlled(0, ["numbering"])
    pipeline.app.user(tenancy)
    assert pipeline.sequence() == 0
    status = read_status(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)
    assert (status.numbering_paused, status.pauses) == (True, [])
    assert resume(pipeline, sequencer=True) == Controlled(0, [])
    pipeline.assert_synced("users")


def test_a_pause_waits_for_the_batch_of_the_sequencer(pipeline: Harness) -> None:
    """A pair that a sequencer has made pending, and not committed yet, must not be passed over."""
    tenancy = pipeline.app.tenancy()
    paused: list[Controlled] = []
    with source.connect(pipeline.url) as other, source.connect(pipeline.url) as ours:

        def work() -> None:
            paused.append(controls.pause(ours, pipeline.catalog, Part(str(tenancy)), sequencer=False))

        thread = Thread(target=work)
        with other.transaction():
            other.execute("select pg_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
            thread.start()
            while thread.is_alive() and not _is_waiting(pipeline.admin, ours):
                pass
            other.execute(
                "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted) "
                "values (%s, 'users', 'clickhouse', 1)",
                [tenancy],
            )
        thread.join(DEADLINE_SECONDS)
    assert [outcome.pairs for outcome in paused] == [1]
    assert pipeline.value("select paused from dbsync.pending")


def _is_waiting(admin: psycopg.Connection, connection: psycopg.Connection) -> bool:
    return admin.execute(
        "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s", [connection.info.backend_pid]
    ).fetchone() == (True,)


def test_a_lock_that_is_held_for_long_is_one_error(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "LOCK_SECONDS", 0.01)
    with source.connect(pipeline.url) as other, other.transaction():
        other.execute("select pg_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
        with pytest.raises(DbsyncError, match="held its lock"):
            pause(pipeline, Part(), sequencer=True)
    status = read_status(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)
    assert (status.numbering_paused, status.pauses) == (False, [])


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Part("nobody"), "no tenancy 'nobody'"),
        (Part(mapping_id="nothing"), "no mapping 'nothing'"),
        (Part(destination_id="postgres:nowhere"), "no external database 'postgres:nowhere'"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused(pipeline: Harness, part: Part, said: str) -> None:
    with pytest.raises(DbsyncError, match=said):
        pause(pipeline, part)
    with pytest.raises(DbsyncError, match=said):
        controls.retry(pipeline.admin, pipeline.catalog, part)


def test_what_rests_is_tried_at_once(pipeline: Harness) -> None:
    ours, theirs = pipeline.app.tenancy(), pipeline.app.tenancy()
    everything(pipeline, [ours, theirs])
    pipeline.sequence()
    pipeline.admin.execute("update dbsync.pending set next_attempt_at = clock_timestamp() + interval '1 day'")
    assert pipeline.sync() == []
    assert controls.retry(pipeline.admin, pipeline.catalog, Part(str(ours), "users", "clickhouse")) == 1
    assert [(entry.item.tenancy_id, entry.item.mapping_id) for entry in pipeline.sync()] == [(ours, "users")]
    assert controls.retry(pipeline.admin, pipeline.catalog, Part()) == 3
    assert waiting(pipeline) == set()


@pytest.mark.parametrize(
    ("sync", "part", "said"),
    [(False, Part(), "nothing is chosen"), (True, Part("1"), "both all delivery and tenancy 1")],
    ids=["nothing", "both"],
)
def test_a_choice_has_to_be_one(sync: bool, part: Part, said: str) -> None:
    with pytest.raises(DbsyncError, match=said):
        controls.chosen(sync=sync, part=part, sequencer=False)


def test_a_resync_delivers_over_what_is_there(pipeline: Harness) -> None:
    """What was altered in a copy is put right there, and nothing else is sent again."""
    ours, theirs = pipeline.app.tenancy(), pipeline.app.tenancy()
    external = pipeline.configure_external(ours, mappings=["users", "teams"])
    everything(pipeline, [ours, theirs])
    pipeline.drain()
    users = pipeline.names.table(pipeline.catalog.mapping("users"))
    pipeline.clickhouse.execute(
        f"insert into {users} select * replace ('Mallory' as display_name) from {users} final "
        f"where tenancy_id = '{ours}'"
    )
    external.run("update dbsync.users set display_name = 'Mallory'")
    assert pipeline.differences("users")
    assert external.differences("users")

    assert controls.resync(pipeline.admin, pipeline.catalog, Part(str(ours), "users")) == 2

    delivered = [*pipeline.sync(), *pipeline.sync_external()]
    assert {(entry.item.tenancy_id, entry.item.mapping_id) for entry in delivered} == {(ours, "users")}
    assert sum(entry.delivery.upserted for entry in delivered) == 2
    pipeline.assert_equal("users")
    external.assert_equal("users")


def test_a_resync_of_a_mapping_concerns_every_tenancy_and_one_of_nothing_none(pipeline: Harness) -> None:
    tenancies = [pipeline.app.tenancy() for _ in range(2)]
    everything(pipeline, tenancies)
    pipeline.drain()
    with pytest.raises(DbsyncError, match="nothing is chosen"):
        controls.resync(pipeline.admin, pipeline.catalog, Part(destination_id="clickhouse"))
    assert controls.resync(pipeline.admin, pipeline.catalog, Part(mapping_id="teams")) == 2
    delivered = {(entry.item.tenancy_id, entry.item.mapping_id) for entry in pipeline.sync()}
    assert delivered == {(tenancy, "teams") for tenancy in tenancies}


def test_a_resync_takes_the_lease_and_leaves_out_who_does_not_receive(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    external = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.admin.execute("update dbsync.pending set lease_worker = 1, lease_until = 'infinity'")
    pipeline.admin.execute("update dbsync.destination set enabled = false where kind = 'postgres'")
    assert controls.resync(pipeline.admin, pipeline.catalog, Part(str(tenancy))) == 1
    assert pipeline.rows(
        "select destination_id, epoch, lease_worker, wanted > reached from dbsync.pending order by destination_id"
    ) == [("clickhouse", 1, None, True), (external.destination_id, 1, None, False)]
