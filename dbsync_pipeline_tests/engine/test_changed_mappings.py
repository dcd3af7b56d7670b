"""A mapping changes under a running worker: its old form must not be delivered as the new one."""

import pytest

from dbsync_pipeline.errors import NotInstalledError
from dbsync_pipeline_tests.harness import Harness


def test_a_worker_with_old_mappings_ends_and_its_claims_with_it(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    with pipeline.worker() as worker:
        pipeline.admin.execute("update dbsync.installed set fingerprint = 'new' where object_id = 'mapping users'")
        with pytest.raises(NotInstalledError, match="mapping users is not what is installed"):
            worker.run_once()
    assert pipeline.view("users") == []
    assert pipeline.rows("select from dbsync.pending where lease_worker is not null") == []
