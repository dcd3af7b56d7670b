"""First loads of external databases: straight into an empty table, for as long as everything that comes is new."""

from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest

from dbsync_pipeline.destinations.postgres.statements import MergeStatements
from dbsync_pipeline.engine.cycle import SyncCycle
from dbsync_pipeline_tests.harness import External, Harness


@pytest.fixture
def merged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the mappings that are merged, and not filled, from now on, once for every batch."""
    used: list[str] = []

    def noting(name: str) -> property:
        original = vars(MergeStatements)[name]

        def statement(self: MergeStatements) -> object:
            used.append(self._target.as_string(None))
            return original.__get__(self, MergeStatements)

        return property(statement)

    for name in ("write", "write_given"):
        monkeypatch.setattr(MergeStatements, name, noting(name))
    return used


def names(external: External) -> dict[UUID, str]:
    return {row["id"]: row["display_name"] for row in external.view("users")}


def finish(worker: SyncCycle) -> None:
    while results := worker.run_once():
        assert [entry.delivery.error for entry in results if entry.delivery.error] == []


def test_a_first_load_in_several_batches_is_not_merged(pipeline: Harness, merged: list[str]) -> None:
    pipeline.configure(external_chunk_rows=2)
    tenancy = pipeline.app.tenancy()
    users = {pipeline.app.user(tenancy) for _ in range(7)}
    external = pipeline.configure_external(tenancy, mappings=["users"])

    pipeline.drain()

    assert names(external).keys() == users
    assert merged == []


def test_each_of_several_large_mappings_has_a_first_load(pipeline: Harness, merged: list[str]) -> None:
    """One had to wait for turns of the other; nothing of it was sent before."""
    pipeline.configure(external_chunk_rows=2)
    tenancy = pipeline.app.tenancy()
    for _ in range(5):
        pipeline.app.user(tenancy)
        pipeline.app.team(tenancy)
    external = pipeline.configure_external(tenancy, mappings=["users", "teams"])

    pipeline.drain()

    external.assert_equal("users", "teams")
    assert merged == []


@contextmanager
def begun(pipeline: Harness, tenancy: UUID) -> Generator[tuple[External, SyncCycle]]:
    """Configure a database for a tenancy that has more users than a batch, and deliver the first batch of them."""
    external = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.sequence()
    with pipeline.external_worker(external.destination_id) as worker:
        worker.run_once()
        yield external, worker


def has_key(external: External) -> bool:
    ((found,),) = external.run(
        "select exists (select from pg_constraint where contype = 'p' and conrelid = 'dbsync.users'::regclass)"
    )
    return found


def test_a_large_first_load_builds_the_key_at_its_end(pipeline: Harness, merged: list[str]) -> None:
    pipeline.configure(external_chunk_rows=3)
    tenancy = pipeline.app.tenancy()
    users = {pipeline.app.user(tenancy) for _ in range(7)}
    external = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.sequence()
    keys = []
    with pipeline.external_worker(external.destination_id) as worker:
        while worker.run_once():
            keys.append(has_key(external))

    assert keys == [False, False, True]
    assert merged == []
    assert names(external).keys() == users


def test_a_load_that_fits_into_a_batch_keeps_its_key(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.sequence()
    with pipeline.external_worker(external.destination_id) as worker:
        worker.run_once()

    assert external.run(
        "select c.xmin = t.xmin from pg_constraint c join pg_class t on t.oid = c.conrelid "
        "where c.contype = 'p' and t.oid = 'dbsync.users'::regclass"
    ) == [(True,)]


@pytest.mark.parametrize("change", ["none", "more", "changed"])
def test_a_large_first_load_that_is_cut_short_goes_on_with_a_key(pipeline: Harness, change: str) -> None:
    """A worker that dies leaves a table without its key; whoever comes next builds it before anything else."""
    pipeline.configure(external_chunk_rows=2)
    tenancy = pipeline.app.tenancy()
    users = {pipeline.app.user(tenancy) for _ in range(5)}
    with begun(pipeline, tenancy) as (external, _worker):
        assert not has_key(external)
    if change == "more":
        users.add(pipeline.app.user(tenancy))
    if change == "changed":
        pipeline.app.update("ProjectUser", {"projectUserId": next(iter(names(external)))}, displayName="changed")

    pipeline.drain()

    assert has_key(external)
    assert names(external).keys() == users
    external.assert_equal("users")


def test_another_tenancys_worker_in_the_middle_of_a_large_first_load(pipeline: Harness) -> None:
    """Its session is open already, and finds the table without a key."""
    pipeline.configure(external_chunk_rows=2)
    app = pipeline.app
    one, other = app.tenancy(), app.tenancy()
    users = {app.user(one) for _ in range(5)}
    mine = pipeline.configure_external(one, mappings=["users"])
    theirs = pipeline.configure_external(other, url=mine.url, mappings=["users"])
    pipeline.sequence()
    with (
        pipeline.external_worker(mine.destination_id) as first,
        pipeline.external_worker(theirs.destination_id) as second,
    ):
        second.run_once()
        first.run_once()
        assert not has_key(mine)
        users.add(app.user(other))
        pipeline.sequence()
        (result,) = second.run_once()
        assert "is not as dbsync left it" in (result.delivery.error or "")
        finish(second)
        finish(first)

    assert has_key(mine)
    assert {row["id"] for row in mine.view("users")} == users


def test_a_refused_row_in_the_middle_of_a_large_first_load_is_reported(pipeline: Harness) -> None:
    pipeline.configure(external_chunk_rows=2)
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy, displayName=f"number {number}") for number in range(5)]
    with begun(pipeline, tenancy) as (external, worker):
        external.run("alter table dbsync.users add constraint polite check (display_name <> 'number 3')")
        (result,) = worker.run_once()

    assert "polite" in (result.delivery.error or "")
    assert str(users[3]) in (result.delivery.error or "")
    assert len(names(external)) == 2


def test_what_happens_to_rows_during_a_first_load_counts(pipeline: Harness, merged: list[str]) -> None:
    pipeline.configure(external_chunk_rows=2)
    app = pipeline.app
    tenancy = app.tenancy()
    users = [app.user(tenancy) for _ in range(6)]
    with begun(pipeline, tenancy) as (external, worker):
        changed, gone, *_ = names(external)
        app.update("ProjectUser", {"projectUserId": changed}, displayName="changed")
        app.delete("ProjectUser", projectUserId=gone)
        pipeline.sequence()
        finish(worker)

    assert names(external).keys() == set(users) - {gone}
    assert names(external)[changed] == "changed"
    assert merged


def test_a_batch_that_ends_beyond_where_a_large_first_load_began_needs_the_key(pipeline: Harness) -> None:
    """It may bring a row again that is there already."""
    pipeline.configure(external_chunk_rows=2)
    tenancy = pipeline.app.tenancy()
    for _ in range(5):
        pipeline.app.user(tenancy)
    with begun(pipeline, tenancy) as (external, worker):
        changed = next(iter(names(external)))
        pipeline.app.update("ProjectUser", {"projectUserId": changed}, displayName="changed")
        pipeline.sequence()
        finish(worker)

    assert has_key(external)
    external.assert_equal("users")


def test_a_row_that_came_and_went_during_a_first_load_leaves_nothing(pipeline: Harness, merged: list[str]) -> None:
    pipeline.configure(external_chunk_rows=2)
    app = pipeline.app
    tenancy = app.tenancy()
    users = {app.user(tenancy) for _ in range(4)}
    with begun(pipeline, tenancy) as (external, worker):
        brief = app.user(tenancy)
        pipeline.sequence()
        app.delete("ProjectUser", projectUserId=brief)
        pipeline.sequence()
        finish(worker)

    assert names(external).keys() == users
    assert merged


def test_a_table_takes_no_tombstone_whatever_its_columns(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.drain()

    with pytest.raises(psycopg.errors.CheckViolation):
        external.run("update dbsync.users set sync_sequence_id = -sync_sequence_id")


def test_a_refused_row_in_the_first_batch_is_reported(pipeline: Harness) -> None:
    app = pipeline.app
    before, tenancy = app.tenancy(), app.tenancy()
    app.user(before)
    earlier = pipeline.configure_external(before, mappings=["users"])
    pipeline.drain()
    app.delete("ProjectUser", tenancyId=before)
    pipeline.drain()
    earlier.run("alter table dbsync.users add constraint polite check (display_name <> 'rude')")
    app.user(tenancy, displayName="rude")
    external = pipeline.configure_external(tenancy, url=earlier.url, mappings=["users"])
    pipeline.sequence()

    (result,) = pipeline.sync_external(errors=True)

    assert result.delivery.error is not None
    assert "polite" in result.delivery.error
    assert names(external) == {}


def test_two_first_loads_into_one_database(pipeline: Harness) -> None:
    pipeline.configure(external_chunk_rows=2)
    app = pipeline.app
    one, other = app.tenancy(), app.tenancy()
    users = {app.user(tenancy) for tenancy in (one, other) for _ in range(5)}
    mine = pipeline.configure_external(one, mappings=["users"])
    theirs = pipeline.configure_external(other, url=mine.url, mappings=["users"])
    pipeline.sequence()
    with (
        pipeline.external_worker(mine.destination_id) as first,
        pipeline.external_worker(theirs.destination_id) as second,
    ):
        first.run_once()
        second.run_once()
        finish(first)
        finish(second)

    assert names(mine).keys() == users


def test_new_versions_of_rows_find_room_where_the_old_ones_are(pipeline: Harness) -> None:
    """Each version that does not would cost an entry in every index of the table, its owner's included."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.run(
        'insert into "ProjectUser" '
        '("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt") '
        'select "id", gen_random_uuid(), "projectId", "branchId", \'user\', now() '
        'from "Tenancy", generate_series(1, 300) where "id" = %s',
        tenancy,
    )
    external = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.drain()
    in_first_page = "(ctid::text::point)[0] = 0"
    ((before,),) = external.run(f"select count(*) from dbsync.users where {in_first_page}")
    ((user,),) = external.run(f"select id from dbsync.users where {in_first_page} limit 1")
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="changed")
    pipeline.drain()

    assert 1 < before < 300
    assert external.run(f"select {in_first_page} from dbsync.users where display_name = 'changed'") == [(True,)]
