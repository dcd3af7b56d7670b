"""How much of a large load a turn takes: little at first and in company, much alone."""

from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest

from dbsync_pipeline.destinations.base import Slice
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine import chunks, engine
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.engine.snapshot import Snapshot
from dbsync_pipeline.engine.turns import TurnSize
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline_tests.acceptance.test_advanced import import_users
from dbsync_pipeline_tests.harness import Harness


def test_turns_grow_while_nobody_else_has_anything() -> None:
    size = TurnSize(most=250_000, least=10_000)
    assert size.rows <= 50_000
    size.note(size.rows, 1.0, company=False)
    assert size.rows == 250_000


def test_a_database_of_one_tenancy_has_longer_first_turns(pipeline: Harness) -> None:
    """Nobody else waits for them, and each turn joins its rows anew; though never more than a turn may have."""
    external = pipeline.configure_external(pipeline.app.tenancy())
    with pipeline.worker() as shared, pipeline.external_worker(external.destination_id) as own:
        assert own._engine._size.rows == 3 * shared._engine._size.rows
    pipeline.configure(external_chunk_rows=1_000)
    with pipeline.external_worker(external.destination_id) as own:
        assert own._engine._size.rows == 1_000


def test_company_shortens_them_at_once() -> None:
    """To about half a second, at the speed that was seen."""
    size = TurnSize(most=250_000, least=10_000)
    size.rows = 250_000
    size.note(250_000, 2.5, company=True)
    assert size.rows == 50_000


def test_turns_alone_take_no_longer_than_a_worker_may_be_waited_for() -> None:
    """Ten seconds or so, however slow the way there is; and what one bad moment took from them comes back."""
    size = TurnSize(most=1_000_000, least=10_000)
    size.note(50_000, 5.0, company=False)
    assert size.rows == size.alone == 1_000_000
    size.note(1_000_000, 100.0, company=False)
    assert size.rows == size.alone == 100_000
    size.note(100_000, 2.0, company=False)
    assert size.rows == size.alone == 500_000


def test_turns_stay_within_their_bounds() -> None:
    slow, fast, little = (TurnSize(most, least=10_000) for most in (250_000, 250_000, 400))
    slow.note(50_000, 60.0, company=True)
    fast.note(50_000, 0.0, company=True)
    little.note(400, 60.0, company=True)
    assert (slow.rows, fast.rows, little.rows) == (10_000, 250_000, 400)


def test_small_changes_go_with_every_turn_of_a_load(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """I8: however much of it there is, and whatever has waited for longer; and not behind its rows in one insert."""
    monkeypatch.setattr(chunks, "LARGE_ROWS", 100)
    delivered: list[set[UUID]] = []
    deliver = ClickHouseDestination.deliver

    def noting(
        self: ClickHouseDestination, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]
    ) -> None:
        if mapping.mapping_id == "users":
            delivered.append({entry.pair.tenancy_id for entry in slices})
        deliver(self, mapping, slices, blocks)

    monkeypatch.setattr(ClickHouseDestination, "deliver", noting)
    large, *others = (pipeline.app.tenancy() for _ in range(3))
    pipeline.app.run(
        'insert into "ProjectUser" '
        '("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt") '
        'select "id", gen_random_uuid(), "projectId", "branchId", \'user\', now() '
        'from "Tenancy", generate_series(1, 300) where "id" = %s',
        large,
    )
    pipeline.sequence()
    with pipeline.worker() as worker:
        for tenancy in others:
            pipeline.app.user(tenancy)
            pipeline.sequence()
            worker._engine._size.rows = 100
            results = worker.run_once()
            assert tenancy in {result.item.tenancy_id for result in results}
            assert sum(result.delivery.upserted for result in results) == 101
    assert {frozenset(tenancies) for tenancies in delivered} >= {frozenset([tenancy]) for tenancy in others}
    pipeline.drain()
    pipeline.assert_equal("users")


def test_what_a_turn_measures_does_not_grow_with_what_waits(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """I9: of twenty loads, each of half a turn, most are not looked at; and none waits until another is over."""
    monkeypatch.setattr(engine, "_LEAST_SHARE", 1)
    pipeline.configure(chunk_rows=20)
    tenancies = [pipeline.app.tenancy() for _ in range(20)]
    for tenancy in tenancies:
        import_users(pipeline.app, tenancy, 10)
    pipeline.sequence()
    asked: list[tuple[int, int]] = []
    measure = engine.Engine._chunks

    def noting(
        self: engine.Engine, groups: Sequence[tuple[SyncMapping, list[Slice]]], snapshot: Snapshot, rows: int
    ) -> object:
        asked.extend((len(slices), rows) for _, slices in groups)
        return measure(self, groups, snapshot, rows)

    monkeypatch.setattr(engine.Engine, "_chunks", noting)
    with pipeline.worker(Selection(mappings=["users"])) as worker:
        results = worker.run_once()
    # Nothing is under way any more.
    assert sum(result.delivery.upserted for result in results) == 20
    # Two that fill the turn, and one that is read ahead of the next.
    assert asked == [(20, 1), (1, 20), (1, 20), (1, 20)]
    pipeline.drain()
    pipeline.assert_equal("users")
