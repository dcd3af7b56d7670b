"""A database comes back as it was before: what the copies do by themselves, and that verification makes them equal."""

from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.verify.copies import ClickHouseCopy
from dbsync_pipeline.verify.differences import Kind
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline.verify.scope import Scope
from dbsync_pipeline_tests.harness import External, Harness

MAPPINGS = ("users", "teams")


def found(pipeline: Harness, *, repair: bool = False) -> set[tuple[str, Kind]]:
    """Return what differs, by kind of copy."""
    lines = list(verify(pipeline.pipeline, Choice(mappings=MAPPINGS), patience_seconds=0, repair=repair))
    assert [line.error for line in lines if line.error] == []
    return {(line.destination_id.partition(":")[0], what.kind) for line in lines for what in line.differences}


def repair(pipeline: Harness, external: External) -> None:
    """Do what `dbsync verify --repair` does, and see that it was enough."""
    found(pipeline, repair=True)
    pipeline.assert_synced(*MAPPINGS)
    external.assert_equal(*MAPPINGS)
    assert found(pipeline) == set()


@pytest.fixture
def tenancy(pipeline: Harness) -> UUID:
    return pipeline.app.tenancy()


@pytest.fixture
def external(pipeline: Harness, tenancy: UUID) -> External:
    """A database with one user and two teams in it, as ClickHouse has them."""
    pipeline.app.user(tenancy, displayName="first")
    for name in ("stays", "goes"):
        pipeline.app.team(tenancy, displayName=name)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    return external


def change(pipeline: Harness, tenancy: UUID) -> None:
    """Change one row, remove one, add one."""
    pipeline.app.update("ProjectUser", {"displayName": "first"}, displayName="second")
    pipeline.app.delete("Team", displayName="goes")
    pipeline.app.user(tenancy, displayName="new")


def test_the_source_is_restored_to_an_earlier_time(pipeline: Harness, external: External, tenancy: UUID) -> None:
    """Numbers are given a second time, and below those that the copies hold: by itself, nothing arrives."""
    names = {"source": sql.Identifier(pipeline.database), "backup": sql.Identifier(f"{pipeline.database}_backup")}
    pipeline.configure()
    with psycopg.connect(pipeline.server.postgres.url(), autocommit=True) as server:
        server.execute(sql.SQL("create database {backup} template {source}").format(**names))
        change(pipeline, tenancy)
        pipeline.drain()
        pipeline.configure()
        server.execute(sql.SQL("drop database {source} with (force)").format(**names))
        server.execute(sql.SQL("alter database {backup} rename to {source}").format(**names))
    pipeline.app.update("Team", {"displayName": "stays"}, displayName="after")
    pipeline.drain()
    assert {row["display_name"] for row in pipeline.view("users")} == {"second", "new"}
    assert {row["display_name"] for row in external.view("teams")} == {"stays"}
    ahead = {("clickhouse", Kind.AHEAD), ("postgres", Kind.AHEAD)}
    assert ahead | {("clickhouse", Kind.EXTRA), ("postgres", Kind.EXTRA)} <= found(pipeline)
    repair(pipeline, external)
    assert {row["display_name"] for row in pipeline.view("teams")} == {"after", "goes"}


@pytest.mark.parametrize("whole", [False, True], ids=["from an old backup", "empty"])
def test_clickhouse_is_restored(pipeline: Harness, external: External, tenancy: UUID, *, whole: bool) -> None:
    """Tables and checkpoints go back together: what changes from then on arrives, the rest waits for verification."""
    internal = tables.name(pipeline.names.internal)
    every = [*MAPPINGS, tables.CHECKPOINT_TABLE]
    for name in every:
        pipeline.clickhouse.execute(f"create or replace table {internal}.kept_{name} as {internal}.{name}")
        if not whole:
            pipeline.clickhouse.execute(f"insert into {internal}.kept_{name} select * from {internal}.{name}")
    change(pipeline, tenancy)
    pipeline.drain()
    for name in every:
        pipeline.clickhouse.execute(f"truncate table {internal}.{name}")
        pipeline.clickhouse.execute(f"insert into {internal}.{name} select * from {internal}.kept_{name}")
        pipeline.clickhouse.execute(f"drop table {internal}.kept_{name}")
    assert ("clickhouse", Kind.MISSING) in found(pipeline)
    pipeline.app.update("Team", {"displayName": "stays"}, displayName="after")
    pipeline.drain()
    pipeline.assert_equal("teams")
    assert ("clickhouse", Kind.MISSING) in found(pipeline)
    repair(pipeline, external)


def test_an_external_database_is_restored(pipeline: Harness, external: External, tenancy: UUID) -> None:
    """Its checkpoints are in it: whoever asks what it lacks is told the truth."""
    place = psycopg.conninfo.conninfo_to_dict(external.url)["dbname"]
    names = {"database": sql.Identifier(str(place)), "backup": sql.Identifier(f"{place}_backup")}
    with psycopg.connect(pipeline.server.postgres.url(), autocommit=True) as server:
        server.execute(sql.SQL("create database {backup} template {database}").format(**names))
        change(pipeline, tenancy)
        pipeline.drain()
        server.execute(sql.SQL("drop database {database} with (force)").format(**names))
        server.execute(sql.SQL("alter database {backup} rename to {database}").format(**names))
    assert ("postgres", Kind.MISSING) in found(pipeline)
    for enabled in (False, True):
        pipeline.admin.execute("update dbsync.destination set enabled = %s where tenancy_id = %s", [enabled, tenancy])
    pipeline.drain()
    external.assert_equal(*MAPPINGS)
    assert found(pipeline) == set()


def test_the_highest_number_of_a_copy_may_be_that_of_a_deleted_row(pipeline: Harness) -> None:
    """Though the user's profile, by `final = 1`, shows none: what is numbered anew has to rise above it."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.team(tenancy)
    pipeline.drain()
    pipeline.app.delete("Team", tenancyId=tenancy)
    pipeline.drain()
    highest = max(row["sync_sequence_id"] for row in pipeline.versions("teams"))
    pipeline.clickhouse.execute(f"truncate table {pipeline.names.checkpoint}")
    with ClickHouse(pipeline.server.clickhouse.url, settings={"final": 1}) as clickhouse:
        teams = pipeline.catalog.mapping("teams")
        copy = ClickHouseCopy(clickhouse, pipeline.catalog, teams, pipeline.names, Scope())
        assert copy.newest() == (str(tenancy), highest)
