"""What the last comparison of each tenancy came to is kept, and goes with what it is about."""

from uuid import UUID

import psycopg

from dbsync_pipeline.erasure import erase
from dbsync_pipeline.verify import record
from dbsync_pipeline.verify.record import LastComparison, Outcome, read_coverage, read_last
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline.verify.scope import Scope
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.verify.looking import verified


def last(pipeline: Harness, tenancy: UUID, mapping_id: str = "users") -> dict[str, LastComparison]:
    """Return destination -> what there is of a tenancy."""
    found = read_last(pipeline.admin, pipeline.catalog.select([mapping_id]), tenancies=[str(tenancy)])
    return {entry.destination_id: entry for entry in found}


def counts(entry: LastComparison) -> tuple[int | None, ...]:
    return entry.source_rows, entry.destination_rows, entry.differing, entry.waiting


def test_every_tenancy_in_every_copy(pipeline: Harness) -> None:
    one, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(one)
    pipeline.app.user(one)
    user = pipeline.app.user(other)
    external = pipeline.configure_external(one, mappings=["users"])
    pipeline.drain()
    assert last(pipeline, one)["clickhouse"].verified_at is None
    verified(pipeline)
    upto = pipeline.value("select last_sequence_id from dbsync.sequencer")
    assert {name: counts(entry) for name, entry in last(pipeline, one).items()} == {
        "clickhouse": (2, 2, 0, 0),
        external.destination_id: (2, 2, 0, 0),
    }
    # One who has nothing to deliver has all there is, too.
    assert {entry.sequence_id for whose in (one, other) for entry in last(pipeline, whose, "teams").values()} == {upto}
    assert counts(last(pipeline, other, "teams")["clickhouse"]) == (0, 0, 0, 0)

    # A tenancy is judged by itself, and what is looked at again is written over.
    first = last(pipeline, one)["clickhouse"]
    table = pipeline.names.table(pipeline.catalog.mapping("users"))
    pipeline.clickhouse.execute(f"delete from {table} where id = '{user}'")
    external.run("update dbsync.users set display_name = 'somebody else'")
    verified(pipeline, Choice(Scope((str(other),))))
    assert counts(last(pipeline, other)["clickhouse"]) == (1, 0, 1, 0)
    assert last(pipeline, one)["clickhouse"] == first
    verified(pipeline)
    assert counts(last(pipeline, one)[external.destination_id]) == (2, 2, 2, 0)
    again = last(pipeline, one)["clickhouse"]
    assert again.verified_at is not None
    assert first.verified_at is not None
    assert (again.differing, again.verified_at > first.verified_at) == (0, True)
    coverage = {(entry.kind, entry.mapping_id): entry for entry in read_coverage(pipeline.admin, pipeline.catalog)}
    assert (coverage["clickhouse", "users"].compared, coverage["clickhouse", "users"].differing) == (2, 1)
    assert coverage["clickhouse", "users"].oldest == again.verified_at
    assert coverage["postgres", "users"].differing == 1
    assert ("postgres", "teams") not in coverage


def test_what_is_on_its_way_is_not_claimed(pipeline: Harness) -> None:
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    external = pipeline.configure_external(other, mappings=["users"])
    pipeline.app.user(other)
    pipeline.drain()
    reached = pipeline.value("select last_sequence_id from dbsync.sequencer")
    pipeline.app.user(tenancy)
    pipeline.sequence()
    verified(pipeline)
    entry = last(pipeline, tenancy)["clickhouse"]
    assert (entry.sequence_id, entry.source_rows, entry.differing) == (reached, 1, 0)
    # What one is to get that is not announced as it is now, nobody knows yet.
    assert last(pipeline, other)[external.destination_id].sequence_id > reached
    pipeline.admin.execute("update dbsync.destination set enabled = true where kind = 'postgres'")
    verified(pipeline)
    assert last(pipeline, other)[external.destination_id].sequence_id == reached


def test_where_nothing_can_be_compared_the_last_outcome_stands(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.drain()
    verified(pipeline)
    before = last(pipeline, tenancy)[external.destination_id]
    external.run("drop table dbsync.users")
    (found,) = verify(pipeline.pipeline, Choice(destinations=[external.destination_id]), patience_seconds=0)
    assert found.error is not None
    assert last(pipeline, tenancy)[external.destination_id] == before


def test_it_goes_with_its_destination_and_with_its_tenancy(pipeline: Harness) -> None:
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(other)
    external = pipeline.configure_external(other, mappings=["users"])
    pipeline.drain()
    verified(pipeline)
    assert (
        pipeline.value("select count(*) from dbsync.verified where destination_id = %s", external.destination_id) == 1
    )
    pipeline.admin.execute("delete from dbsync.destination where destination_id = %s", [external.destination_id])
    assert pipeline.rows("select distinct destination_id from dbsync.verified") == [("clickhouse",)]
    pipeline.app.delete("Tenancy", id=tenancy)
    pipeline.drain()
    done = erase(pipeline.pipeline, str(tenancy), delivery_seconds=0)
    (book,) = [entry for entry in done.tables if entry.table == "dbsync.verified"]
    assert (book.before, book.after) == (len(pipeline.catalog.mappings), 0)
    assert pipeline.rows("select distinct tenancy_id from dbsync.verified") == [(other,)]


def test_nothing_is_recorded_of_what_is_being_removed(pipeline: Harness) -> None:
    """Whoever writes neither waits for it, nor leaves a row behind."""
    going, staying = pipeline.app.tenancy(), pipeline.app.tenancy()
    external = pipeline.configure_external(staying)
    users = pipeline.catalog.mapping("users")
    outcomes = [Outcome(str(tenancy), 1, 0, 0, 0, 0) for tenancy in (going, staying)]
    with psycopg.connect(pipeline.admin.info.dsn, password=pipeline.admin.info.password) as removing:
        removing.execute("delete from dbsync.tenancy where tenancy_id = %s", [going])
        removing.execute("delete from dbsync.destination where destination_id = %s", [external.destination_id])
        for destination_id in ("clickhouse", external.destination_id):
            record.record(pipeline.admin, pipeline.catalog, users, destination_id, outcomes)
    assert pipeline.rows("select destination_id, tenancy_id from dbsync.verified") == [("clickhouse", staying)]
