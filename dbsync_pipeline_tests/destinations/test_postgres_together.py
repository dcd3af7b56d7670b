"""Small batches of several mappings go to an external database in one transaction, and what is in them arrives."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from dbsync_pipeline import binary_copy
from dbsync_pipeline.binary_copy import Array
from dbsync_pipeline.demo import samples
from dbsync_pipeline.destinations.base import Batch
from dbsync_pipeline.destinations.postgres import destination
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.together import MOST_BYTES
from dbsync_pipeline.mappings.types import data_type
from dbsync_pipeline_tests.harness import External, Harness
from dbsync_pipeline_tests.invariants.stepping import WatchedWorker

_VALUES = {
    "uuid": ["gen_random_uuid()", "null"],
    "text": ["''", "'ä'", "repeat('x', 100000)", "null"],
    "boolean": ["true", "false", "null"],
    "integer": ["-2147483648", "0", "null"],
    "bigint": ["-1", "9223372036854775807", "null"],
    "double": ["'NaN'::float8", "-0.0::float8", "1e300::float8", "null"],
    "numeric(30, 5)": ["12345678901234567890.12345", "-0.00001", "null"],
    "date": ["'1900-01-01'::date", "null"],
    "timestamp(3)": ["'2299-12-31 23:59:59.999'::timestamp", "null"],
    "json": ["""'{"a": [null, "\\u00e4"]}'::jsonb""", "'null'::jsonb", "null"],
}


@pytest.mark.parametrize("declaration", _VALUES)
def test_a_column_of_any_type_becomes_an_array(pipeline: Harness, declaration: str) -> None:
    """Bit by bit what a COPY has written, NULL included."""
    declared = data_type(declaration).postgres
    rows = ", ".join(f"({number}, ({value})::{declared})" for number, value in enumerate(_VALUES[declaration]))
    admin = pipeline.admin
    admin.execute(f"create temporary table given as select * from (values {rows}) as v (number, value)")
    with admin.cursor().copy("copy (table given order by number) to stdout (format binary)") as copy:
        numbers, values = binary_copy.columns(b"".join(copy))
    assert len(numbers) == len(values) == len(_VALUES[declaration])
    bare = declared.partition("(")[0]
    differing = admin.execute(
        f"select * from given full join unnest(%s::integer[], %s::{bare}[]) as came (number, value) using (number) "
        "where given.value::text is distinct from came.value::text",
        [Array.of(numbers, "integer"), Array.of(values, bare)],
    )
    assert differing.fetchall() == []
    admin.execute("drop table given")


def test_what_is_no_binary_copy_is_refused() -> None:
    with pytest.raises(ValueError, match="not a binary COPY"):
        binary_copy.columns(b"1\tx\n")


@pytest.fixture
def tenancy(pipeline: Harness) -> UUID:
    return pipeline.app.tenancy()


@pytest.fixture
def copy(pipeline: Harness, tenancy: UUID) -> External:
    """A database that has all there is; the next delivery is no first load any more."""
    app = pipeline.app
    copy = pipeline.configure_external(tenancy)
    user, team = app.user(tenancy, displayName="first", email="first@example.com"), app.team(tenancy)
    app.member(tenancy, team, user)
    app.user(tenancy, displayName="second")
    pipeline.drain()
    copy.assert_equal()
    return copy


def transactions(copy: External, *tables: str) -> set[str]:
    """Which transactions have written the rows of tables, and the marks."""
    written = " union ".join(f"select xmin::text from dbsync.{table}" for table in (*tables, "sync_checkpoint"))
    return {number for (number,) in copy.run(written)}


def change_all(pipeline: Harness, copy: External, name: str) -> None:
    for table in ("ProjectUser", "Team"):
        pipeline.app.update(table, {"tenancyId": copy.tenancy}, displayName=name)


def test_a_turn_is_one_transaction(pipeline: Harness, tenancy: UUID, copy: External) -> None:
    """D18: the rows of all mappings and their marks; deleted, changed and new ones."""
    pipeline.app.delete("ProjectUser", displayName="second")
    change_all(pipeline, copy, "changed")
    pipeline.app.user(tenancy, displayName="new")
    before = transactions(copy, "users", "teams")
    pipeline.sequence()
    (pairs,) = {len(pipeline.sync_external())}
    assert pairs >= 2
    copy.assert_equal()
    assert {row["display_name"] for row in copy.view("users")} == {"changed", "new"}
    assert len(transactions(copy, "users", "teams") - before) == 1


@pytest.mark.parametrize("text", [*samples.TEXTS, samples.LONG_TEXT])
def test_every_text_arrives(pipeline: Harness, copy: External, text: str) -> None:
    change_all(pipeline, copy, text)
    pipeline.drain()
    copy.assert_equal()


def together(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Return how many batches each attempt to write together had, and whether it did, as they come."""
    attempts: list[tuple[int, bool]] = []
    deliver_together = destination.PostgresDestination.deliver_together

    def watched(self: destination.PostgresDestination, batches: Sequence[Batch]) -> bool:
        written = deliver_together(self, batches)
        attempts.append((len(batches), written))
        return written

    monkeypatch.setattr(destination.PostgresDestination, "deliver_together", watched)
    return attempts


def test_much_goes_by_copy(pipeline: Harness, tenancy: UUID, copy: External, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = together(monkeypatch)
    pipeline.app.user(tenancy, displayName="x" * MOST_BYTES)
    pipeline.drain()
    assert attempts == [(1, False)]
    copy.assert_equal()
    pipeline.app.user(tenancy, displayName="x")
    pipeline.drain()
    assert attempts[1:] == [(1, True)]
    copy.assert_equal()


def test_large_rows_are_kept_for_nobody(
    pipeline: Harness, tenancy: UUID, copy: External, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few they are: what is more than a block streams, so that memory stays flat."""
    attempts = together(monkeypatch)
    for _ in range(2):
        pipeline.app.user(tenancy, displayName="x" * 1_000_000)
    pipeline.drain()
    assert attempts == []
    copy.assert_equal()


def test_what_is_refused_takes_nothing_along(
    pipeline: Harness, copy: External, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I8: each mapping is then delivered by itself, and so is what comes until the row is mended."""
    attempts = together(monkeypatch)
    copy.run("alter table dbsync.users add check (display_name <> 'bad') not valid")
    change_all(pipeline, copy, "bad")
    pipeline.sequence()
    errors = {
        result.delivery.pair.mapping_id for result in pipeline.sync_external(errors=True) if result.delivery.error
    }
    assert errors == {"users"}
    assert attempts[0][1] is False
    copy.assert_equal("teams")
    change_all(pipeline, copy, "good")
    pipeline.drain()
    copy.assert_equal()


def test_a_worker_that_was_overtaken_writes_nothing(pipeline: Harness, copy: External) -> None:
    """I5, I6: what another worker has delivered meanwhile stays, in every mapping of the batch."""
    change_all(pipeline, copy, "old")
    pipeline.sequence()
    with WatchedWorker(pipeline, external=copy) as slow:
        slow.cycle.run_once()
        late = [Batch(mapping, slices, b"".join(blocks)) for mapping, slices, blocks in slow.destination.delivered]
        assert len(late) >= 2
        change_all(pipeline, copy, "new")
        pipeline.drain()
        assert slow.destination.inner.deliver_together(late) is False
        copy.assert_equal()
        # Read again, the marks are where they are, and an older row does no harm.
        slow.destination.inner.checkpoints([entry.pair for batch in late for entry in batch.slices])
        assert slow.destination.inner.deliver_together(late) is True
    assert {row["display_name"] for row in copy.view("users")} == {"new"}


def test_rows_of_somebody_else_are_not_written(pipeline: Harness, copy: External) -> None:
    """I7."""
    other = pipeline.app.tenancy()
    pipeline.app.user(other)
    theirs = pipeline.configure_external(other, "theirs")
    change_all(pipeline, copy, "changed")
    pipeline.sequence()
    with WatchedWorker(pipeline, external=copy) as mine, WatchedWorker(pipeline, external=theirs) as another:
        for worker in (mine, another):
            worker.cycle.run_once()
        (of_users,) = [entry for entry in mine.destination.delivered if entry[0].mapping_id == "users"]
        (strange,) = [entry for entry in another.destination.delivered if entry[0].mapping_id == "users"]
        batch = Batch(of_users[0], of_users[1], b"".join(strange[2]))
        assert mine.destination.inner.deliver_together([batch]) is False
    copy.assert_equal()


def test_what_takes_long_is_given_its_time_alone(
    pipeline: Harness, copy: External, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All statements of a batch share the time of one; by itself, each has all of it."""
    attempts = together(monkeypatch)
    share = ExternalSession.share
    monkeypatch.setattr(ExternalSession, "share", lambda self, _statements: share(self, 10_000))
    copy.run(
        """
        create function public.slow() returns trigger language plpgsql
            as 'begin perform pg_sleep(0.1); return new; end';
        create trigger slow before update on dbsync.users for each row execute function public.slow()
        """
    )
    change_all(pipeline, copy, "changed")
    pipeline.drain()
    assert attempts[0][1] is False
    copy.assert_equal()
