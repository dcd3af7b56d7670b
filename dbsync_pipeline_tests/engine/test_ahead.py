"""What is read ahead of the next turn is delivered by it, or read again; nothing that happens in between is missed."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

import pytest
from psycopg import sql

from dbsync_pipeline.destinations.base import Slice
from dbsync_pipeline.engine import chunks, engine
from dbsync_pipeline.engine.cycle import SyncCycle
from dbsync_pipeline.engine.snapshot import Snapshot
from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import Harness

DESTINATIONS = ("clickhouse", "postgres")
ROWS_A_TURN = 4
# Four rows of that are far more than what fits between the source and a worker that does not read on.
LONG_CHARACTERS = 16_000_000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note, from now on, which session each COPY of rows goes through; two rows are many."""
    monkeypatch.setattr(chunks, "LARGE_ROWS", 2)
    monkeypatch.setattr(engine, "_FEW_ROWS", 1)
    sessions: list[int] = []
    copy = Snapshot.copy

    @contextmanager
    def noting(self: Snapshot, statement: sql.Composed) -> Generator[object]:
        sessions.append(self.connection.info.backend_pid)
        with copy(self, statement) as blocks:
            yield blocks

    monkeypatch.setattr(Snapshot, "copy", noting)
    return sessions


class Load:
    """A tenancy whose users take several turns to a copy of it, the first of which is over."""

    def __init__(self, pipeline: Harness, kind: str, *, users: int = 5 * ROWS_A_TURN, length: int = 10) -> None:
        pipeline.configure(chunk_rows=ROWS_A_TURN, external_chunk_rows=ROWS_A_TURN)
        self.pipeline = pipeline
        self.tenancy: UUID = pipeline.app.tenancy()
        pipeline.app.run(
            'insert into "ProjectUser" '
            '("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt") '
            'select "id", gen_random_uuid(), "projectId", "branchId", repeat(i::text, %s), now() '
            'from "Tenancy", generate_series(1, %s) as i where "id" = %s',
            *(length, users, self.tenancy),
        )
        self.external = pipeline.configure_external(self.tenancy)
        self.destination_id = "clickhouse" if kind == "clickhouse" else self.external.destination_id
        pipeline.sequence()

    def worker(self) -> AbstractContextManager[SyncCycle]:
        if self.destination_id == "clickhouse":
            return self.pipeline.worker()
        return self.pipeline.external_worker(self.destination_id)

    def users(self) -> list[UUID]:
        """Return the users there are, in the order of their numbers."""
        return [
            user for (user,) in self.pipeline.rows('select "projectUserId" from "ProjectUser" order by "sequenceId"')
        ]

    def wait_for_sessions(self, count: int) -> None:
        """Wait until so many sessions of workers read the source; one that has ended is there a moment longer."""
        for _ in range(3_000):
            found = self.pipeline.value(
                "select count(*) from pg_stat_activity, pg_sleep(0.01) "
                "where application_name = 'dbsync sync' and datname = current_database()"
            )
            if found == count:
                return
        raise AssertionError(f"{found} sessions, not {count}")


def turn(worker: SyncCycle) -> int | None:
    """Take one turn, and wait for what it reads ahead; return the users it delivered, None when there was nothing."""
    results = worker.run_once()
    if not results:
        return None
    if (begun := worker._engine._ahead._begun) is not None:
        begun.result()
    assert [result.delivery.error for result in results if result.delivery.error] == []
    return sum(entry.delivery.upserted for entry in results if entry.delivery.pair.mapping_id == "users")


def finish(worker: SyncCycle) -> None:
    while turn(worker) is not None:
        pass


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_a_turn_delivers_what_was_read_ahead(pipeline: Harness, kind: str, reads: list[int]) -> None:
    load = Load(pipeline, kind)
    with load.worker() as worker:
        turn(worker)
        begun = reads.pop()
        load.wait_for_sessions(2)
        reads.clear()
        assert turn(worker) == ROWS_A_TURN
        # All that was read in this turn is what the next one will deliver.
        assert len(reads) == 1
        assert begun not in reads
        finish(worker)
        load.wait_for_sessions(1)
    pipeline.drain()
    pipeline.assert_equal("users")
    load.external.assert_equal("users")


def changed(load: Load) -> None:
    """Change, remove and make again users on both sides of where the load is."""
    users = load.users()
    with load.pipeline.write() as db:
        app = Application(db)
        for user in (users[0], users[ROWS_A_TURN + 1], users[-1]):
            app.update("ProjectUser", {"projectUserId": user}, displayName="changed")
        for user in (users[1], users[ROWS_A_TURN + 2], users[-2]):
            app.delete("ProjectUser", projectUserId=user)
    with load.pipeline.write() as db:
        Application(db).user(load.tenancy, projectUserId=users[ROWS_A_TURN + 2], displayName="again")


def changed_and_numbered(load: Load) -> None:
    changed(load)
    load.pipeline.sequence()


def asked_again(load: Load) -> None:
    """Begin a new epoch."""
    changed_and_numbered(load)
    load.pipeline.admin.execute("update dbsync.pending set epoch = epoch + 1, reached = 0, lease_worker = null")


def overtaken(load: Load) -> None:
    """Have somebody else deliver everything meanwhile, then remove it all."""
    with load.worker() as other:
        finish(other)
    load.pipeline.app.delete("ProjectUser", tenancyId=load.tenancy)
    load.pipeline.sequence()


def cut_off(load: Load) -> None:
    """End all sessions that only wait, which those of a worker's own views between two turns do not."""
    load.pipeline.admin.execute(
        "select pg_terminate_backend(pid, 30000) from pg_stat_activity "
        "where application_name = 'dbsync sync' and datname = current_database() and state <> 'idle'"
    )


@pytest.mark.parametrize("kind", DESTINATIONS)
@pytest.mark.parametrize("happens", [changed, changed_and_numbered, asked_again, overtaken, cut_off])
def test_whatever_happens_meanwhile(
    pipeline: Harness, kind: str, reads: list[int], happens: Callable[[Load], None]
) -> None:
    """I4, I5, I6: between two turns, with the next one's rows read already."""
    load = Load(pipeline, kind)
    with load.worker() as worker:
        turn(worker)
        turn(worker)
        load.wait_for_sessions(2)
        happens(load)
        finish(worker)
        load.wait_for_sessions(1)
    pipeline.drain()
    pipeline.assert_equal("users")
    load.external.assert_equal("users")


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_what_cannot_be_read_to_its_end_is_read_again(pipeline: Harness, kind: str, reads: list[int]) -> None:
    """By the same turn, so that nobody hears of it."""
    load = Load(pipeline, kind, users=2 * ROWS_A_TURN, length=0)
    pipeline.app.run("""update "ProjectUser" set "displayName" = repeat('x', %s)""", LONG_CHARACTERS)
    pipeline.sequence()
    with load.worker() as worker:
        turn(worker)
        reads.clear()
        cut_off(load)
        assert turn(worker) == ROWS_A_TURN
        assert len(reads) == 1
    pipeline.drain()
    pipeline.assert_equal("users")
    load.external.assert_equal("users")


def test_a_worker_that_rests_or_ends_keeps_no_view(pipeline: Harness, reads: list[int]) -> None:
    """Nor do its reads when somebody else has taken what they were for."""
    load = Load(pipeline, "clickhouse")
    with load.worker() as worker:
        turn(worker)
        with load.worker() as other:
            finish(other)
        assert turn(worker) is None
        load.wait_for_sessions(1)
    load = Load(pipeline, "clickhouse")
    with load.worker() as worker:
        turn(worker)
        load.wait_for_sessions(2)
    load.wait_for_sessions(0)


def test_a_throttle_is_not_read_past(pipeline: Harness, reads: list[int]) -> None:
    pipeline.configure(worker_rows_per_second=1_000_000)
    load = Load(pipeline, "clickhouse")
    with load.worker() as worker:
        turn(worker)
        load.wait_for_sessions(1)


def test_small_changes_go_before_what_was_read_ahead(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch, reads: list[int]
) -> None:
    """I8: and with the same turn."""
    load = Load(pipeline, "clickhouse")
    delivered: list[UUID] = []
    with load.worker() as worker:
        turn(worker)
        other = pipeline.app.tenancy()
        pipeline.app.user(other)
        pipeline.sequence()
        deliver = worker._destination.deliver

        def noting(mapping: object, slices: list[Slice], blocks: object) -> None:
            delivered.extend(entry.pair.tenancy_id for entry in slices)
            deliver(mapping, slices, blocks)  # type: ignore[arg-type]

        monkeypatch.setattr(worker._destination, "deliver", noting)
        assert turn(worker) == ROWS_A_TURN + 1
    assert delivered[0] == other
    assert delivered.count(load.tenancy) == 1
