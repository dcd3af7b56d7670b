"""The application's tables change under a running pipeline: it says so, for what reads them, and loses nothing."""

import psycopg
import pytest

from dbsync_pipeline.cli.sync import drain
from dbsync_pipeline.engine.cycle import Selection, SyncResult
from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.status import read_status
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import Harness, init_source


def failed(results: list[SyncResult]) -> dict[str, str]:
    return {entry.delivery.pair.mapping_id: entry.delivery.error for entry in results if entry.delivery.error}


def errors(pipeline: Harness) -> list[dict[str, str]]:
    """Number all there is; return what fails in one turn at ClickHouse, and at external databases, by mapping."""
    pipeline.sequence()
    with pipeline.worker() as worker:
        inside = worker.run_once()
    return [failed(inside), failed(pipeline.sync_external(errors=True))]


@pytest.mark.parametrize(
    ("altered", "back", "mappings", "said"),
    [
        (
            'alter table "Team" rename "profileImageUrl" to "picture"',
            'alter table "Team" rename "picture" to "profileImageUrl"',
            ["teams"],
            "column source.profileImageUrl does not exist",
        ),
        (
            'alter table "Team" drop "profileImageUrl"',
            'alter table "Team" add "profileImageUrl" text',
            ["teams"],
            "column source.profileImageUrl does not exist",
        ),
        (
            'alter table "ContactChannel" rename "isVerified" to "verified"',
            'alter table "ContactChannel" rename "verified" to "isVerified"',
            ["contact_channels", "users"],
            "isVerified does not exist",
        ),
        (
            'alter table "Team" alter "profileImageUrl" type varchar(100)',
            'alter table "Team" alter "profileImageUrl" type text',
            [],
            "",
        ),
    ],
    ids=["renamed", "dropped", "renamed in a joined table", "retyped"],
)
def test_a_column_that_is_altered_stops_what_reads_it(
    pipeline: Harness, altered: str, back: str, mappings: list[str], said: str
) -> None:
    """I3, I8: the application goes on, in sessions of before and after; what it writes meanwhile is not forgotten."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy, email="a@example.com")
    team, *gone = (pipeline.app.team(tenancy) for _ in range(3))
    external = pipeline.configure_external(tenancy)

    def write(app: Application, name: str) -> None:
        app.update("Team", {"teamId": team}, displayName=name)
        app.update("ContactChannel", {"projectUserId": user}, value=f"{name}@example.com")
        app.update("ProjectUser", {"projectUserId": user}, displayName=name)

    write(pipeline.app, "before")
    pipeline.app.delete("Team", teamId=gone[0])
    pipeline.drain()
    pipeline.admin.execute(altered)
    write(pipeline.app, "old session")
    pipeline.app.delete("Team", teamId=gone[1])
    with pipeline.write() as db:
        write(Application(db), "new session")
        Application(db).account(tenancy, user)
    for found in errors(pipeline):
        assert list(found) == mappings
        assert said in "".join(found.values())
    pipeline.admin.execute(back)
    pipeline.assert_synced()
    external.assert_equal()


def test_a_table_that_is_gone_stops_its_mapping(pipeline: Harness) -> None:
    """I8: everything else is numbered, delivered, and shown; nothing that was delivered is taken back."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.app.replay(tenancy, user)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    pipeline.admin.execute('drop table "SessionReplayChunk", "SessionReplay" cascade')
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="after")
    drained = drain(pipeline.pipeline, Selection())
    (message,) = drained.failures
    assert 'table SessionReplay cannot be numbered: type "public.SessionReplay" does not exist' in message
    status = read_status(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)
    assert {entry.mapping_id for entry in status.mappings if entry.last_error} == {"session_replays"}
    compared = list(verify(pipeline.pipeline, Choice(), patience_seconds=0))
    assert {(entry.mapping_id, entry.differing) for entry in compared if entry.error} == {("session_replays", 0)}
    assert len(compared) == 2 * len(pipeline.catalog.mappings)
    pipeline.assert_equal("users")
    external.assert_equal("users")
    assert len(pipeline.view("session_replays")) == len(external.view("session_replays")) == 1
    with pytest.raises(MappingError, match="the source has no table 'SessionReplay"):
        init_source(pipeline.pipeline, pipeline.admin)


def test_a_key_is_neither_dropped_nor_retyped(pipeline: Harness) -> None:
    """I3: Postgres itself refuses it; what happens when one is renamed, test_missed.py shows."""
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="dbsync_update"):
        pipeline.admin.execute('alter table "ContactChannel" drop "id"')
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="used in a trigger definition"):
        pipeline.admin.execute('alter table "ContactChannel" alter "id" type text')


def test_a_key_that_is_renamed_is_not_changed(pipeline: Harness) -> None:
    """I3: by its new name nothing is known of it; an update that leaves it as it is misses nothing."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.project_permission(tenancy, pipeline.app.user(tenancy), "p")
    pipeline.drain()
    table = '"ProjectUserDirectPermission"'
    pipeline.admin.execute(f'alter table {table} rename "permissionId" to "name"')
    assert pipeline.app.run(f'update {table} set "name" = "name", "createdAt" = now()') == 1
    assert pipeline.rows("select from dbsync.missed") == []
    assert pipeline.app.run(f"update {table} set \"name\" = 'q'") == 1
    assert pipeline.rows("select mapping_id, what from dbsync.missed") == [("project_permissions", "deletion")]
    pipeline.admin.execute(f'alter table {table} rename "name" to "permissionId"')
    pipeline.assert_synced()
