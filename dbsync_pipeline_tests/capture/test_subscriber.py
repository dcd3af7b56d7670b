"""A source that is written by logical replication, as one is while it moves to another server."""

from collections.abc import Generator

import pytest
from psycopg import sql

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline_tests import harness
from dbsync_pipeline_tests.replica.conftest import with_settings

SETTINGS = {"wal_level": "logical", "max_wal_senders": "4"}


@pytest.fixture
def server(
    tmp_path_factory: pytest.TempPathFactory, clickhouse_server: EmbeddedClickHouse, pipeline_server: harness.Server
) -> Generator[harness.Server]:
    """A Postgres that publishes, with the template of a source, beside the ClickHouse of all tests."""
    with with_settings(EmbeddedPostgres(tmp_path_factory.mktemp("logical"), durable=False), SETTINGS) as postgres:
        harness.build_template(postgres, "template_source")
        yield harness.Server(postgres, clickhouse_server, "template_source", pipeline_server.clickhouse_database)


def test_what_logical_replication_writes_is_captured(server: harness.Server) -> None:
    """I3: what it inserts fires no trigger of a statement; tenancies come by it, and what feeds other rows."""
    publisher, subscriber = harness.Harness(server), harness.Harness(server)
    try:
        publisher.admin.execute("create publication everything for tables in schema public")
        publisher.admin.execute("select pg_create_logical_replication_slot('moving', 'pgoutput')")
        subscriber.admin.execute(
            sql.SQL(
                "create subscription moving connection {} publication everything "
                "with (create_slot = false, copy_data = false)"
            ).format(sql.Literal(publisher.url))
        )
        tenancy = publisher.app.tenancy()
        user = publisher.app.user(tenancy)
        while not subscriber.value('select exists (select from "ProjectUser")'):
            pass
        subscriber.assert_synced()
        assert [row["id"] for row in subscriber.view("users")] == [user]
        publisher.app.channel(tenancy, user, value="late@example.com", isPrimary="TRUE")
        while not subscriber.value('select exists (select from "ContactChannel")'):
            pass
        subscriber.assert_synced()
        assert [row["primary_email"] for row in subscriber.view("users")] == ["late@example.com"]
        publisher.app.run('truncate "ContactChannel"')
        while subscriber.value('select exists (select from "ContactChannel")'):
            pass
        subscriber.assert_synced()
        assert [row["primary_email"] for row in subscriber.view("users")] == [None]
        assert subscriber.view("contact_channels") == []
    finally:
        subscriber.admin.execute("drop subscription if exists moving")
        subscriber.close()
        publisher.close()
