"""How a turn's deliveries share the time: small ones beside each other, none left behind when one fails."""

from collections.abc import Iterator, Sequence
from threading import Barrier, Event

import pytest

from dbsync_pipeline.destinations.base import Slice
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline_tests.harness import Harness

DEADLINE_SECONDS = 30.0


def test_small_deliveries_run_beside_each_other(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits until the other has begun, too."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.app.team(tenancy)
    pipeline.sequence()
    both = Barrier(2)
    deliver = ClickHouseDestination.deliver

    def waiting(
        self: ClickHouseDestination, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]
    ) -> None:
        both.wait(DEADLINE_SECONDS)
        deliver(self, mapping, slices, blocks)

    monkeypatch.setattr(ClickHouseDestination, "deliver", waiting)
    with pipeline.worker() as worker:
        assert [result.delivery.error for result in worker.run_once()] == [None, None]
    pipeline.assert_equal("users")
    pipeline.assert_equal("teams")


def test_a_turn_ends_after_all_of_its_deliveries(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """I5: when ClickHouse is lost under one of two, the other is awaited, and neither gets a checkpoint."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.app.team(tenancy)
    pipeline.sequence()
    begun, lost, arrived = Event(), Event(), Event()
    deliver = ClickHouseDestination.deliver

    def losing(
        self: ClickHouseDestination, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]
    ) -> None:
        if mapping.mapping_id == "teams":
            assert begun.wait(DEADLINE_SECONDS)
            lost.set()
            raise UnreachableError("the cable is out", "Plug it in.")
        begun.set()
        assert lost.wait(DEADLINE_SECONDS)
        deliver(self, mapping, slices, blocks)
        arrived.set()

    monkeypatch.setattr(ClickHouseDestination, "deliver", losing)
    with pipeline.worker() as worker:
        errors = [str(result.delivery.error) for result in worker.run_once()]
        assert arrived.is_set()
        assert len(errors) == 2
        assert all("the cable is out" in error for error in errors)
        assert (pipeline.checkpoint("users", tenancy), pipeline.checkpoint("teams", tenancy)) == (None, None)
        monkeypatch.setattr(ClickHouseDestination, "deliver", deliver)
        worker.retry_now()
        assert [result.delivery.error for result in worker.run_once()] == [None, None]
    pipeline.assert_equal("users")
    pipeline.assert_equal("teams")
