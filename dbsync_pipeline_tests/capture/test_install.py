"""`dbsync init` on a source: on one that is bare, on one that marks its own changes, and on one that has it already."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from dbsync_pipeline.capture import install
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.errors import DbsyncError, MappingError, NotInstalledError
from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY, TENANCY_FILE, load_catalog
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import SyncColumns
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings
from dbsync_pipeline.source import connect
from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import Harness, Server, create_application_role, init_source

ALWAYS = ["schema dbsync", "tenancies"]
"""Steps that a plan holds every time; they find nothing to do."""

OBJECTS = """
    select 'function ' || oid::regprocedure, xmin::text from pg_proc
        where pronamespace = 'dbsync'::regnamespace and proname <> 'uuid_or_null'
    union all select 'relation ' || oid::regclass, relfilenode::text from pg_class
        where relnamespace in ('dbsync'::regnamespace, 'public'::regnamespace)
    union all select 'trigger ' || oid, xmin::text from pg_trigger
    union all select 'row ' || tenancy_id, xmin::text from dbsync.tenancy
    union all select 'pending ' || tenancy_id || mapping_id, xmin::text from dbsync.pending
    order by 1
"""


@pytest.fixture
def bare(source_url: str) -> Iterator[psycopg.Connection]:
    """A source with the application's schema and nothing of ours."""
    with connect(source_url) as connection:
        create_schema(connection)
        yield connection


def pipeline_of(mappings: str = "builtin") -> Pipeline:
    """Return a deployment of which only the source matters, which tests hand over themselves."""
    url = SecretStr("postgresql://unused")
    return Pipeline(Settings(source_url=url, clickhouse_url=SecretStr("http://unused/"), mappings=mappings))


def titles(connection: psycopg.Connection, pipeline: Pipeline) -> list[str]:
    return [step.title for step in install.plan(connection, pipeline.catalog, pipeline.columns)]


def test_a_second_init_changes_nothing(pipeline: Harness) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.drain()
    before = pipeline.rows(OBJECTS)
    assert init_source(pipeline.pipeline, pipeline.admin) == ALWAYS
    assert pipeline.rows(OBJECTS) == before


def test_a_second_init_waits_for_nobody(pipeline: Harness) -> None:
    """Nor does anybody wait for it: an open transaction that has written every table, and those behind it, go on."""
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy, email="a@example.com"), pipeline.app.team(tenancy)
    pipeline.app.invitation(tenancy, team)
    pipeline.drain()
    pipeline.admin.execute("set lock_timeout = '1ms'")
    with pipeline.write() as db:
        app = Application(db)
        app.update("Team", {"teamId": team}, displayName="held")
        app.delete("ContactChannel", projectUserId=user)
        app.update("Tenancy", {"id": tenancy}, branchId="held")
        app.delete("ProjectUser", projectUserId=user)
        assert init_source(pipeline.pipeline, pipeline.admin) == ALWAYS
    pipeline.assert_synced()


@pytest.fixture
def copied(pipeline_server: Server, source_url: str) -> Iterator[Callable[[], Harness]]:
    """Return what makes a pipeline of a copy of this test's own source, to be called when that is prepared."""
    made: list[Harness] = []

    def copy() -> Harness:
        template = str(conninfo_to_dict(source_url)["dbname"])
        made.append(Harness(replace(pipeline_server, template=template)))
        return made[0]

    yield copy
    for harness in made:
        harness.close()


def test_rows_from_before_init_are_delivered(copied: Callable[[], Harness], source_url: str) -> None:
    with connect(source_url) as connection:
        create_schema(connection)
        create_application_role(connection)
        app = Application(connection)
        tenancy = app.tenancy()
        app.member(tenancy, app.team(tenancy), app.user(tenancy, email="early@example.com"))
        app.invitation(tenancy, app.team(tenancy))
    pipeline = copied()
    init_source(pipeline.pipeline, pipeline.admin)
    pipeline.assert_synced()
    assert len(pipeline.view("users")) == len(pipeline.view("team_invitations")) == 1


def test_a_tenancy_without_rows_is_not_pending_for_ever(copied: Callable[[], Harness], source_url: str) -> None:
    """I9: there is no id yet that anybody could reach."""
    with connect(source_url) as connection:
        create_schema(connection)
        create_application_role(connection)
        tenancy = Application(connection).tenancy()
    pipeline = copied()
    init_source(pipeline.pipeline, pipeline.admin)
    assert pipeline.pending() == []
    pipeline.drain()
    pipeline.app.user(tenancy)
    pipeline.assert_synced()
    assert len(pipeline.view("users")) == 1


def has_schema(connection: psycopg.Connection) -> bool:
    return connection.execute("select to_regnamespace('dbsync') is not null").fetchone() == (True,)


def test_an_interrupted_init_goes_on(bare: psycopg.Connection, tmp_path: Path) -> None:
    """After every single step, the next init finds what is left to do, and in the end nothing."""
    Application(bare).team(Application(bare).tenancy())
    pipeline = pipeline_of(write_mappings(tmp_path))
    wanted = titles(bare, pipeline)
    done: list[str] = []
    while set(titles(bare, pipeline)) != set(ALWAYS) or not has_schema(bare):
        steps = install.plan(bare, pipeline.catalog, pipeline.columns)
        missing = [step for step in steps if step.title not in done or step.title not in (*ALWAYS, wanted[1])]
        install.apply(bare, missing[:1], lambda step: None)
        done.append(missing[0].title)
        assert len(done) <= 2 * len(wanted)
    assert sorted(done) == sorted(wanted)


def test_nothing_works_before_init(bare: psycopg.Connection) -> None:
    with pytest.raises(NotInstalledError, match="connected_accounts is not installed"):
        require_installed(bare, load_catalog())


def indexes(connection: psycopg.Connection) -> dict[str, bool]:
    """Return the indexes of ours on the application's tables, and whether each is valid."""
    return dict(
        connection.execute(
            "select c.relname, i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid "
            "where c.relname like 'dbsync\\_%' and c.relnamespace = 'public'::regnamespace"
        ).fetchall()
    )


def test_indexes_are_built_beside_the_application(bare: psycopg.Connection) -> None:
    """S1 to S6: every index CONCURRENTLY, none inside a transaction, none by any other step."""
    pipeline = pipeline_of()
    for step in install.plan(bare, pipeline.catalog, pipeline.columns):
        text = " ".join(statement.as_string(bare) for statement in step.statements).lower()
        builds = "create index" in text and "dbsync." not in text.partition("create index")[2].partition(" on ")[2][:7]
        assert step.concurrently == builds, step.title
        assert not step.concurrently or "create index concurrently" in text or "drop index concurrently" in text


@pytest.mark.parametrize("leftover", ["of a failed build", "never finished", "of an earlier version"])
def test_an_index_that_is_no_good_is_built_anew(bare: psycopg.Connection, leftover: str) -> None:
    """S1 to S6, D17: what an interrupted build leaves behind is not taken for an index."""
    pipeline = pipeline_of()
    init_source(pipeline, bare)
    wanted = indexes(bare)
    assert set(wanted.values()) == {True}
    name = next(name for name in wanted if name.startswith("dbsync_ProjectUser_"))
    if leftover == "of a failed build":
        app = Application(bare)
        tenancy = app.tenancy()
        for _ in range(2):
            app.user(tenancy, displayName="same")
        bare.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))
        with pytest.raises(psycopg.errors.UniqueViolation):
            bare.execute(
                sql.SQL('create unique index concurrently {} on "ProjectUser" ("displayName")').format(
                    sql.Identifier(name)
                )
            )
        assert indexes(bare)[name] is False
    elif leftover == "never finished":
        bare.execute("update pg_index set indisvalid = false where indexrelid = %s::regclass", [f'"{name}"'])
    else:
        name = "dbsync_ProjectUser_0123456789"
        bare.execute(sql.SQL('create index {} on "ProjectUser" ("displayName")').format(sql.Identifier(name)))
    assert init_source(pipeline, bare) != ALWAYS
    assert indexes(bare) == wanted
    assert init_source(pipeline, bare) == ALWAYS


def test_an_index_serves_until_its_successor_does(bare: psycopg.Connection, tmp_path: Path) -> None:
    """I9: the sequencer goes on by the old mapping meanwhile, and would read whole tables."""
    init_source(pipeline_of(write_mappings(tmp_path)), bare)
    before = set(indexes(bare))
    changed = pipeline_of(write_mappings(tmp_path, filter="source.\"displayName\" <> 'hidden'"))
    steps = [title for title in titles(bare, changed) if title.startswith("index")]
    init_source(changed, bare)
    (outdated,) = before - set(indexes(bare))
    assert steps == ["index of Team", f"index {outdated}, left over"]


def test_an_index_of_a_table_that_was_set_aside_is_built_anew(bare: psycopg.Connection) -> None:
    """A migration that makes a table anew and keeps the old one leaves our index with that."""
    pipeline = pipeline_of()
    init_source(pipeline, bare)
    wanted = indexes(bare)
    bare.execute(
        'alter table "SessionReplay" rename to "Old"; create table "SessionReplay" (like "Old" including defaults); '
        'alter table "SessionReplay" add primary key ("tenancyId", "id")'
    )
    init_source(pipeline, bare)
    assert indexes(bare) == wanted
    assert init_source(pipeline, bare) == ALWAYS


def test_the_sync_columns_are_added_without_rewriting_the_table(bare: psycopg.Connection) -> None:
    """S1: a large table is locked for a moment only."""
    before = bare.execute("select relfilenode from pg_class where oid = '\"ProjectUser\"'::regclass").fetchone()
    init_source(pipeline_of(), bare)
    assert bare.execute("select relfilenode from pg_class where oid = '\"ProjectUser\"'::regclass").fetchone() == before


def test_init_gives_up_on_a_table_that_stays_locked(
    bare: psycopg.Connection, source_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1: it does not queue behind a long transaction, holding up everyone who comes after it."""
    monkeypatch.setattr(install, "_LOCK_TIMEOUT", "1ms")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    pipeline = pipeline_of()
    with connect(source_url, autocommit=False) as application:
        application.execute('lock table "Team" in row exclusive mode')
        with pytest.raises(DbsyncError, match=r"sync columns of Team: .* for too long"):
            init_source(pipeline, bare)
        assert bare.execute('select count(*) from "Team"').fetchone() == (0,)
        application.rollback()
    assert init_source(pipeline, bare) != ALWAYS
    assert init_source(pipeline, bare) == ALWAYS


@pytest.fixture
def legacy(copied: Callable[[], Harness], source_url: str) -> Harness:
    """A pipeline whose source has marked its own changes until now: numbered rows, and some that were never marked."""
    with connect(source_url) as connection:
        create_schema(connection, legacy=True)
        create_application_role(connection)
        app = Application(connection)
        tenancy = app.tenancy()
        for number in range(1, 5):
            app.user(tenancy, displayName=str(number), sequenceId=number * 11, shouldUpdateSequenceId=number == 4)
        app.user(tenancy, displayName="forgotten", shouldUpdateSequenceId=False)
        app.invitation(tenancy, app.team(tenancy, sequenceId=77), sequenceId=88, shouldUpdateSequenceId=False)
        old = {"tenancyId": tenancy, "tableName": "ProjectUser", "primaryKey": "{}", "sequenceId": 99}
        app.insert("DeletedRow", id=tenancy, **old)
    pipeline = copied()
    init_source(pipeline.pipeline, pipeline.admin)
    return pipeline


def test_a_source_that_marked_its_own_changes(legacy: Harness) -> None:
    """Rows keep their numbers, ours start above all of them, and nothing is left out."""
    ids = legacy.rows('select "sequenceId" from "ProjectUser" where not "shouldUpdateSequenceId" order by 1')
    assert ids == [(11,), (22,), (33,)]
    legacy.assert_synced()
    assert {row["display_name"] for row in legacy.view("users")} == {"1", "2", "3", "4", "forgotten"}
    assert len(legacy.view("team_invitations")) == 1
    assert legacy.value('select min("sequenceId") from "ProjectUser" where "sequenceId" > 33') > 88
    # The application goes on marking, and its own sequencer numbering, for as long as it likes.
    legacy.app.run('update "ProjectUser" set "displayName" = \'changed\', "shouldUpdateSequenceId" = true')
    legacy.app.run('update "ProjectUser" set "sequenceId" = 5, "shouldUpdateSequenceId" = false')
    legacy.assert_synced()
    legacy.app.run('delete from "ProjectUser"')
    legacy.assert_synced()
    assert legacy.view("users") == []


def test_a_foreign_key_of_an_earlier_version_goes(pipeline: Harness) -> None:
    """It made the sequencer wait for whoever removes a destination."""
    tenancy = pipeline.app.tenancy()
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    assert pipeline.rows("select distinct destination_id from dbsync.pending") == [(external.destination_id,)]
    pipeline.admin.execute(
        "drop trigger removed on dbsync.destination; alter table dbsync.pending add constraint "
        "pending_destination_id_fkey foreign key (destination_id) references dbsync.destination on delete cascade"
    )
    assert init_source(pipeline.pipeline, pipeline.admin) == [ALWAYS[0], "removal of destinations", ALWAYS[1]]
    assert pipeline.value("select count(*) from pg_constraint where conname = 'pending_destination_id_fkey'") == 0
    pipeline.admin.execute("delete from dbsync.destination where destination_id = %s", [external.destination_id])
    assert pipeline.rows("select distinct destination_id from dbsync.pending") == []


RECREATED = """
    create table "Chunks" (like "SessionReplayChunk" including all);
    insert into "Chunks" select * from "SessionReplayChunk";
    drop table "SessionReplayChunk";
    alter table "Chunks" rename to "SessionReplayChunk";
"""
SWITCHED = 'alter table "ContactChannel" disable trigger all; alter table "ContactChannel" enable trigger all'


@pytest.mark.parametrize(
    ("migration", "table", "mappings"),
    [
        (RECREATED, "SessionReplayChunk", ["session_replays"]),
        (SWITCHED, "ContactChannel", ["contact_channels", "team_member_profiles", "users"]),
        ('drop trigger dbsync_delete on "Team"', "Team", ["team_invitations", "teams"]),
    ],
    ids=["made anew", "off and on", "dropped"],
)
def test_triggers_that_are_gone_are_installed_again(
    pipeline: Harness, migration: str, table: str, mappings: list[str]
) -> None:
    """I3: a migration that makes a table anew, or switches triggers off for a while, takes ours along."""
    pipeline.app.user(pipeline.app.tenancy(), email="ada@example.com")
    pipeline.admin.execute(migration)
    (again,) = [
        step
        for step in install.plan(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)
        if step.title.startswith("triggers")
    ]
    assert again.title == f"triggers of {table}"
    repairs = ", ".join(f"`dbsync verify --mapping {name} --repair`" for name in mappings)
    assert again.follows.endswith(f"may be missing from the copies, until {repairs}.")
    init_source(pipeline.pipeline, pipeline.admin)
    assert init_source(pipeline.pipeline, pipeline.admin) == ALWAYS
    pipeline.assert_synced()


def test_what_was_deleted_without_triggers_leaves_with_the_next_delivery(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    gone = pipeline.app.team(tenancy)
    pipeline.drain()
    pipeline.admin.execute('alter table "Team" disable trigger all')
    pipeline.app.delete("Team", teamId=gone)
    pipeline.admin.execute('alter table "Team" enable trigger all')
    init_source(pipeline.pipeline, pipeline.admin)
    pipeline.app.team(tenancy)
    pipeline.assert_synced("teams")
    assert len(pipeline.view("teams")) == 1


def write_mappings(directory: Path, **changes: object) -> str:
    """Copy two built-in mappings, with changes to the document of one of them; return the directory."""
    directory.mkdir(exist_ok=True)
    (directory / TENANCY_FILE).write_text((BUILTIN_DIRECTORY / TENANCY_FILE).read_text())
    for name in ("teams", "connected_accounts"):
        document = yaml.safe_load((BUILTIN_DIRECTORY / f"{name}.yaml").read_text())
        if name == "teams":
            document.update(changes)
        (directory / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return str(directory)


def test_a_changed_mapping_reinstalls_its_own_triggers_only(bare: psycopg.Connection, tmp_path: Path) -> None:
    init_source(pipeline_of(write_mappings(tmp_path)), bare)
    changed = pipeline_of(write_mappings(tmp_path, filter="source.\"displayName\" <> 'hidden'"))
    found = titles(bare, changed)
    assert [title for title in found if title.startswith(("triggers", "mapping"))] == [
        "triggers of Team",
        "mapping teams",
    ]
    with pytest.raises(NotInstalledError, match="teams is not what is installed"):
        require_installed(bare, changed.catalog)
    init_source(changed, bare)
    assert titles(bare, changed) == ALWAYS


def test_a_description_is_no_change(bare: psycopg.Connection, tmp_path: Path) -> None:
    init_source(pipeline_of(write_mappings(tmp_path)), bare)
    assert titles(bare, pipeline_of(write_mappings(tmp_path, description="Other words."))) == ALWAYS


def test_a_mapping_that_is_gone_takes_its_triggers_and_its_work_with_it(pipeline: Harness, tmp_path: Path) -> None:
    """What nobody delivers any more may not fill the queue of those who do."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.app.team(tenancy)
    pipeline.sequence()
    fewer = pipeline_of(write_mappings(tmp_path))
    init_source(fewer, pipeline.admin)
    assert pipeline.rows("select distinct mapping_id from dbsync.pending where wanted > reached") == [("teams",)]
    captured = pipeline.rows(
        "select distinct tgrelid::regclass::text from pg_trigger where tgname ~ '^(zz_)?dbsync_' order by 1"
    )
    assert [name for (name,) in captured] == ['"ProjectUserOAuthAccount"', '"Team"', '"Tenancy"']
    pipeline.app.delete("ProjectUser", projectUserId=user)
    assert pipeline.value("select count(*) from dbsync.tombstone") == 0


def test_a_mapping_that_does_not_fit_is_refused_before_anything_is_done(
    bare: psycopg.Connection, tmp_path: Path
) -> None:
    wrong = pipeline_of(write_mappings(tmp_path, source="Teams"))
    with pytest.raises(MappingError, match="no table 'Teams'"):
        install.plan(bare, wrong.catalog, wrong.columns)
    assert not has_schema(bare)


def test_names_of_the_sync_columns_are_settings(bare: psycopg.Connection) -> None:
    catalog, columns = load_catalog(), SyncColumns("our id", "ünsent")
    install.apply(bare, install.plan(bare, catalog, columns), lambda step: None)
    app = Application(bare)
    user = app.user(app.tenancy())
    assert bare.execute('select "ünsent", "our id" from "ProjectUser"').fetchone() == (True, None)
    assert app.update("ProjectUser", {"projectUserId": user}, **{"our id": 5, "displayName": "x"}) == 1
    assert bare.execute('select "ünsent", "our id" from "ProjectUser"').fetchone() == (True, None)


def test_long_names_of_any_script(bare: psycopg.Connection, tmp_path: Path) -> None:
    """A name is cut by its bytes, as Postgres does, or every init would build its objects again."""
    name = "実" * 20
    bare.execute(
        sql.SQL('create table {} ("tenancyId" uuid not null, "id" int primary key, unique ("tenancyId", "id"))').format(
            sql.Identifier(name)
        )
    )
    directory = write_mappings(
        tmp_path,
        source=name,
        key=["id"],
        columns=[{"name": "id", "source": "id", "type": "integer"}],
    )
    pipeline = pipeline_of(directory)
    init_source(pipeline, bare)
    assert titles(bare, pipeline) == ALWAYS
    bare.execute(sql.SQL("insert into {} values (gen_random_uuid(), 1)").format(sql.Identifier(name)))
    bare.execute(sql.SQL("delete from {}").format(sql.Identifier(name)))
    assert bare.execute("select count(*) from dbsync.tombstone").fetchone() == (1,)
