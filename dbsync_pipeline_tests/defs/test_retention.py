"""Purging from Dagster."""

from dbsync_pipeline_tests.defs.conftest import Deployment
from dbsync_pipeline_tests.defs.test_controls import said
from dbsync_pipeline_tests.harness import Harness


def test_old_tombstones_go(pipeline: Harness, deployment: Deployment) -> None:
    user = pipeline.app.user(pipeline.app.tenancy())
    pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.drain()
    assert said(deployment.run("purge_job"))["tombstones"] == 0
    pipeline.admin.execute("update dbsync.tombstone set created_at = created_at - interval '31 days'")
    assert said(deployment.run("purge_job"))["tombstones"] == 1
