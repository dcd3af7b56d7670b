"""What is made in an external database, what is left alone there, and what becomes of what its owner changes."""

import threading
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline_tests.harness import External, Harness

_CATALOGUE = """
    select 'table', oid::text, xmin::text from pg_class where relnamespace = 'dbsync'::regnamespace
    union all select 'column', attrelid::text || '.' || attnum, xmin::text from pg_attribute
        where attrelid in (select oid from pg_class where relnamespace = 'dbsync'::regnamespace)
    union all select 'schema', oid::text, xmin::text from pg_namespace where nspname = 'dbsync'
    union all select 'words', objoid::text || '.' || objsubid, xmin::text from pg_description
        where objoid in (select oid from pg_class where relnamespace = 'dbsync'::regnamespace)
    order by 1, 2
"""


@pytest.fixture
def tenancy(pipeline: Harness) -> UUID:
    return pipeline.app.tenancy()


@pytest.fixture
def external(pipeline: Harness, tenancy: UUID) -> External:
    """A database with a team and a user in it."""
    pipeline.app.team(tenancy, displayName="team")
    pipeline.app.user(tenancy, displayName="first")
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    external.assert_equal()
    return external


@pytest.fixture
def role(pipeline: Harness) -> Iterator[str]:
    name = f"reader_{pipeline.database}"
    pipeline.admin.execute(sql.SQL("create role {} login password 'reader'").format(sql.Identifier(name)))
    yield name
    externals = [name for (name,) in pipeline.rows("select datname from pg_database where datname like 'test%%'")]
    for database in externals:
        with psycopg.connect(pipeline.server.postgres.url(database), autocommit=True) as connection:
            connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
    pipeline.admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def failures(pipeline: Harness) -> dict[str, str]:
    """Work for one turn at every database; return what failed, by mapping."""
    pipeline.sequence()
    results = pipeline.sync_external(errors=True)
    return {entry.delivery.pair.mapping_id: entry.delivery.error for entry in results if entry.delivery.error}


def test_objects_are_made_once(pipeline: Harness, external: External, tenancy: UUID) -> None:
    """D29: no later sync, and no other worker, writes a row of the catalogue."""
    before = external.run(_CATALOGUE)
    for number in range(3):
        pipeline.app.user(tenancy, displayName=str(number))
        pipeline.drain()
    assert external.run(_CATALOGUE) == before
    assert len(external.view("users")) == 4


def test_forty_workers_make_them_at_the_same_time(pipeline: Harness, tenancy: UUID) -> None:
    """D29, D30: under a lock; none fails, and the checkpoint table is there with the others."""
    external = pipeline.configure_external(tenancy)
    tables, mappings = pipeline.pipeline.external_tables, pipeline.catalog.mappings
    errors: list[BaseException] = []
    together = threading.Barrier(40)

    def make() -> None:
        try:
            session = pipeline.pipeline.external_session(external.url)
            together.wait()
            with session.turn() as connection:
                tables.prepare(connection, session.place)
                for mapping in tables.outdated(tables.listing(connection), mappings):
                    tables.install(connection, mapping, session.place)
            session.close()
        except BaseException as error:  # noqa: BLE001 -- looked at below.
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert external.run("select count(*) from dbsync.sync_installed") == [(len(mappings),)]
    assert external.run("select count(*) from dbsync.sync_checkpoint") == [(0,)]


@pytest.mark.parametrize(
    "theirs",
    [
        "create table dbsync.orders (id int)", "create view dbsync.users as select 1",
        "create function dbsync.f() returns int language sql as 'select 1'", "create type dbsync.t as enum ('a')",
        "create sequence dbsync.s", "create domain dbsync.d as int",
    ],
)  # fmt: skip
def test_a_schema_that_holds_anything_is_refused(pipeline: Harness, tenancy: UUID, theirs: str) -> None:
    """D25: it is named, and nothing in it is touched or granted on."""
    external = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    external.run(f"create schema dbsync; {theirs}")
    before = external.run(_CATALOGUE)
    message = failures(pipeline)["users"]
    assert "schema dbsync at" in message
    assert "which dbsync did not make" in message
    assert "DBSYNC_EXTERNAL_SCHEMA" in message
    assert external.run(_CATALOGUE) == before
    external.run("drop schema dbsync cascade; create schema dbsync")
    pipeline.drain()
    external.assert_equal()


def test_tables_of_the_same_names_elsewhere_are_untouched(pipeline: Harness, tenancy: UUID, role: str) -> None:
    """D25: the reproduced one: an unrelated table `users` became readable by everyone."""
    external = pipeline.configure_external(tenancy)
    external.run("create table public.users (id int); insert into public.users values (1)")
    acl = "select relacl::text from pg_class where oid = 'public.users'::regclass"
    before = external.run(acl)
    pipeline.app.user(tenancy)
    pipeline.drain()
    assert external.run(acl) == before
    assert external.run("select * from public.users") == [(1,)]
    assert external.run(f"select has_table_privilege('{role}', 'public.users', 'select')") == [(False,)]


def test_the_source_itself_is_refused(pipeline: Harness, tenancy: UUID) -> None:
    external = pipeline.configure_external(tenancy, url=pipeline.url)
    pipeline.app.user(tenancy)
    before = external.run(_CATALOGUE)
    assert "which dbsync did not make" in failures(pipeline)["users"]
    assert external.run(_CATALOGUE) == before


def test_one_table_in_the_way_stops_its_mapping_alone(pipeline: Harness, external: External, tenancy: UUID) -> None:
    """D19, D25: somebody put a table of their own where ours was."""
    external.run("drop table dbsync.users; create table dbsync.users (theirs int)")
    pipeline.app.update("ProjectUser", {"tenancyId": tenancy}, displayName="second")
    pipeline.app.update("Team", {"tenancyId": tenancy}, displayName="second")
    pipeline.sequence()
    for _ in range(3):
        errors = failures(pipeline)
    assert list(errors) == ["users"]
    external.assert_equal("teams")
    assert external.run("select column_name from information_schema.columns where table_name = 'users'") == [
        ("theirs",)
    ]
    external.run("drop table dbsync.users")
    pipeline.drain()
    external.assert_equal()


@pytest.mark.parametrize(
    "loss",
    [
        "drop table dbsync.users", "drop table dbsync.sync_checkpoint", "truncate dbsync.sync_checkpoint",
        "drop table dbsync.users, dbsync.sync_checkpoint", "drop schema dbsync cascade",
        "alter table dbsync.users drop column display_name",
    ],
)  # fmt: skip
@pytest.mark.parametrize("changed", ["users", "teams"])
def test_what_its_owner_drops_is_made_and_filled_again(
    pipeline: Harness, external: External, tenancy: UUID, loss: str, changed: str
) -> None:
    """Also when it is another table's change that brings a worker there; and what is gone meanwhile is gone."""
    pipeline.app.user(tenancy, displayName="stays")
    pipeline.drain()
    external.run(loss)
    pipeline.app.delete("ProjectUser", displayName="first")
    if changed == "users":
        pipeline.app.user(tenancy, displayName="new")
    else:
        pipeline.app.update("Team", {"tenancyId": tenancy}, displayName="renamed")
    for _ in range(3):
        failures(pipeline)
    pipeline.drain()
    external.assert_equal()
    assert len(external.view("users")) == (2 if changed == "users" else 1)


@pytest.mark.parametrize("column", ["version", "recorded_at"])
@pytest.mark.parametrize("empty", [True, False])
def test_books_that_lost_a_column_are_this_databases_own_trouble(
    pipeline: Harness, external: External, tenancy: UUID, column: str, empty: bool
) -> None:
    """I8: it backs off and says so, instead of ending its worker, which another would follow at once."""
    external.run(f"alter table dbsync.sync_checkpoint drop column {column}")
    pipeline.app.user(pipeline.app.tenancy() if empty else tenancy)
    pipeline.sequence()
    if empty:
        last = "(select last_sequence_id from dbsync.sequencer)"
        pipeline.admin.execute(f"update dbsync.pending set wanted = {last} where destination_id like 'postgres:%%'")
    # Of a session that was open all the while, too.
    with pipeline.external_worker(external.destination_id) as worker:
        for _ in range(2):
            errors = {entry.delivery.error for entry in worker.run_once()}
            assert any(f'column "{column}"' in str(error) for error in errors)
    said = "select count(*) from dbsync.pending where last_error like %s and next_attempt_at > '-infinity'"
    assert pipeline.value(said, f'%column "{column}"%')
    external.run("drop schema dbsync cascade")
    pipeline.drain()
    external.assert_equal()


def test_checkpoints_are_lost_while_a_session_is_open(pipeline: Harness, external: External, tenancy: UUID) -> None:
    with pipeline.external_worker(external.destination_id) as worker:
        for number in range(2):
            pipeline.app.user(tenancy, displayName=str(number))
            pipeline.sequence()
            assert [entry.delivery.error for entry in worker.run_once()] == [None]
            external.run("drop table dbsync.sync_checkpoint")
    pipeline.drain()
    external.assert_equal()


def test_two_databases_differ_in_what_was_dropped_and_configured_anew(
    pipeline: Harness, external: External, tenancy: UUID
) -> None:
    """Checkpoints lost, and the destination a new one: rows that are gone still leave."""
    external.run("drop table dbsync.sync_checkpoint")
    pipeline.admin.execute("delete from dbsync.destination where destination_id = %s", [external.destination_id])
    pipeline.app.delete("ProjectUser", displayName="first")
    pipeline.sequence()
    again = pipeline.configure_external(tenancy, url=external.url)
    pipeline.drain()
    again.assert_equal()


def changed_mapping(pipeline: Harness, **columns: dict[str, object] | None) -> SyncMapping:
    """Return the mapping `users` with other columns: None leaves one out."""
    mapping = pipeline.catalog.mapping("users")
    kept = [
        entry.model_copy(update=columns.get(entry.name) or {})
        for entry in mapping.columns
        if columns.get(entry.name, {}) is not None
    ]
    # Not a copy of the model, which would keep what was worked out for the columns of before.
    fields = {name: getattr(mapping, name) for name in SyncMapping.model_fields}
    return SyncMapping.model_construct(**{**fields, "columns": tuple(kept)})


def install(pipeline: Harness, external: External, mapping: SyncMapping) -> str:
    """Bring a table to what a mapping has become, as a worker would; return what it says against it."""
    session, tables = pipeline.pipeline.external_session(external.url), pipeline.pipeline.external_tables
    try:
        with session.turn() as connection:
            for entry in tables.outdated(tables.listing(connection), [mapping]):
                tables.install(connection, entry, session.place)
    except Exception as error:  # noqa: BLE001 -- looked at by who asks.
        return str(error)
    finally:
        session.close()
    return ""


def columns_of(external: External) -> dict[str, bool]:
    found = external.run(
        "select column_name::text, is_nullable = 'YES' from information_schema.columns "
        "where table_schema = 'dbsync' and table_name = 'users'"
    )
    return dict(found)


def test_a_mapping_loses_and_gains_columns(pipeline: Harness, external: External) -> None:
    """D45: a column that came back is empty, so that all rows are delivered anew."""
    whole = pipeline.catalog.mapping("users")
    assert install(pipeline, external, changed_mapping(pipeline, display_name=None, is_anonymous=None)) == ""
    assert {"display_name", "is_anonymous"} & columns_of(external).keys() == set()
    assert install(pipeline, external, whole) == ""
    assert (columns_of(external)["display_name"], columns_of(external)["is_anonymous"]) == (True, False)
    assert external.run("select version from dbsync.sync_checkpoint where mapping_id = 'users'") == [("",)]
    pipeline.app.team(external.tenancy)
    pipeline.drain()
    external.assert_equal()
    assert install(pipeline, external, changed_mapping(pipeline, is_anonymous={"nullable": True})) == ""
    assert columns_of(external)["is_anonymous"] is True
    before = external.run(_CATALOGUE)
    assert "column is_anonymous is boolean, not text" in install(
        pipeline, external, changed_mapping(pipeline, is_anonymous={"type": "text"})
    )
    assert external.run(_CATALOGUE) == before


def test_columns_of_its_owner_stay(pipeline: Harness, external: External) -> None:
    """What was not made here is not dropped here, and stops nothing unless it is in the way."""
    external.run("alter table dbsync.users add column score int, add column later text")
    external.run("update dbsync.users set score = 7")
    assert install(pipeline, external, changed_mapping(pipeline, display_name=None)) == ""
    assert external.run("select score from dbsync.users") == [(7,)]
    message = install(pipeline, external, changed_mapping(pipeline, profile_image_url={"name": "later"}))
    assert "column later that dbsync did not make" in message


def test_everyone_reads_and_nobody_else_writes(pipeline: Harness, external: External, role: str) -> None:
    """A7: PUBLIC by default; how far it is, readers need not know."""
    connect = psycopg.conninfo.make_conninfo(external.url, user=role, password="reader")
    with psycopg.connect(connect, autocommit=True) as reader:
        assert reader.execute("select display_name from dbsync.users").fetchall() == [("first",)]
        for statement in (
            *("insert into dbsync.users select * from dbsync.users", "update dbsync.users set display_name = ''"),
            *("delete from dbsync.users", "truncate dbsync.users", "drop table dbsync.users"),
            *("select * from dbsync.sync_checkpoint", "delete from dbsync.sync_checkpoint"),
            *("select * from dbsync.sync_installed", "create table dbsync.mine (id int)"),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


def test_one_role_reads(pipeline: Harness, tenancy: UUID, role: str) -> None:
    pipeline.configure(external_readers=role)
    pipeline.app.user(tenancy, displayName="first")
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    connect = psycopg.conninfo.make_conninfo(external.url, user=role, password="reader")
    with psycopg.connect(connect, autocommit=True) as reader:
        assert reader.execute("select display_name from dbsync.users").fetchall() == [("first",)]
    granted = external.run(
        "select distinct grantee::regrole::text from pg_class, aclexplode(relacl) "
        "where relnamespace = 'dbsync'::regnamespace and grantee <> relowner"
    )
    assert granted == [(role,)]
