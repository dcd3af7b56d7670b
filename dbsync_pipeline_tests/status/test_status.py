"""What is said about external databases: summed up by mapping, and by themselves where they fail."""

import pytest

from dbsync_pipeline import status
from dbsync_pipeline.controls import Part, pause
from dbsync_pipeline.mappings.dependants import feeds_of
from dbsync_pipeline.pending.tally import Delivered
from dbsync_pipeline.status import MappingStatus, Status, read_destinations, read_status, read_status_soon
from dbsync_pipeline_tests.harness import Harness

NOBODY = "postgresql://nobody:hunter2@127.0.0.1:1/gone"


def found(pipeline: Harness, tenancy: object = None) -> Status:
    return read_status(
        pipeline.admin,
        pipeline.catalog,
        pipeline.pipeline.columns,
        tenancy=None if tenancy is None else str(tenancy),
    )


def line(of: Status, mapping_id: str, kind: str) -> MappingStatus | None:
    return next((entry for entry in of.mappings if (entry.mapping_id, entry.kind) == (mapping_id, kind)), None)


def test_external_databases_are_summed_up_by_mapping(pipeline: Harness) -> None:
    app = pipeline.app
    ours, theirs = app.tenancy(), app.tenancy()
    app.user(ours)
    app.user(ours)
    app.user(theirs)
    assert line(found(pipeline), "users", "postgres") is None
    pipeline.configure_external(ours, "one")
    pipeline.configure_external(ours, "two", mappings=["users"])
    pipeline.configure_external(theirs)
    # A row waits for its number once, however many copies it has.
    before = found(pipeline)
    assert status.waiting_for_sequencer(before) == sum(
        entry.waiting_for_sequencer for entry in before.mappings if entry.kind == "clickhouse"
    )
    pipeline.sequence()
    everything = found(pipeline)
    users, teams = (line(everything, name, "postgres") for name in ("users", "teams"))
    assert users is not None
    assert teams is not None
    # Two users in each of two databases, and one in the third.
    assert (users.destinations, users.pending, users.waiting_for_delivery) == (3, 3, 5)
    # A new database has everything pending until it has been looked at, though there is no team.
    assert (teams.destinations, teams.pending, teams.waiting_for_delivery) == (2, 2, 0)
    assert users.lag_seconds > 0
    mine = line(found(pipeline, ours), "users", "postgres")
    assert mine is not None
    assert (mine.destinations, mine.waiting_for_delivery) == (2, 4)
    states = read_destinations(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)
    assert states[f"postgres:{ours}:two"].waiting_for_delivery == 2
    pipeline.drain()
    users = line(found(pipeline), "users", "postgres")
    assert users is not None
    assert (users.pending, users.waiting_for_delivery, users.lag_seconds) == (0, 0, 0.0)
    assert read_destinations(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns) == {}


def test_a_failing_database_is_listed_with_its_attempts_and_error(pipeline: Harness) -> None:
    app = pipeline.app
    ours, theirs = app.tenancy(), app.tenancy()
    app.user(ours)
    pipeline.configure_external(ours, "gone", url=NOBODY, mappings=["users"])
    pipeline.configure_external(theirs)
    pipeline.configure(retry_base_seconds=60, retry_max_seconds=60)
    pipeline.sequence()
    pipeline.sync_external(errors=True)
    (failing,) = found(pipeline).failing
    assert (failing.destination_id, failing.failing, failing.attempts) == (f"postgres:{ours}:gone", ["users"], 1)
    assert failing.next_attempt_at is not None
    assert failing.last_error is not None
    assert "127.0.0.1:1/gone" in failing.last_error
    assert "hunter2" not in failing.last_error
    users = line(found(pipeline), "users", "postgres")
    assert users is not None
    assert (users.failing, users.last_error) == (1, failing.last_error)
    assert users.lag_seconds > users.lag_without_failing_seconds == 0
    living = pipeline.configure_external(ours, "living", mappings=["users"])
    pipeline.sequence()
    users = line(found(pipeline), "users", "postgres")
    assert users is not None
    assert users.lag_seconds > users.lag_without_failing_seconds > 0
    pipeline.sync_external(errors=True)
    assert len(living.view("users")) == 1
    assert found(pipeline, theirs).failing == []


def test_the_list_of_those_that_fail_is_bounded(pipeline: Harness, monkeypatch) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    for number in range(3):
        pipeline.configure_external(tenancy, f"gone{number}", url=NOBODY, mappings=["users"])
    pipeline.configure(retry_base_seconds=60, retry_max_seconds=60)
    pipeline.sequence()
    pipeline.sync_external(errors=True)
    monkeypatch.setattr(status, "MOST_FAILING_LISTED", 2)
    assert len(found(pipeline).failing) == 2


def test_counting_stops_at_a_bound(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """I9: the rows of a first load are not all counted whenever somebody looks, in one tenancy or in many."""
    monkeypatch.setattr(status, "MOST_COUNTED", 40)
    tenancies = [pipeline.app.tenancy() for _ in range(9)]
    pipeline.configure_external(tenancies[0])
    pipeline.drain()

    def users(kind: str) -> MappingStatus:
        entry = line(found(pipeline), "users", kind)
        assert entry is not None
        return entry

    def add_users() -> None:
        for tenancy in tenancies:
            for _ in range(4):
                pipeline.app.user(tenancy)

    add_users()
    assert (users("clickhouse").waiting_for_sequencer, users("clickhouse").more_to_number) == (36, False)
    add_users()
    assert (users("clickhouse").waiting_for_sequencer, users("clickhouse").more_to_number) == (40, True)
    pipeline.sequence()
    assert (users("clickhouse").waiting_for_delivery, users("clickhouse").more_to_deliver) == (40, True)
    assert (users("postgres").waiting_for_delivery, users("postgres").more_to_deliver) == (8, False)
    (owner,) = read_destinations(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns).values()
    assert (owner.waiting_for_delivery, owner.more_to_deliver) == (4, True)


def test_where_counting_takes_too_long_only_whether_anything_waits_is_said(pipeline: Harness) -> None:
    """Whoever looks every minute neither waits for it nor takes the source for dead."""
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.admin.execute("alter table dbsync.touch rename to quick_touch")
    pipeline.admin.execute(
        "create view dbsync.touch as select * from dbsync.quick_touch where pg_sleep(0.1)::text is not null"
    )
    pipeline.admin.execute(
        "insert into dbsync.quick_touch (dependant_id, match) select dependant_id, '{}' from generate_series(1, 80), "
        "(select %s as dependant_id) as feed",
        [feeds_of(pipeline.catalog, pipeline.catalog.mapping("users"))[0].dependant_id],
    )
    columns = pipeline.pipeline.columns
    with pipeline.pipeline.source("test") as connection:
        users = line(
            read_status_soon(connection, pipeline.catalog, columns, statement_seconds=3), "users", "clickhouse"
        )
    assert users is not None
    assert (users.waiting_for_sequencer, users.more_to_number) == (2, True)


def test_a_disabled_database_counts_for_nothing(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.configure_external(tenancy, url=NOBODY)
    pipeline.sequence()
    assert len(read_destinations(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)) == 1
    pipeline.admin.execute("update dbsync.destination set enabled = false where kind = 'postgres'")
    assert line(found(pipeline), "users", "postgres") is None
    assert read_destinations(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns) == {}


def test_who_has_waited_longest_and_what_is_at_work_or_tried_again(pipeline: Harness) -> None:
    first, second = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(first)
    pipeline.sequence()
    pipeline.app.user(second)
    pipeline.sequence()

    def users() -> MappingStatus:
        found_line = line(found(pipeline), "users", "clickhouse")
        assert found_line is not None
        return found_line

    assert (users().oldest_tenancy, users().claimed, users().attempts) == (str(first), 0, 0)
    with pipeline.worker() as worker:
        (item,) = worker._queue.claim(1, mappings=["users"])
        assert (str(item.tenancy_id), users().claimed) == (str(first), 1)
        worker._queue.back_off({(item.tenancy_id, "users"): "no"})
    after = users()
    assert (after.claimed, after.failing, after.attempts, after.last_error) == (0, 1, 1, "no")
    assert after.next_attempt_at is not None
    # What is paused on purpose has not been forgotten, and is not late.
    pause(pipeline.admin, pipeline.catalog, Part(str(first)), sequencer=False)
    assert (users().oldest_tenancy, users().paused) == (str(second), 1)
    pause(pipeline.admin, pipeline.catalog, Part(), sequencer=False)
    assert (users().oldest_tenancy, users().lag_seconds, users().pending) == (None, 0.0, 2)
    assert found(pipeline).sequence_id == pipeline.value("select last_sequence_id from dbsync.sequencer")


def test_what_grows_with_changes_has_its_size_shown(pipeline: Harness) -> None:
    before = {entry.table_name: entry.bytes for entry in found(pipeline).sizes}
    assert set(before) == {"pending", "placement", "tombstone", "touch"}
    pipeline.admin.execute(
        "insert into dbsync.tombstone (mapping_id, identity) select 'users', '{}' from generate_series(1, 1000)"
    )
    after = {entry.table_name: entry.bytes for entry in found(pipeline).sizes}
    assert {name for name, size in after.items() if size > before[name]} == {"tombstone"}


def test_what_was_delivered_is_said_of_every_copy_and_of_no_tenancy(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.app.user(tenancy)
    fresh = line(found(pipeline), "users", "clickhouse")
    assert fresh is not None
    assert fresh.delivered == Delivered()
    pipeline.drain()
    assert {
        (entry.mapping_id, entry.kind, entry.delivered.rows)
        for entry in found(pipeline).mappings
        if entry.delivered is not None and entry.delivered.last_at is not None
    } == {("users", "clickhouse", 1), ("users", "postgres", 1)}
    assert {entry.delivered for entry in found(pipeline, tenancy).mappings} == {None}
