"""An external database is compared with the source: what is the same is, and each kind of damage is found."""

import random
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dbsync_pipeline.demo.application.mix import Application as DemoApplication
from dbsync_pipeline.erasure import erase
from dbsync_pipeline.verify.differences import Verified
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline_tests.harness import APPLICATION_ROLE, External, Harness
from dbsync_pipeline_tests.verify.looking import assert_mended, verified


def compared(pipeline: Harness, external: External, mapping_id: str) -> Verified:
    (found,) = verified(pipeline, Choice(mappings=[mapping_id], destinations=[external.destination_id]))
    return found


def test_equal_copies_compare_as_equal_in_every_mapping(pipeline: Harness) -> None:
    rng = random.Random(3)
    with pipeline.write() as db:
        demo = DemoApplication(db)
        demo.create_project(rng)
        for _ in range(120):
            demo.random_transaction(rng)
    tenancies = [tenancy for (tenancy,) in pipeline.rows('select id from "Tenancy"')]
    externals = [pipeline.configure_external(tenancy) for tenancy in tenancies]
    pipeline.drain()
    rows = 0
    for mapping in pipeline.catalog.mappings:
        for external in externals:
            found = compared(pipeline, external, mapping.mapping_id)
            assert found.differing == 0, mapping.mapping_id
            assert found.source_rows == found.destination_rows == len(external.view(mapping.mapping_id))
            rows += found.source_rows
    assert rows > 0


# What is done to the copy, and what is said of it: kind, columns.
DAMAGE = {
    "a missing row": (
        "delete from dbsync.teams where display_name = 'one'",
        [("missing", ())],
    ),
    "an altered value": (
        "update dbsync.teams set display_name = 'One' where display_name = 'one'",
        [("altered", ("display_name",))],
    ),
    "a value that is not there any more": (
        "update dbsync.teams set profile_image_url = null",
        [("altered", ("profile_image_url",))] * 2,
    ),
    "two values in each other's column": (
        "update dbsync.teams set client_metadata = server_metadata, server_metadata = client_metadata",
        [("altered", ("client_metadata", "server_metadata"))] * 2,
    ),
    "an extra row": (
        "insert into dbsync.teams select tenancy_id, gen_random_uuid(), {columns} from dbsync.teams limit 1",
        [("extra", ())],
    ),
    "a stale row": (
        "update dbsync.teams set display_name = 'old', sync_sequence_id = 0 where display_name = 'one'",
        [("stale", ("display_name",))],
    ),
    "a row from the future": (
        "update dbsync.teams set display_name = 'One', sync_sequence_id = 5000 where display_name = 'one'",
        [("ahead of the source", ()), ("altered", ("display_name",))],
    ),
    "a checkpoint ahead of its data": (
        "update dbsync.sync_checkpoint set sequence_id = 5000 where mapping_id = 'teams'",
        [("ahead of the source", ())],
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(pipeline: Harness, damage: str) -> None:
    app = pipeline.app
    tenancy = app.tenancy()
    for name in ("one", "two"):
        app.insert(
            "Team",
            tenancyId=tenancy,
            teamId=uuid.uuid4(),
            displayName=name,
            profileImageUrl=f"https://images/{name}",
            clientMetadata='{"a": 1}',
            serverMetadata='{"b": 2}',
            mirroredProjectId=f"project-{tenancy}",
            mirroredBranchId="main",
            updatedAt="2024-05-06",
        )
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    assert compared(pipeline, external, "teams").differing == 0
    others = [
        column.name
        for column in pipeline.pipeline.external_tables.columns(pipeline.catalog.mapping("teams"))
        if column.name not in ("tenancy_id", "id")
    ]
    statement, said = DAMAGE[damage]
    external.run(statement.format(columns=", ".join(others)))
    found = compared(pipeline, external, "teams")
    assert {entry.tenancy for entry in found.differences} == {str(tenancy)}
    assert sorted((entry.kind, entry.columns) for entry in found.differences) == said
    assert_mended(pipeline, "teams")
    assert {row["display_name"] for row in external.view("teams")} == {"one", "two"}


def test_another_tenancy_in_the_same_database_is_none_of_its_business(pipeline: Harness) -> None:
    app = pipeline.app
    ours, theirs = app.tenancy(), app.tenancy()
    app.user(ours)
    app.user(theirs)
    mine = pipeline.configure_external(ours)
    shared = pipeline.configure_external(theirs, url=mine.url)
    pipeline.drain()
    assert len(mine.view("users")) == 2
    for external in (mine, shared):
        found = compared(pipeline, external, "users")
        assert (found.differing, found.source_rows, found.destination_rows) == (0, 1, 1)


def test_a_row_of_a_tenancy_that_is_not_delivered_there(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    external.run("update dbsync.users set tenancy_id = gen_random_uuid()")
    found = compared(pipeline, external, "users")
    assert sorted((entry.kind, entry.repairable) for entry in found.differences) == [
        ("missing", True),
        ("wrong tenancy", False),
    ]


def test_a_deleted_row_that_came_back(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    external.run("create table kept as select * from dbsync.users")
    pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.drain()
    external.run("insert into dbsync.users select * from kept")
    assert [entry.kind for entry in compared(pipeline, external, "users").differences] == ["resurrected"]
    assert_mended(pipeline, "users")
    assert external.view("users") == []


def test_one_that_does_not_answer_is_told_and_the_others_are_compared(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked once, as each time takes until a time limit."""
    asked: list[str] = []
    connect = psycopg.connect

    def connecting(*arguments: Any, **options: Any) -> psycopg.Connection:
        asked.append(options.get("dbname", ""))
        return connect(*arguments, **options)

    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    alive = pipeline.configure_external(tenancy, "alive")
    pipeline.drain()
    dead = pipeline.configure_external(tenancy, "dead", url="postgresql://owner:sesame@127.0.0.1:1/shop")
    monkeypatch.setattr(psycopg, "connect", connecting)
    found = list(verify(pipeline.pipeline, Choice(mappings=["teams", "users"])))
    assert asked.count("shop") == 1
    errors = [entry.error for entry in found if entry.destination_id == dead.destination_id]
    assert ["127.0.0.1:1/shop" in str(error) for error in errors] == [True, True]
    others = {entry.destination_id: entry for entry in found if entry.mapping_id == "users"}
    assert others[alive.destination_id].error is None
    assert others[alive.destination_id].destination_rows == others["clickhouse"].destination_rows == 1


def test_a_table_that_takes_longer_to_read_than_a_statement_may_is_verified_and_erased(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a large one does; each row of this one takes its time, and a few bytes stand for many."""
    monkeypatch.setattr("dbsync_pipeline.destinations.postgres.session._GRACE_SECONDS", 0.1)
    monkeypatch.setattr("dbsync_pipeline.destinations.postgres.tables._SLOWEST_BYTES_PER_SECOND", 1_000)
    tenancy = pipeline.app.tenancy()
    for _ in range(2):
        pipeline.app.team(tenancy)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    external.run(
        f"""
        grant usage on schema dbsync to {APPLICATION_ROLE};
        grant select, delete on all tables in schema dbsync to {APPLICATION_ROLE};
        alter table dbsync.teams enable row level security;
        create policy slow on dbsync.teams using (pg_sleep(0.6) is not null)
        """
    )
    address = make_conninfo(external.url, user=APPLICATION_ROLE, password="application")
    pipeline.admin.execute("update dbsync.destination set connection = %s where kind = 'postgres'", [address])
    pipeline.configure(external_statement_seconds=1, erase_external="rows")
    found = compared(pipeline, external, "teams")
    assert (found.differing, found.source_rows, found.destination_rows) == (0, 2, 2)
    pipeline.app.delete("Tenancy", id=tenancy)
    pipeline.sequence()
    pipeline.sync()
    done = erase(pipeline.pipeline, str(tenancy))
    assert done.errors == {}
    held = {entry.table: (entry.before, entry.after) for entry in done.tables if entry.destination_id != "clickhouse"}
    assert held["teams"] == (2, 0)
    assert external.rows("teams") == []
