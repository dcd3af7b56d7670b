"""`dbsync purge` and `dbsync erase`, as a person sees them."""

from dbsync_pipeline_tests.cli.commands import Command, sign_up
from dbsync_pipeline_tests.harness import Harness


def test_a_tenancy_from_its_deletion_to_nothing(pipeline: Harness, dbsync: Command) -> None:
    tenancy = sign_up(pipeline, ["Ada"])
    assert dbsync("init").returncode == 0
    assert dbsync("sync").returncode == 0
    assert dbsync("erase", "--tenancy", tenancy).returncode == 2
    pipeline.app.delete("ProjectUser", tenancyId=tenancy)
    pipeline.app.delete("Tenancy", id=tenancy)
    assert dbsync("sync").returncode == 0
    assert dbsync("purge").stdout.startswith("Removed 0 tombstones; their table takes ")
    erased = dbsync("erase", "--tenancy", tenancy)
    assert erased.returncode == 0
    lines = [line.split() for line in erased.stdout.splitlines()]
    assert ["clickhouse", "users", "2", "0"] in lines
    assert ["source", "dbsync.tombstone", "1", "0"] in lines


def test_what_goes_from_clickhouse_is_said_and_keeps_nothing_else(pipeline: Harness, dbsync: Command) -> None:
    tenancy = sign_up(pipeline, ["Ada"])
    pipeline.drain()
    pipeline.app.delete("ProjectUser", tenancyId=tenancy)
    pipeline.drain()
    silent = dbsync("purge", DBSYNC_TOMBSTONE_RETENTION_DAYS="0", DBSYNC_CLICKHOUSE_URL="http://127.0.0.1:1/")
    assert silent.returncode == 0
    assert silent.stdout.startswith("Removed 1 tombstones")
    assert "Left for the next time: ClickHouse at 127.0.0.1:1 does not answer" in silent.stdout
    here = pipeline.names.database
    removed = dbsync("purge", DBSYNC_TOMBSTONE_RETENTION_DAYS="0", DBSYNC_CLICKHOUSE_DATABASE=here).stdout
    assert removed.startswith("Removed 0 tombstones")
    assert removed.endswith("Removed 1 deleted rows from ClickHouse.\n")
    assert pipeline.versions("users") == []
