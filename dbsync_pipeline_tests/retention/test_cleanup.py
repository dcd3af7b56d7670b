"""ClickHouse's deleted rows go when nothing older can arrive, and nobody ever sees a row that was deleted."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from pydantic import SecretStr

from dbsync_pipeline.cleanup import Cleaned, clean_up
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import stop_in_the_middle
from dbsync_pipeline_tests.verify.looking import differences


@pytest.fixture
def apart(pipeline: Harness) -> Generator[Harness]:
    """A pipeline whose users are in one part for each delivery, as ClickHouse merges none of them by itself."""
    table = pipeline.names.table(pipeline.catalog.mapping("users"))
    limits = ("max_bytes_to_merge_at_max_space_in_pool", "max_bytes_to_merge_at_min_space_in_pool")
    pipeline.clickhouse.execute(f"alter table {table} modify setting {', '.join(f'{limit} = 1' for limit in limits)}")
    yield pipeline
    pipeline.clickhouse.execute(f"alter table {table} reset setting {', '.join(limits)}")


def cleaned(pipeline: Harness, *, days: float = 0) -> Cleaned:
    return clean_up(pipeline.pipeline, days=days)


def delete_user(pipeline: Harness, user: UUID) -> None:
    pipeline.app.delete("ProjectUser", projectUserId=user)


def versions(pipeline: Harness) -> list[tuple[UUID, int]]:
    """Every version of every user, oldest first: whose it is, and whether it is deleted."""
    return [(row["id"], row["sync_is_deleted"]) for row in pipeline.versions("users")]


def shown(pipeline: Harness) -> set[UUID]:
    return {row["id"] for row in pipeline.view("users")}


@contextmanager
def between(monkeypatch: pytest.MonkeyPatch, look: Callable[[str], None]) -> Generator[list[str]]:
    """Call `look` before each statement that changes ClickHouse, and after it; collect what these begin with."""
    execute, begun = ClickHouse.execute, list[str]()

    def watched(self: ClickHouse, statement: str) -> None:
        begun.append(statement.split(maxsplit=1)[0])
        look(begun[-1])
        execute(self, statement)
        look(begun[-1])

    with monkeypatch.context() as watching:
        watching.setattr(ClickHouse, "execute", watched)
        yield begun


@pytest.fixture
def deleted(apart: Harness) -> tuple[UUID, UUID, UUID]:
    """Three users, each with two versions; then one is deleted, and one is deleted and comes back."""
    tenancy = apart.app.tenancy()
    alive, gone, back = users = apart.app.user(tenancy), apart.app.user(tenancy), apart.app.user(tenancy)
    apart.drain()
    for user in users:
        apart.app.update("ProjectUser", {"projectUserId": user}, displayName="changed")
    apart.drain()
    delete_user(apart, gone)
    delete_user(apart, back)
    apart.drain()
    apart.app.user(tenancy, projectUserId=back)
    apart.drain()
    assert sorted(versions(apart)) == sorted([(user, 0) for user in users] * 2 + [(gone, 1), (back, 1), (back, 0)])
    return alive, gone, back


def test_what_is_deleted_goes_and_is_seen_at_no_moment(
    apart: Harness, deleted: tuple[UUID, UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its older versions lie in parts of their own until then."""
    alive, gone, back = deleted
    delete_user(apart, alive)
    apart.drain()

    def look(_: str) -> None:
        assert shown(apart) == {back}

    look("before")
    with between(monkeypatch, look) as begun:
        assert cleaned(apart) == Cleaned(3)
    assert begun == ["optimize", "alter"]
    assert versions(apart) == [(back, 0)]
    assert gone not in shown(apart)
    assert cleaned(apart) == Cleaned()
    apart.assert_equal()
    assert differences(apart) == []


def test_what_the_users_profile_hides_goes_as_well(
    apart: Harness, deleted: tuple[UUID, UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile with `final = 1` shows no version that is deleted or old."""
    alive, _, back = deleted
    url = apart.server.clickhouse.url
    monkeypatch.setattr(Pipeline, "clickhouse", lambda _: ClickHouse(url, settings={"final": 1}))
    assert cleaned(apart) == Cleaned(2)
    assert sorted(versions(apart)) == sorted([(alive, 0), (back, 0)])


def test_a_row_that_comes_back_meanwhile_stays(
    apart: Harness, deleted: tuple[UUID, UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any moment of it, and is deleted again, too."""
    alive, gone, back = deleted
    tenancy = apart.value('select "tenancyId" from "ProjectUser" limit 1')

    def look(_: str) -> None:
        if gone in shown(apart):
            delete_user(apart, gone)
        else:
            apart.app.user(tenancy, projectUserId=gone)
        apart.drain()
        apart.assert_equal("users")

    with between(monkeypatch, look):
        assert cleaned(apart).left == []
    assert shown(apart) == {alive, back}
    delete_user(apart, alive)
    apart.drain()
    cleaned(apart)
    assert versions(apart) == [(back, 0)]


def test_a_deletion_that_is_young_or_among_many_rows_stays(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy) for _ in range(4)]
    pipeline.drain()
    delete_user(pipeline, users[0])
    pipeline.drain()
    assert cleaned(pipeline, days=1) == Cleaned()
    with monkeypatch.context() as dear:
        dear.setattr("dbsync_pipeline.destinations.clickhouse.cleaning.WORTH_SHARE", 0.9)
        assert cleaned(pipeline) == Cleaned()
    assert (users[0], 1) in versions(pipeline)
    assert cleaned(pipeline) == Cleaned(1)


def test_a_worker_that_began_before_is_waited_for(apart: Harness) -> None:
    """It has the row in its hands, alive, while another worker delivers that it is deleted."""
    user = apart.app.user(apart.app.tenancy())
    work, worker = stop_in_the_middle(apart, lambda: delete_user(apart, user))
    assert cleaned(apart).left == ["a worker that began before the deleted rows came in is still under way"]
    assert versions(apart) == [(user, 1)]
    work.finish()
    worker.close()
    assert sorted(versions(apart)) == [(user, 0), (user, 1)]
    assert cleaned(apart) == Cleaned(1)
    assert versions(apart) == []


def test_an_insert_that_began_before_is_waited_for(apart: Harness, deleted: tuple[UUID, UUID, UUID]) -> None:
    """Its worker may be gone."""
    go = threading.Event()
    line = ("\t".join(["checkpoint", str(deleted[0]), "0", "1"]) + "\n").encode()

    def blocks() -> Iterator[bytes]:
        for _ in range(2):
            yield line * (2_000_000 // len(line))
        go.wait(30)

    columns = ["mapping_id", "tenancy_id", "epoch", "sequence_id"]
    inserting = threading.Thread(
        target=apart.clickhouse.insert_stream, args=[apart.names.checkpoint, columns, blocks(), {}]
    )
    inserting.start()
    try:
        while not apart.clickhouse.query("select 1 from system.processes where query_kind = 'Insert'"):
            assert inserting.is_alive()
        assert cleaned(apart).left == ["an INSERT that began before the deleted rows came in is still under way"]
    finally:
        go.set()
        inserting.join()
    assert cleaned(apart) == Cleaned(2)


def test_what_is_not_merged_is_left_for_the_next_time(
    apart: Harness, deleted: tuple[UUID, UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ClickHouse merges nothing, and says nothing, where its disk is too full for that."""
    execute = ClickHouse.execute

    def full(self: ClickHouse, statement: str) -> None:
        if not statement.startswith("optimize"):
            execute(self, statement)

    before = versions(apart)
    with monkeypatch.context() as merging:
        merging.setattr(ClickHouse, "execute", full)
        done = cleaned(apart)
    assert done.rows == 0
    assert "have not been merged" in done.left[0]
    assert versions(apart) == before
    assert (deleted[1], 1) in before
    assert cleaned(apart) == Cleaned(2)


def test_it_may_end_between_its_steps(
    apart: Harness, deleted: tuple[UUID, UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge that takes longer than an answer may goes on by itself, and is not done twice."""
    alive, _, back = deleted
    execute = ClickHouse.execute

    def silent(self: ClickHouse, statement: str) -> None:
        execute(self, statement)
        raise UnreachableError("ClickHouse does not answer")

    with monkeypatch.context() as slow:
        slow.setattr(ClickHouse, "execute", silent)
        assert cleaned(apart) == Cleaned(0, ["users: ClickHouse does not answer"])
    with between(monkeypatch, lambda _: None) as begun:
        assert cleaned(apart) == Cleaned(1)
    assert begun == ["alter"]
    assert shown(apart) == {alive, back}
    apart.assert_equal()


def test_clickhouse_that_does_not_answer_is_named(pipeline: Harness) -> None:
    pipeline.configure(clickhouse_url=SecretStr("http://default:hunter2@127.0.0.1:1/"))
    (reason,) = cleaned(pipeline).left
    assert "does not answer" in reason
    assert "hunter2" not in reason
