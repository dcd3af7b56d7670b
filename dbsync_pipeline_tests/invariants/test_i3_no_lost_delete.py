"""Attacks I3: the tombstone is written by the database in the transaction of the DELETE, whoever deletes, and how."""

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline_tests.application import NOW, Application
from dbsync_pipeline_tests.harness import Harness

Delete = Callable[[Application, UUID, UUID, UUID], object]

WAYS: dict[str, Delete] = {
    "one row": lambda app, tenancy, user, team: app.delete("ProjectUser", projectUserId=user),
    "all rows": lambda app, tenancy, user, team: app.run('delete from "ProjectUser"'),
    "cascade from two sides": lambda app, tenancy, user, team: (
        app.delete("Team", teamId=team),
        app.delete("ProjectUser", projectUserId=user),
    ),
    "truncate cascade": lambda app, tenancy, user, team: app.run('truncate "ProjectUser", "Team" cascade'),
    "truncate restart": lambda app, tenancy, user, team: app.run('truncate "SessionReplay" restart identity cascade'),
    "common table expression": lambda app, tenancy, user, team: app.run(
        'with gone as (delete from "TeamMember" returning *) delete from "Team" where "teamId" in '
        '(select "teamId" from gone)'
    ),
    "merge": lambda app, tenancy, user, team: app.run(
        'merge into "Team" t using (values (%s::uuid)) v (id) on t."teamId" = v.id when matched then delete', team
    ),
    "changed key": lambda app, tenancy, user, team: app.run(
        'update "ProjectUser" set "projectUserId" = gen_random_uuid() where "projectUserId" = %s', user
    ),
    "left the filter": lambda app, tenancy, user, team: (
        app.run('update "ProjectUserOAuthAccount" set "projectUserId" = null'),
        app.run('update "VerificationCode" set "type" = %s', "PASSWORD_RESET"),
    ),
    "no tenancy any more": lambda app, tenancy, user, team: app.delete("Tenancy", id=tenancy),
    "no project any more": lambda app, tenancy, user, team: app.run('delete from "Project"'),
    "moved project": lambda app, tenancy, user, team: (
        app.run(
            'insert into "Project" ("id", "displayName", "isProductionMode", "updatedAt") '
            "values ('other', 'other', false, %s)",
            NOW,
        ),
        app.update("Tenancy", {"id": tenancy}, projectId="other"),
    ),
    "savepoint": lambda app, tenancy, user, team: _in_savepoints(app, user, team),
}


def _in_savepoints(app: Application, user: UUID, team: UUID) -> None:
    app.connection.execute("select")
    with app.connection.transaction():
        with app.connection.transaction() as undone:
            app.delete("Team", teamId=team)
            raise psycopg.Rollback(undone)
        app.delete("ProjectUser", projectUserId=user)


def furnish(app: Application) -> tuple[UUID, UUID, UUID]:
    tenancy = app.tenancy()
    user, team = app.user(tenancy, email="gone@example.com"), app.team(tenancy)
    other = app.user(tenancy, email="kept@example.com")
    for one in (user, other):
        app.member(tenancy, team, one)
        app.team_permission(tenancy, team, one, "$read")
        app.project_permission(tenancy, one, "admin")
        app.preference(tenancy, one)
        app.account(tenancy, one)
        app.session(tenancy, one)
        app.chunk(tenancy, app.replay(tenancy, one))
    app.invitation(tenancy, team)
    app.mail(tenancy)
    return tenancy, user, team


@pytest.mark.parametrize(
    ("way", "ending"),
    [
        *((way, "committed") for way in WAYS),
        *((way, ending) for way in ("truncate cascade", "moved project") for ending in ("rolled back", "lost")),
    ],
)
def test_a_delete_of_every_kind_is_delivered_or_never_happened(pipeline: Harness, way: str, ending: str) -> None:
    """`lost`: the application's session is cut before it commits."""
    things = furnish(pipeline.app)
    pipeline.drain()
    before = {mapping.mapping_id: len(pipeline.view(mapping.mapping_id)) for mapping in pipeline.catalog.mappings}
    with pipeline.write() as connection:
        WAYS[way](Application(connection), *things)
        if ending == "rolled back":
            connection.rollback()
        elif ending == "lost":
            pipeline.rows("select pg_terminate_backend(%s, 10000)", connection.info.backend_pid)
            connection.close()
    pipeline.assert_synced()
    after = {mapping.mapping_id: len(pipeline.view(mapping.mapping_id)) for mapping in pipeline.catalog.mappings}
    if ending != "committed":
        assert after == before
    elif way not in ("changed key", "moved project"):
        assert after != before


@pytest.mark.parametrize("change", ["no tenancy any more", "moved project"])
def test_a_row_that_came_while_its_tenancy_left(pipeline: Harness, change: str) -> None:
    """Written, numbered and delivered while the transaction that removes or moves the tenancy is still open."""
    things = furnish(pipeline.app)
    pipeline.drain()
    with pipeline.write() as leaving:
        WAYS[change](Application(leaving), *things)
        for table, row in (("user", pipeline.app.user(things[0])), ("team", pipeline.app.team(things[0]))):
            assert row, table
        pipeline.app.invitation(things[0], things[2])
        pipeline.drain()
    pipeline.assert_synced()


def test_a_row_deleted_while_its_tenancy_moved(pipeline: Harness) -> None:
    things = furnish(pipeline.app)
    pipeline.drain()
    with pipeline.write() as deleting:
        Application(deleting).delete("Team", teamId=things[2])
        deleting.execute('delete from "VerificationCode"')
        with pipeline.write() as leaving:
            WAYS["moved project"](Application(leaving), *things)
        pipeline.drain()
    pipeline.assert_synced()


def test_two_deletes_of_one_cascade_at_once(pipeline: Harness) -> None:
    tenancy, user, team = furnish(pipeline.app)
    pipeline.drain()
    with pipeline.write() as one:
        one.execute('delete from "TeamMember" where "projectUserId" = %s', [user])
        with pipeline.write() as other:
            other.execute('delete from "ProjectUserDirectPermission"')
        pipeline.drain()
    with pipeline.write() as one:
        one.execute('delete from "ProjectUser" where "tenancyId" = %s', [tenancy])
        one.execute('delete from "Team" where "teamId" = %s', [team])
    pipeline.assert_synced()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_truncate_in_a_transaction_that_looks_at_the_past_is_refused(pipeline: Harness, isolation: str) -> None:
    """It would take rows along that its transaction cannot see, and no tombstone could be written for them."""
    tenancy, user, _ = furnish(pipeline.app)
    with pipeline.write() as truncating:
        truncating.execute(sql.SQL("set transaction isolation level {}").format(sql.SQL(isolation)))
        truncating.execute("select 1").fetchall()
        pipeline.app.preference(tenancy, user)
        pipeline.drain()
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="READ COMMITTED"):
            truncating.execute('truncate "UserNotificationPreference"')
    pipeline.assert_synced()
