"""A large batch is merged a piece at a time, in one transaction: whichever piece fails, none of them is there."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from psycopg import sql

from dbsync_pipeline import binary_copy
from dbsync_pipeline.destinations.postgres import destination
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline_tests.harness import External, Harness
from dbsync_pipeline_tests.invariants.stepping import WatchedWorker


@pytest.mark.parametrize("size", [1, 40, 100, 10_000])
def test_each_piece_is_a_copy_of_its_own(pipeline: Harness, size: int) -> None:
    copied = "copy (select n, repeat('x', n) from generate_series(1, 20) as n) to stdout (format binary)"
    with pipeline.admin.cursor().copy(copied) as copy:
        blocks = [bytes(block) for block in copy]
    whole = binary_copy.columns(b"".join(blocks))
    pieces = [list(piece) for piece in binary_copy.pieces(iter(blocks), size)]
    columns = [binary_copy.columns(b"".join(piece)) for piece in pieces]
    # What the source sends last may be the end alone.
    rows = [piece for piece in columns if piece]
    assert [[value for piece in rows for value in piece[number]] for number in range(2)] == whole
    assert all(sum(map(len, piece)) >= size for piece in pieces[:-1])
    assert (len(pieces) == 1) == (size > sum(map(len, blocks)))


def test_nothing_is_no_piece_more() -> None:
    assert [list(piece) for piece in binary_copy.pieces(iter([]), 1)] == [[]]


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Make each row a piece; return whether each that came made room for itself in the stage."""
    monkeypatch.setattr("dbsync_pipeline.engine.snapshot._BLOCK_BYTES", 1)
    monkeypatch.setattr(destination, "_PIECE_BYTES", 1)
    came: list[bool] = []
    copy = ExternalSession.copy

    def noting(
        self: ExternalSession, statement: sql.Composed, blocks: Iterator[bytes], *, before: sql.Composed | None = None
    ) -> None:
        came.append(before is not None)
        copy(self, statement, blocks, before=before)

    monkeypatch.setattr(ExternalSession, "copy", noting)
    return came


@pytest.fixture
def tenancy(pipeline: Harness) -> UUID:
    return pipeline.app.tenancy()


@pytest.fixture
def copy(pipeline: Harness, tenancy: UUID) -> External:
    """A database that has had its first load."""
    for _ in range(3):
        pipeline.app.user(tenancy, displayName="old")
    copy = pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.drain()
    return copy


def change_all(pipeline: Harness, tenancy: UUID, name: str) -> None:
    pipeline.app.run('update "ProjectUser" set "displayName" = %s where "tenancyId" = %s', name, tenancy)
    pipeline.sequence()


@pytest.mark.parametrize("more", [0, 30])
def test_rows_and_tombstones_arrive_whatever_piece_they_are_in(
    pipeline: Harness, tenancy: UUID, copy: External, pieces: list[bool], more: int
) -> None:
    """I4: few rows, that a prepared query reads, and more, that come by COPY."""
    gone, again, *_ = [row["id"] for row in copy.view("users")]
    for user in (gone, again):
        pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.app.user(tenancy, projectUserId=again, displayName="again")
    for _ in range(more):
        pipeline.app.user(tenancy, displayName="new")
    change_all(pipeline, tenancy, "changed")
    pieces.clear()

    pipeline.drain()

    assert pieces[0] is False
    assert pieces.count(True) >= more + 3
    copy.assert_equal("users")
    assert gone not in {row["id"] for row in copy.view("users")}


def test_a_row_that_is_refused_takes_every_piece_back(
    pipeline: Harness, tenancy: UUID, copy: External, pieces: list[bool]
) -> None:
    """I5: with the checkpoint."""
    checkpoint = copy.checkpoint("users")
    change_all(pipeline, tenancy, "good")
    bad = pipeline.app.user(tenancy, displayName="bad")
    pipeline.sequence()
    copy.run("alter table dbsync.users add check (display_name <> 'bad') not valid")
    pieces.clear()
    (result,) = pipeline.sync_external(errors=True)
    assert result.delivery.error is not None
    assert True in pieces
    assert [row["display_name"] for row in copy.view("users")] == ["old"] * 3
    assert copy.checkpoint("users") == checkpoint
    pipeline.app.run('update "ProjectUser" set "displayName" = %s where "projectUserId" = %s', "good", bad)
    pipeline.drain()
    copy.assert_equal("users")


@pytest.mark.usefixtures("pieces")
def test_a_row_of_somebody_else_takes_every_piece_back(pipeline: Harness, tenancy: UUID, copy: External) -> None:
    """I7."""
    other = pipeline.app.tenancy()
    theirs = pipeline.configure_external(other, mappings=["users"])
    for _ in range(2):
        pipeline.app.user(other)
    change_all(pipeline, tenancy, "changed")
    with WatchedWorker(pipeline, external=copy) as mine, WatchedWorker(pipeline, external=theirs) as another:
        for worker in (mine, another):
            worker.cycle.run_once()
        ((mapping, _, blocks),) = mine.destination.delivered
        ((_, _, strange),) = another.destination.delivered
        copy.run("delete from dbsync.users")
        with pytest.raises(DbsyncError, match="rows of other tenancies"):
            mine.destination.inner.deliver(mapping, (), iter([*blocks[:-1], strange[1], blocks[-1]]))
        assert copy.view("users") == []
        mine.destination.inner.deliver(mapping, (), iter(blocks))
    copy.assert_equal("users")
