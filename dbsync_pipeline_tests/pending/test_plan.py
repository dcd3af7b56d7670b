"""Looking at the queue costs the same however many pairs have nothing to deliver (I9)."""

import uuid

import pytest

from dbsync_pipeline import completeness
from dbsync_pipeline.pending import due, standing
from dbsync_pipeline_tests.harness import Harness


def test_an_idle_queue_is_read_by_its_index(pipeline: Harness) -> None:
    """20,000 pairs of which none waits; without the index, a sensor's tick reads all of them."""
    pipeline.admin.execute(
        "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted, reached) "
        "select gen_random_uuid(), 'users', 'clickhouse', 1, 1 from generate_series(1, 20000)"
    )
    pipeline.admin.execute("analyze dbsync.pending")
    parameters = {"lock_class": 1, "destination": "clickhouse"}
    plan = "\n".join(line for (line,) in pipeline.admin.execute("explain " + due._IS_DUE, parameters))
    assert "Seq Scan on pending" not in plan
    assert plan.count("using pending_due") == 2


@pytest.mark.parametrize("statement", [completeness._BEHIND, standing._IS_CLAIMED], ids=["behind", "claimed"])
def test_what_is_asked_again_and_again_about_a_tenancy_reads_its_own_pairs(pipeline: Harness, statement: str) -> None:
    """By whoever waits for its copies, or for its workers, among pairs of many tenancies."""
    pipeline.admin.execute(
        "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted, lease_worker) "
        "select gen_random_uuid(), 'users', 'clickhouse', 1, 1 from generate_series(1, 20000)"
    )
    pipeline.admin.execute("analyze dbsync.pending")
    parameters = {"lock_class": 1, "tenancy": str(uuid.uuid4()), "sequence_id": 1, "destination": None}
    plan = "\n".join(line for (line,) in pipeline.admin.execute("explain " + statement, parameters))
    assert "Seq Scan on pending" not in plan
    assert plan.count("on pending") == plan.count("using pending_pkey") == 1
