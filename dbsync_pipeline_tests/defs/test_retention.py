"""Purging and erasing from Dagster."""

from typing import Any

import pytest

from dbsync_pipeline import erasure
from dbsync_pipeline.completeness import wait_until
from dbsync_pipeline.defs.retention import ERASED_TENANCIES
from dbsync_pipeline_tests.defs.conftest import Deployment, failure
from dbsync_pipeline_tests.defs.test_controls import run, said
from dbsync_pipeline_tests.harness import Harness


def proofs(deployment: Deployment) -> list[dict[str, Any]]:
    """Return what is recorded of the tenancies that were erased, the newest first."""
    records = deployment.instance.fetch_materializations(ERASED_TENANCIES.key, limit=100).records
    found = [record.asset_materialization for record in records]
    return [{name: entry.value for name, entry in event.metadata.items()} for event in found if event is not None]


def test_old_tombstones_go(pipeline: Harness, deployment: Deployment) -> None:
    user = pipeline.app.user(pipeline.app.tenancy())
    pipeline.drain()
    pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.drain()
    assert said(deployment.run("purge_job"))["tombstones"] == 0
    pipeline.admin.execute("update dbsync.tombstone set created_at = created_at - interval '31 days'")
    done = said(deployment.run("purge_job"))
    assert (done["tombstones"], done["clickhouse_rows"], done["clickhouse_left"]) == (1, 0, [])
    pipeline.clickhouse.execute(
        f"alter table {pipeline.names.table(pipeline.catalog.mapping('users'))} "
        "update sync_created_at = sync_created_at - interval 31 day where true settings mutations_sync = 2"
    )
    assert said(deployment.run("purge_job"))["clickhouse_rows"] == 1
    assert pipeline.versions("users") == []


def test_the_deleted_are_erased_when_they_are_due_or_named(pipeline: Harness, deployment: Deployment) -> None:
    first, second, third = (pipeline.app.tenancy() for _ in range(3))
    for tenancy in (first, second, third):
        pipeline.app.team(tenancy)
    pipeline.drain()
    for tenancy in (first, second):
        pipeline.app.delete("Tenancy", id=tenancy)
    pipeline.drain()
    assert said(run(deployment, "erase"))["tenancies"] == 0
    pipeline.admin.execute("update dbsync.tenancy set deleted_at = deleted_at - interval '8 days'")
    proof = said(run(deployment, "erase", tenancy=str(first)))
    assert (proof["tenancies"], proof["after"]) == (1, 0)
    assert f"{first} | clickhouse" in proof["tables"]
    assert proofs(deployment) == [{"tenancy": str(first), **proof}]
    assert {row["tenancy_id"] for row in pipeline.versions("teams")} == {second, third}
    assert said(run(deployment, "erase"))["tenancies"] == 1
    assert {row["tenancy_id"] for row in pipeline.versions("teams")} == {third}
    assert "is there in the source" in failure(run(deployment, "erase", tenancy=str(third)))
    # One for each that is gone, and none for one that is not.
    assert [(entry["tenancy"], entry["after"]) for entry in proofs(deployment)] == [(str(second), 0), (str(first), 0)]


def test_what_others_write_meanwhile_keeps_nobody_from_being_erased(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While anybody writes, something waits for the sequencer's next pass at every moment."""
    doomed, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.team(doomed)
    user = pipeline.app.user(other)
    pipeline.drain()
    pipeline.app.delete("Tenancy", id=doomed)
    pipeline.drain()
    pipeline.admin.execute("update dbsync.tenancy set deleted_at = deleted_at - interval '8 days'")
    pipeline.app.channel(other, user, isPrimary="TRUE")
    assert pipeline.value("select count(*) from dbsync.touch") > 0

    def with_a_sequencer(*arguments: Any, **options: Any) -> int:
        return wait_until(*arguments, **{**options, "sleep": lambda _: pipeline.sequence()})

    monkeypatch.setattr(erasure, "wait_until", with_a_sequencer)
    assert said(run(deployment, "erase"))["tenancies"] == 1
