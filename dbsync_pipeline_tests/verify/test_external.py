"""An external database is compared with the source: what is the same is, and each kind of damage is found."""

import random
import uuid
from contextlib import closing

import pytest

from dbsync_pipeline.demo.application.mix import Application as DemoApplication
from dbsync_pipeline.destinations.configured import require_database
from dbsync_pipeline.verify.compare import Comparison, compare_external
from dbsync_pipeline_tests.harness import External, Harness


def compared(pipeline: Harness, external: External, mapping_id: str) -> Comparison:
    database = require_database(pipeline.admin, external.destination_id)
    with closing(pipeline.pipeline.external_session(database.connection)) as session:
        return compare_external(
            pipeline.admin,
            session,
            pipeline.catalog,
            pipeline.catalog.mapping(mapping_id),
            database=database,
            external_tables=pipeline.pipeline.external_tables,
        )


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
            assert found.differing == (), mapping.mapping_id
            assert found.source_rows == found.destination_rows == len(external.view(mapping.mapping_id))
            rows += found.source_rows
    assert rows > 0


DAMAGE = {
    "a missing row": "delete from dbsync.teams where display_name = 'one'",
    "an altered value": "update dbsync.teams set display_name = 'One' where display_name = 'one'",
    "a value that is not there any more": "update dbsync.teams set profile_image_url = null",
    "two values in each other's column": (
        "update dbsync.teams set client_metadata = server_metadata, server_metadata = client_metadata"
    ),
    "an extra row": "insert into dbsync.teams select tenancy_id, gen_random_uuid(), {columns} from dbsync.teams",
    "a row of another tenancy": "update dbsync.teams set tenancy_id = gen_random_uuid() where display_name = 'one'",
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
    assert compared(pipeline, external, "teams").differing == ()
    others = [
        column.name
        for column in pipeline.pipeline.external_tables.columns(pipeline.catalog.mapping("teams"))
        if column.name not in ("tenancy_id", "id")
    ]
    external.run(DAMAGE[damage].format(columns=", ".join(others)))
    assert compared(pipeline, external, "teams").differing == (str(tenancy),)


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
        assert (found.differing, found.source_rows, found.destination_rows) == ((), 1, 1)
