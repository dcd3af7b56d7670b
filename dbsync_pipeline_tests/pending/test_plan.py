"""Looking at the queue costs the same however many pairs have nothing to deliver (I9)."""

from dbsync_pipeline.pending import queue
from dbsync_pipeline_tests.harness import Harness


def test_an_idle_queue_is_read_by_its_index(pipeline: Harness) -> None:
    """20,000 pairs of which none waits; without the index, a sensor's tick reads all of them."""
    pipeline.admin.execute(
        "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted, reached) "
        "select gen_random_uuid(), 'users', 'clickhouse', 1, 1 from generate_series(1, 20000)"
    )
    pipeline.admin.execute("analyze dbsync.pending")
    parameters = {"lock_class": 1, "destination": "clickhouse"}
    plan = "\n".join(line for (line,) in pipeline.admin.execute("explain " + queue._IS_DUE, parameters))
    assert "Seq Scan on pending" not in plan
    assert plan.count("using pending_due") == 2
