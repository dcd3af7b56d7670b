"""Tombstones that everybody has had are removed, and whoever comes back from before them is told all the same."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from psycopg import sql

from dbsync_pipeline.controls import Part, resync
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.retention import purge
from dbsync_pipeline_tests.harness import External, Harness, init_source
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedWorker, kill


def purged(pipeline: Harness, *, days: float = 0) -> int:
    """Purge, and return how many tombstones went."""
    return purge(pipeline.admin, pipeline.catalog, days=days).tombstones


def tombstones(pipeline: Harness) -> int:
    return pipeline.value("select count(*) from dbsync.tombstone")


def delete_user(pipeline: Harness, user: UUID) -> None:
    pipeline.app.delete("ProjectUser", projectUserId=user)


def test_what_is_old_and_everywhere_goes_and_nothing_else(pipeline: Harness) -> None:
    ours, theirs = pipeline.app.tenancy(), pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy) for tenancy in (ours, theirs, theirs)]
    pipeline.configure_external(theirs)
    pipeline.drain()
    for user in users[:2]:
        delete_user(pipeline, user)
    assert purged(pipeline) == 0, "without a number"
    pipeline.sequence()
    assert purged(pipeline) == 0, "not delivered"
    pipeline.sync()
    assert purged(pipeline, days=1) == 0, "too young"
    pipeline.admin.execute("update dbsync.tombstone set created_at = created_at - interval '2 days'")
    assert purged(pipeline, days=1) == 1, "one copy lacks the other"
    pipeline.sync_external()
    delete_user(pipeline, users[2])
    assert purged(pipeline, days=1) == 1
    highest = pipeline.value("select max(sequence_id) from dbsync.purged")
    assert pipeline.rows("select tenancy_id, mapping_id, sequence_id < %s from dbsync.purged", highest) == [
        (ours, "users", True),
        (theirs, "users", False),
    ]
    assert tombstones(pipeline) == 1
    pipeline.assert_synced()


def test_every_page_is_looked_at(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbsync_pipeline.retention._PAGES_AT_ONCE", 1)
    tenancy = pipeline.app.tenancy()
    pipeline.drain()
    pipeline.admin.execute(
        "insert into dbsync.tombstone (mapping_id, tenancy_id, identity, sequence_id) "
        "select 'users', %s, jsonb_build_object('tenancyId', %s::text, 'projectUserId', gen_random_uuid()), n "
        "from generate_series(1, 500) n",
        [tenancy, str(tenancy)],
    )
    assert purged(pipeline) == 500
    assert pipeline.rows("select * from dbsync.purged") == [(tenancy, "users", 500)]


@pytest.fixture
def away(pipeline: Harness) -> External:
    """A database with two users."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    assert len(external.view("users")) == 2
    return external


def forget(pipeline: Harness, external: External) -> None:
    pipeline.admin.execute("delete from dbsync.destination where destination_id = %s", [external.destination_id])


def configure(pipeline: Harness, external: External, column: str, value: object) -> None:
    statement = sql.SQL("update dbsync.destination set {} = %s where destination_id = %s").format(
        sql.Identifier(column)
    )
    pipeline.admin.execute(statement, [value, external.destination_id])


def back_up(_pipeline: Harness, external: External) -> None:
    external.run("create schema backup")
    for table in ("users", "sync_checkpoint"):
        external.run(f"create table backup.{table} as table dbsync.{table}")


def restore(pipeline: Harness, external: External) -> None:
    for table in ("users", "sync_checkpoint"):
        external.run(f"truncate dbsync.{table}")
        external.run(f"insert into dbsync.{table} select * from backup.{table}")
    pipeline.app.user(external.tenancy)


def back_up_clickhouse(pipeline: Harness, _external: External) -> None:
    internal = pipeline.names.internal
    for table in ("users", "sync_checkpoint"):
        pipeline.clickhouse.execute(
            f"create table {internal}.backup_{table} engine = MergeTree order by tuple() "
            f"as select * from {internal}.{table}"
        )


def restore_clickhouse(pipeline: Harness, external: External) -> None:
    internal = pipeline.names.internal
    for table in ("users", "sync_checkpoint"):
        pipeline.clickhouse.execute(f"truncate table {internal}.{table}")
        pipeline.clickhouse.execute(f"insert into {internal}.{table} select * from {internal}.backup_{table}")
        pipeline.clickhouse.execute(f"drop table {internal}.backup_{table}")
    pipeline.app.user(external.tenancy)


Way = Callable[[Harness, External], object]
WAYS: dict[str, tuple[Way, Way]] = {
    "removed, added again": (
        forget,
        lambda pipeline, external: pipeline.configure_external(external.tenancy, url=external.url),
    ),
    "removed, added by another name": (
        forget,
        lambda pipeline, external: pipeline.configure_external(external.tenancy, "second", url=external.url),
    ),
    "disabled, enabled again": (
        lambda pipeline, external: configure(pipeline, external, "enabled", value=False),
        lambda pipeline, external: configure(pipeline, external, "enabled", value=True),
    ),
    "narrowed, widened again": (
        lambda pipeline, external: configure(pipeline, external, "mappings", ["teams"]),
        lambda pipeline, external: configure(pipeline, external, "mappings", None),
    ),
    "restored from a backup": (back_up, restore),
    "clickhouse, restored from a backup": (back_up_clickhouse, restore_clickhouse),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_comes_back_keeps_nothing_that_is_gone(pipeline: Harness, away: External, way: str) -> None:
    go, come_back = WAYS[way]
    go(pipeline, away)
    pipeline.drain()
    ((gone,),) = pipeline.rows('select "projectUserId" from "ProjectUser" limit 1')
    delete_user(pipeline, gone)
    pipeline.drain()
    assert purged(pipeline) == 1
    pipeline.app.team(away.tenancy)
    come_back(pipeline, away)
    pipeline.drain()
    away.assert_equal()
    pipeline.assert_equal()


def leave_a_gap(pipeline: Harness, external: External, *mapping_ids: str) -> None:
    """Delete and purge while the database is away, and have it come back with other changes to be delivered."""
    forget(pipeline, external)
    ((gone,),) = pipeline.rows('select "projectUserId" from "ProjectUser" limit 1')
    delete_user(pipeline, gone)
    pipeline.drain()
    assert purged(pipeline) == 1
    pipeline.configure_external(external.tenancy, url=external.url, mappings=[*mapping_ids])
    pipeline.app.user(external.tenancy)
    pipeline.sequence()


def test_a_gap_is_closed_although_the_worker_dies(pipeline: Harness, away: External) -> None:
    """The deletion is in the source before the checkpoint says that nothing is missing."""
    leave_a_gap(pipeline, away, "users")
    work = Steps()
    worker = WatchedWorker(pipeline, external=away, tell=work.wait)
    work.start(worker.cycle.run_once)
    work.until("delivered")
    kill(pipeline, worker.sessions)
    work.abandon()
    worker.close()
    forget(pipeline, away)
    pipeline.configure_external(away.tenancy, url=away.url, mappings=["users"])
    pipeline.drain()
    away.assert_equal("users")


def test_a_load_of_many_turns_is_swept_once(pipeline: Harness, away: External, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.configure(chunk_rows=1)
    swept: list[str] = []
    sweep = Pipeline.sweep_external

    def counted(*arguments: Any) -> None:
        swept.append(arguments[3].mapping_id)
        sweep(*arguments)

    monkeypatch.setattr(Pipeline, "sweep_external", counted)
    leave_a_gap(pipeline, away, "users")
    for _ in range(3):
        pipeline.app.user(away.tenancy)
    # All of it again, and a tombstone that everybody had lies above the first turns.
    resync(pipeline.admin, pipeline.catalog, Part(str(away.tenancy), destination_id=away.destination_id))
    pipeline.drain()
    assert swept == ["users"]
    away.assert_equal("users")


def test_what_cannot_be_swept_is_not_delivered_and_keeps_nothing_else(pipeline: Harness, away: External) -> None:
    """The copy holds a number that no tombstone could exceed."""
    leave_a_gap(pipeline, away, "users", "teams")
    pipeline.app.team(away.tenancy)
    pipeline.sequence()
    away.run("update dbsync.users set sync_sequence_id = %s", (1 << 62) + 1)
    errors = {entry.delivery.pair.mapping_id: entry.delivery.error for entry in pipeline.sync_external(errors=True)}
    assert "which no change can exceed" in (errors["users"] or "")
    assert errors["teams"] is None
    assert len(away.view("users")) == 2
    away.assert_equal("teams")


def test_a_mapping_that_returns_keeps_nothing_that_is_gone(pipeline: Harness, away: External) -> None:
    """While it was not there, nobody wrote tombstones for it."""
    everything = pipeline.catalog.mappings
    without = replace(pipeline.catalog, mappings=tuple(entry for entry in everything if entry.mapping_id != "users"))
    pipeline.pipeline.__dict__["catalog"] = without
    init_source(pipeline.pipeline, pipeline.admin)
    ((gone,),) = pipeline.rows('select "projectUserId" from "ProjectUser" limit 1')
    delete_user(pipeline, gone)
    assert tombstones(pipeline) == 0
    pipeline.pipeline.__dict__["catalog"] = replace(without, mappings=everything)
    init_source(pipeline.pipeline, pipeline.admin)
    pipeline.drain()
    away.assert_equal("users")
    pipeline.assert_equal("users")
