"""What marks a row, what does not, and what a change leaves behind in schema dbsync."""

from uuid import UUID

import psycopg
import pytest

from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import APPLICATION_ROLE, Harness, init_source


def dirty(pipeline: Harness, table: str = "ProjectUser") -> int:
    """Return how many rows of a table wait to be numbered."""
    return pipeline.value(f'select count(*) from "{table}" where "shouldUpdateSequenceId"')


def sync_columns(pipeline: Harness, user: UUID) -> tuple[int, bool]:
    (row,) = pipeline.rows(
        'select "sequenceId", "shouldUpdateSequenceId" from "ProjectUser" where "projectUserId" = %s', user
    )
    return row


@pytest.fixture
def user(pipeline: Harness) -> UUID:
    """A user that is delivered and has been left alone since."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy, email="ada@example.com", clientMetadata='{"n": 1.0}')
    pipeline.drain()
    assert dirty(pipeline) == 0
    return user


@pytest.mark.parametrize(
    "change",
    [
        '"lastActiveAt" = now()',
        '"updatedAt" = now()',
        '"signUpRiskScoreBot" = 7',
        '"projectId" = null',
        '"displayName" = "displayName"',
        '"clientMetadata" = \'{"n":   1.0}\'',
    ],
)
def test_what_no_mapping_reads_marks_nothing(pipeline: Harness, user: UUID, change: str) -> None:
    """D14: recording activity sends nobody's row again, nor does writing the same value."""
    assert pipeline.app.run(f'update "ProjectUser" set {change}') == 1
    assert dirty(pipeline) == 0
    assert pipeline.value("select count(*) from dbsync.touch") == 0


@pytest.mark.parametrize(
    "change",
    [
        "\"displayName\" = 'Grace'",
        '"displayName" = null',
        '"clientMetadata" = \'{"n": 1.00}\'',
        '"clientMetadata" = null',
        "\"clientMetadata\" = 'null'",
        "\"signedUpAt\" = 'infinity'",
        '"isAnonymous" = true',
    ],
)
def test_what_a_mapping_reads_marks_the_row(pipeline: Harness, user: UUID, change: str) -> None:
    """D15: nobody sets a flag. Values that `=` takes for equal, as 1.0 and 1.00 in a document, are told apart."""
    assert pipeline.app.run(f'update "ProjectUser" set {change}') == 1
    assert dirty(pipeline) == 1
    pipeline.assert_synced()


def test_generated_columns_mark_through_what_they_are_made_of(pipeline: Harness) -> None:
    """B31: the two states of a mail are computed after the trigger has run."""
    tenancy = pipeline.app.tenancy()
    mail = pipeline.app.mail(tenancy)
    pipeline.drain()
    pipeline.app.update("EmailOutbox", {"id": mail}, isQueued=True)
    assert dirty(pipeline, "EmailOutbox") == 1
    pipeline.assert_synced()


def test_virtual_columns_mark_through_what_they_are_made_of(pipeline: Harness, user: UUID) -> None:
    """A trigger sees NULL in them, before and after."""
    pipeline.admin.execute(
        """
        alter table "ProjectUser" rename "displayName" to "name";
        alter table "ProjectUser" add "displayName" text generated always as (upper("name")) virtual;
        """
    )
    init_source(pipeline.pipeline, pipeline.admin)
    pipeline.app.run('update "ProjectUser" set "name" = \'Grace\'')
    assert dirty(pipeline) == 1
    pipeline.assert_synced()
    assert [row["display_name"] for row in pipeline.view("users")] == ["GRACE"]


def test_a_writer_of_whole_rows_cannot_touch_the_sync_columns(pipeline: Harness, user: UUID) -> None:
    """An ORM that read the row before it was numbered, or before it was marked, writes it back as it was."""
    before = sync_columns(pipeline, user)
    pipeline.app.run('update "ProjectUser" set "sequenceId" = null, "shouldUpdateSequenceId" = false')
    assert sync_columns(pipeline, user) == before
    pipeline.app.run('update "ProjectUser" set "sequenceId" = 1, "displayName" = \'Grace\'')
    assert sync_columns(pipeline, user) == (before[0], True)
    pipeline.app.run('update "ProjectUser" set "shouldUpdateSequenceId" = false, "sequenceId" = 99')
    assert sync_columns(pipeline, user) == (before[0], True)
    pipeline.assert_synced()


def test_an_application_that_marks_its_own_rows_may_go_on(pipeline: Harness, user: UUID) -> None:
    pipeline.app.run('update "ProjectUser" set "shouldUpdateSequenceId" = true')
    assert dirty(pipeline) == 1


STAMP = """
    create function stamp() returns trigger language plpgsql as
    $$ begin new."profileImageUrl" := clock_timestamp(); return new; end $$;
    create trigger stamp before update on "ProjectUser" for each row execute function stamp();
"""


def test_a_trigger_of_the_application_changes_a_row_that_is_numbered(pipeline: Harness, user: UUID) -> None:
    """It fires on the sequencer's own update; what it writes then goes out under the number given, and is the end."""
    pipeline.admin.execute(STAMP)
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="Grace")
    with pipeline.sequencer() as sequencer:
        # The second looks for what the row feeds.
        assert [sequencer.run_pass().rows for _ in range(2)] == [1, 0]
        assert sequencer.waiting() is False
    pipeline.sync()
    pipeline.assert_equal()
    assert [row["display_name"] for row in pipeline.view("users")] == ["Grace"]


def test_what_triggers_write_elsewhere_while_a_row_is_numbered(pipeline: Harness, user: UUID) -> None:
    """It is the application's, though it comes in the sequencer's transaction."""
    team = pipeline.app.team(pipeline.value('select "tenancyId" from "ProjectUser"'))
    pipeline.drain()
    pipeline.admin.execute(
        """
        create function follow() returns trigger language plpgsql as
        $$ begin update "Team" set "displayName" = new."sequenceId"; return null; end $$;
        create trigger follow after update on "ProjectUser" for each row execute function follow();
        """
    )
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="Grace")
    pipeline.assert_synced()
    number = pipeline.value('select "sequenceId"::text from "ProjectUser"')
    assert [(row["id"], row["display_name"]) for row in pipeline.view("teams")] == [(team, number)]


def test_what_feeds_others_feeds_them_while_it_is_numbered(pipeline: Harness, user: UUID) -> None:
    """A trigger of the application that changes what another mapping's rows carry sends these again."""
    pipeline.admin.execute(
        """
        create function shout() returns trigger language plpgsql as
        $$ begin new."value" := upper(new."value"); return new; end $$;
        alter table "ContactChannel" disable trigger zz_dbsync_mark;
        update "ContactChannel" set "shouldUpdateSequenceId" = true;
        alter table "ContactChannel" enable always trigger zz_dbsync_mark;
        create trigger shout before update on "ContactChannel" for each row execute function shout();
        """
    )
    pipeline.assert_synced()
    assert [row["primary_email"] for row in pipeline.view("users")] == ["ADA@EXAMPLE.COM"]


def test_a_row_arrives_fresh_whatever_its_sync_columns_say(pipeline: Harness) -> None:
    """A row restored from a dump carries an old number, and one that is not to be sent again."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.drain()
    restored = pipeline.app.user(tenancy, sequenceId=1, shouldUpdateSequenceId=False)
    assert sync_columns(pipeline, restored) == (None, True)
    pipeline.assert_synced()
    assert restored in {row["id"] for row in pipeline.view("users")}


def test_an_upsert_of_a_whole_row(pipeline: Harness, user: UUID) -> None:
    before = sync_columns(pipeline, user)
    pipeline.app.run(
        'insert into "ProjectUser" select * from "ProjectUser" on conflict ("tenancyId", "projectUserId") do update '
        'set "sequenceId" = excluded."sequenceId", "shouldUpdateSequenceId" = false, "displayName" = \'Upserted\''
    )
    assert sync_columns(pipeline, user) == (before[0], True)
    pipeline.assert_synced()


def test_a_session_that_replicates_is_captured_too(pipeline: Harness, user: UUID) -> None:
    """D15: session_replication_role = replica switches ordinary triggers off."""
    pipeline.admin.execute("set session_replication_role = replica")
    pipeline.admin.execute('update "ProjectUser" set "displayName" = \'Replicated\'')
    pipeline.admin.execute('delete from "ContactChannel"')
    pipeline.admin.execute("set session_replication_role = origin")
    pipeline.assert_synced()
    assert [row["display_name"] for row in pipeline.view("users")] == ["Replicated"]
    assert pipeline.view("contact_channels") == []


def test_the_application_needs_no_right_on_schema_dbsync(pipeline: Harness, user: UUID) -> None:
    """Its role sees nothing of the pipeline, and writes every table all the same."""
    with pipeline.write() as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("select from dbsync.tombstone")
    assert not pipeline.value("select has_schema_privilege(%s, 'dbsync', 'usage')", APPLICATION_ROLE)
    for table in ("SessionReplayChunk", "VerificationCode", "EmailOutbox", "ProjectUser", "Team", "Tenancy"):
        pipeline.app.run(f'delete from "{table}"')
    pipeline.assert_synced()


def everything(app: Application, tenancy: UUID) -> tuple[UUID, UUID]:
    """Add a row to every table; return the user and the team that own them."""
    user, team = app.user(tenancy, email="secret@example.com"), app.team(tenancy)
    app.member(tenancy, team, user)
    app.team_permission(tenancy, team, user, "$read_members")
    app.project_permission(tenancy, user, "p")
    app.preference(tenancy, user)
    app.session(tenancy, user)
    app.account(tenancy, user)
    app.account(tenancy, None)
    app.invitation(tenancy, team)
    app.mail(tenancy)
    app.chunk(tenancy, app.replay(tenancy, user))
    return user, team


SYNCED = (
    *("ContactChannel", "EmailOutbox", "ProjectUser", "ProjectUserDirectPermission", "ProjectUserOAuthAccount"),
    *("ProjectUserRefreshToken", "SessionReplay", "Team", "TeamMember", "TeamMemberDirectPermission"),
    *("UserNotificationPreference", "VerificationCode"),
)


def owned(tenancy: UUID, table: str) -> str:
    """Return the condition of the rows of a tenancy that `everything` made, in the given table."""
    if table == "Tenancy":
        return f""""id" = '{tenancy}'"""
    if table == "Project":
        return f""""id" = 'project-{tenancy}'"""
    if table == "VerificationCode":
        return f""""projectId" = 'project-{tenancy}'"""
    return f""""tenancyId" = '{tenancy}'"""


def test_rows_leave_with_what_hangs_on_them(pipeline: Harness) -> None:
    """I3, D6: a DELETE from every table, each of a tenancy of its own, with everything that goes by cascade."""
    tables = (*SYNCED, "SessionReplayChunk", "Tenancy", "Project")
    tenancies = [pipeline.app.tenancy() for _ in tables]
    for tenancy in tenancies:
        everything(pipeline.app, tenancy)
    pipeline.assert_synced()
    for table, tenancy in zip(tables, tenancies, strict=True):
        assert pipeline.app.run(f'delete from "{table}" where {owned(tenancy, table)}') > 0
    pipeline.assert_synced()
    for table, tenancy in zip(SYNCED, tenancies, strict=False):
        assert pipeline.value(f'select count(*) from "{table}" where {owned(tenancy, table)}') == 0


@pytest.mark.parametrize(
    "tables",
    [
        ["EmailOutbox", "VerificationCode", "SessionReplayChunk", "ContactChannel", "TeamMemberDirectPermission"],
        ["ProjectUserRefreshToken", "ProjectUserOAuthAccount", "UserNotificationPreference", "TeamMember"],
        ["Team"],
        ["ProjectUser"],
        ["Project"],
    ],
    ids=lambda tables: tables[0],
)
def test_truncated_rows_leave_with_what_hangs_on_them(pipeline: Harness, tables: list[str]) -> None:
    """I3: TRUNCATE fires no row's trigger, and takes whole tables along."""
    for _ in range(2):
        everything(pipeline.app, pipeline.app.tenancy())
    pipeline.assert_synced()
    for table in tables:
        pipeline.app.run(f'truncate "{table}" cascade')
    pipeline.assert_synced()


@pytest.mark.parametrize("between", ["nothing", "a commit", "the sequencer", "a delivery"])
def test_rows_deleted_and_inserted_again_live(pipeline: Harness, between: str) -> None:
    """I4, D3: every table, each of a tenancy of its own, in one transaction and in two, whatever runs in between."""
    columns = {
        table: pipeline.value(
            "select string_agg(quote_ident(attname), ', ') from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
            f'"{table}"',
        )
        for table in SYNCED
    }
    tenancies = [pipeline.app.tenancy() for _ in SYNCED]
    for tenancy in tenancies:
        everything(pipeline.app, tenancy)
    pipeline.drain()
    with pipeline.write() as db:
        for table, tenancy in zip(SYNCED, tenancies, strict=True):
            rows = f'select {columns[table]} from "{table}" where {owned(tenancy, table)}'
            db.execute(f'create temporary table "kept {table}" as {rows}')
            assert db.execute(f'delete from "{table}" where {owned(tenancy, table)}').rowcount > 0
        if between != "nothing":
            db.commit()
        if between == "the sequencer":
            pipeline.sequence()
        if between == "a delivery":
            pipeline.assert_synced()
        for table in SYNCED:
            db.execute(f'insert into "{table}" ({columns[table]}) select * from "kept {table}"')
    pipeline.assert_synced()
    for table, tenancy in zip(SYNCED, tenancies, strict=True):
        assert pipeline.value(f'select count(*) from "{table}" where {owned(tenancy, table)}') > 0
