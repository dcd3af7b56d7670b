"""A pair's very first load, and that nothing else is taken for one."""

from pathlib import Path

import yaml

from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY, TENANCY_FILE
from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import Harness, init_clickhouse, init_source


def test_a_first_load_leaves_tombstones_out(pipeline: Harness) -> None:
    """D61: a new copy of an old tenancy does not replay everything that was ever deleted."""
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy) for _ in range(5)]
    pipeline.sequence()
    for user in users[1:]:
        pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.drain()
    assert [(row["id"], row["sync_is_deleted"]) for row in pipeline.versions("users")] == [(users[0], 0)]
    pipeline.app.delete("ProjectUser", projectUserId=users[0])
    pipeline.drain()
    assert [row["sync_is_deleted"] for row in pipeline.versions("users")][-1] == 1
    assert pipeline.view("users") == []


def test_a_resync_brings_tombstones_too(pipeline: Harness) -> None:
    """What an earlier epoch delivered may have been deleted since."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.app.user(tenancy, displayName="kept")
    pipeline.drain()
    pipeline.app.delete("ProjectUser", displayName="kept")
    pipeline.sequence()
    pipeline.admin.execute("update dbsync.pending set epoch = epoch + 1, reached = 0, lease_worker = null")
    pipeline.assert_synced()
    assert len(pipeline.view("users")) == 1


def test_rows_deleted_while_a_first_load_goes_on(pipeline: Harness) -> None:
    """In chunks of two rows, with a delete between any two of them, of a row that was sent or was not."""
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy) for _ in range(9)]
    pipeline.configure(chunk_rows=2)
    pipeline.sequence()
    for first, last in zip(users[:4], reversed(users), strict=False):
        assert pipeline._worker.run_once() != []
        with pipeline.write() as db:
            for user in (first, last):
                Application(db).delete("ProjectUser", projectUserId=user)
        pipeline.sequence()
    pipeline.assert_synced()
    assert [row["id"] for row in pipeline.view("users")] == [users[4]]


def test_a_mapping_whose_rows_come_to_depend_on_another_table(
    pipeline: Harness, tmp_path: Path, clickhouse_database_prefix: str
) -> None:
    """Where its rows go has to be remembered from then on, also of those that were delivered long ago."""
    (tmp_path / TENANCY_FILE).write_text((BUILTIN_DIRECTORY / TENANCY_FILE).read_text())
    keys = {"tenancyId": "tenancyId", "projectUserId": "projectUserId"}
    owner = {"alias": "owner", "table": "ProjectUser", "on": keys}
    columns = [
        {"name": "id", "source": "id", "type": "uuid"},
        {"name": "owner_name", "value": 'owner."displayName"', "type": "text", "nullable": True},
    ]
    mapping = {
        "mapping": "sessions",
        "description": "Sessions.",
        "source": "ProjectUserRefreshToken",
        "key": ["id"],
        "tenancy": {"column": "tenancyId"},
        "columns": columns,
    }
    (tmp_path / "sessions.yaml").write_text(yaml.safe_dump({**mapping, "joins": [owner]}))
    pipeline.configure(mappings=str(tmp_path), clickhouse_database=clickhouse_database_prefix)
    init_source(pipeline.pipeline, pipeline.admin)
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, pipeline.names)
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy, displayName="Ada")
    session, gone = pipeline.app.session(tenancy, user), pipeline.app.session(tenancy, user)
    pipeline.app.run(
        'insert into "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt") '
        "values (%s, gen_random_uuid(), gen_random_uuid(), 'orphan', now())",
        tenancy,
    )
    pipeline.drain()
    assert sorted(str(row["owner_name"]) for row in pipeline.view("sessions")) == ["Ada", "Ada", "None"]
    (tmp_path / "sessions.yaml").write_text(yaml.safe_dump({**mapping, "joins": [{**owner, "required": True}]}))
    pipeline.configure()
    init_source(pipeline.pipeline, pipeline.admin)
    pipeline.drain()
    pipeline.app.delete("ProjectUserRefreshToken", id=gone)
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="Countess")
    pipeline.drain()
    shown = {row["id"]: row["owner_name"] for row in pipeline.view("sessions")}
    assert shown[session] == "Countess"
    assert gone not in shown
    pipeline.app.delete("ProjectUser", projectUserId=user)
    pipeline.drain()
    assert session not in {row["id"] for row in pipeline.view("sessions")}
