"""External databases of tenancies' owners."""

from dbsync_pipeline_tests.harness import Harness


def test_a_change_reaches_the_owners_database(pipeline: Harness) -> None:
    app = pipeline.app
    mine, other = app.tenancy(), app.tenancy()
    user = app.user(mine)
    app.user(other)
    external = pipeline.configure_external(mine)
    pipeline.drain()
    (row,) = external.view("users")
    assert row["id"] == user
    app.delete("ProjectUser", projectUserId=user)
    pipeline.drain()
    assert external.view("users") == []
