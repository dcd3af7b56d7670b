"""Long work inside a run: cancelled between two batches, carried through outages, summed up truthfully."""

from threading import Event
from uuid import UUID

import dagster as dg
import pytest

from dbsync_pipeline.defs.ledger import Ledger
from dbsync_pipeline.defs.work import beside, failure_of, through_outages, visible_failures
from dbsync_pipeline.destinations.base import Pair
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.engine.engine import Delivery
from dbsync_pipeline.errors import DbsyncError, UnreachableError
from dbsync_pipeline.pending.claims import PendingItem

FIRST, SECOND = Pair(UUID(int=1), "users"), Pair(UUID(int=2), "users")
OUTAGE = UnreachableError("the source Postgres at db:5432/app does not answer")


def result(pair: Pair, after: int, reached: int, *, wanted: int = 0, error: str | None = None) -> SyncResult:
    delivery = Delivery(pair, after, reached, upserted=2, deleted=1, bytes_sent=10, seconds=0.5, error=error)
    item = PendingItem(pair.tenancy_id, pair.mapping_id, wanted or reached, 0, 1, waited_seconds=float(reached))
    return SyncResult(item, delivery, "clickhouse")


def test_cancelling_lets_the_batch_at_hand_end() -> None:
    begun, said = Event(), list[str]()

    def work(stop: Event) -> None:
        begun.set()
        stop.wait()
        said.append("batch ended")

    def cancel() -> None:
        begun.wait()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        beside(work, every_seconds=0, beat=cancel)
    assert said == ["batch ended"]


def test_what_the_work_returns_or_raises_comes_out() -> None:
    assert beside(lambda stop: 7, every_seconds=10, beat=list) == 7
    with pytest.raises(ZeroDivisionError):
        beside(lambda stop: 1 // 0, every_seconds=10, beat=list)


class Unslept(Event):
    """An event that nobody has to wait for."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


def test_work_goes_on_after_an_outage() -> None:
    outages, said = [OUTAGE, OUTAGE], list[str]()

    def work() -> str:
        if outages:
            raise outages.pop()
        return "done"

    assert through_outages(work, stop=Unslept(), max_seconds=60, note=said.append) == "done"
    assert said == [OUTAGE.what] * 2


def test_an_outage_that_lasts_is_raised_and_nothing_else_is_tried_again() -> None:
    attempts = list[int]()

    def work(error: Exception) -> None:
        attempts.append(1)
        raise error

    with pytest.raises(UnreachableError):
        through_outages(lambda: work(OUTAGE), stop=Unslept(), max_seconds=0, note=print)
    with pytest.raises(DbsyncError, match="other"):
        through_outages(lambda: work(DbsyncError("other")), stop=Unslept(), max_seconds=60, note=print)
    stopped = Unslept()
    stopped.set()
    with pytest.raises(UnreachableError):
        through_outages(lambda: work(OUTAGE), stop=stopped, max_seconds=60, note=print)
    assert len(attempts) == 3


def test_a_failure_says_what_and_mend_and_carries_no_cause() -> None:
    with pytest.raises(dg.Failure) as raised, visible_failures():
        raise DbsyncError("no such table", "Run `dbsync init`.")
    assert raised.value.description == "no such table. Run `dbsync init`."
    assert raised.value.__cause__ is None
    assert not raised.value.allow_retries


def test_a_failure_names_a_handful_and_counts_the_rest() -> None:
    said = failure_of([(Pair(number, "users"), f"error {number}") for number in range(7)]).description or ""
    assert said.startswith("7 of the deliveries failed")
    assert "tenancy 4, mapping users: error 4" in said
    assert "error 5" not in said
    assert said.endswith("and 2 more")


def test_deliveries_of_a_pair_are_summed_until_they_are_taken() -> None:
    ledger = Ledger()
    ledger.add([result(FIRST, 10, 20, wanted=30), result(SECOND, 0, 20)])
    ledger.add([result(FIRST, 20, 30)])
    assert ledger.outstanding == 2
    ((pair, advance),) = ledger.take(1)
    assert pair == FIRST
    assert {name: entry.value for name, entry in advance.metadata.items()} == {
        "destination": "clickhouse",
        "sequence_from": 10,
        "sequence_to": 30,
        "rows_upserted": 4,
        "rows_deleted": 2,
        "bytes": 20,
        "duration_seconds": 1.0,
        "rows_per_second": 6.0,
        "lag_seconds": 30.5,
        "still_pending": False,
    }
    ledger.add([result(FIRST, 30, 40, wanted=50)])
    assert [pair for pair, _ in ledger.take(10)] == [SECOND, FIRST]
    assert ledger.outstanding == 0


def test_a_delivery_that_failed_or_moved_nothing_is_no_advance() -> None:
    ledger = Ledger()
    ledger.add([result(FIRST, 10, 10, error="refused"), result(SECOND, 10, 10)])
    assert ledger.outstanding == 0
    assert ledger.failing == [(FIRST, "refused")]
    ledger.add([result(FIRST, 10, 10, error="refused")])
    assert ledger.take_errors() == [f"tenancy {FIRST.tenancy_id}, mapping users is not delivered: refused"]
    ledger.add([result(FIRST, 10, 20)])
    assert ledger.failing == []
    assert ledger.take_errors() == []
