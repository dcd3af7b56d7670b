"""Rows that stay but are no longer what they were: other keys, other tenancies, in and out of a mapping."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import Harness, init_clickhouse


def test_another_account_at_the_provider_keeps_the_account(pipeline: Harness) -> None:
    """D4: a change of columns that are not the key is a change, whatever a destination is sorted by."""
    tenancy = pipeline.app.tenancy()
    account = pipeline.app.account(tenancy, pipeline.app.user(tenancy))
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    pipeline.app.update("ProjectUserOAuthAccount", {"id": account}, providerAccountId="other")
    pipeline.assert_synced()
    external.assert_equal()
    assert [row["provider_account_id"] for row in external.view("connected_accounts")] == ["other"]
    assert [row["provider_account_id"] for row in pipeline.view("connected_accounts")] == ["other"]
    assert pipeline.value("select count(*) from dbsync.tombstone") == 0


@pytest.mark.parametrize("kind", ["team", "project"])
def test_renaming_a_permission_leaves_no_old_one(pipeline: Harness, kind: str) -> None:
    """S21, D5: the name is part of the key, so the row changes its key in place."""
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    for permission in ("old", "untouched"):
        pipeline.app.team_permission(tenancy, team, user, permission)
        pipeline.app.project_permission(tenancy, user, permission)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    table = {"team": "TeamMemberDirectPermission", "project": "ProjectUserDirectPermission"}[kind]
    pipeline.app.update(table, {"permissionId": "old"}, permissionId="new")
    pipeline.assert_synced()
    external.assert_equal()
    for view in (pipeline.view, external.view):
        assert {row["permission_id"] for row in view(f"{kind}_permissions")} == {"new", "untouched"}


def test_keys_that_swap(pipeline: Harness) -> None:
    """I4: each row's old key is the other's new one, so both tombstones meet a row that lives."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    for permission in ("a", "b"):
        pipeline.app.project_permission(tenancy, user, permission, createdAt=f"2024-01-0{1 + (permission == 'b')}")
    pipeline.drain()
    with pipeline.write() as db:
        for old, new in (("a", "between"), ("b", "a"), ("between", "b")):
            Application(db).update("ProjectUserDirectPermission", {"permissionId": old}, permissionId=new)
    pipeline.assert_synced()
    assert len(pipeline.view("project_permissions")) == 2


def test_a_key_of_equal_value_is_another_one_where_it_is_text(pipeline: Harness, tmp_path: Path) -> None:
    """I3: a day equals 24 hours in the source; a copy that holds what they are written as has two keys."""
    pipeline.admin.execute(
        'create table "Plan" ("tenancyId" uuid not null, "period" interval not null, '
        'primary key ("tenancyId", "period"))'
    )
    create = {
        "mapping": "plans",
        "description": "Plans by what they are paid for.",
        "source": "Plan",
        "tenancy": {"column": "tenancyId"},
        "key": ["period"],
        "columns": [{"name": "period", "source": "period", "type": "text"}],
    }
    pipeline.add_mapping(tmp_path, create)
    init_clickhouse(pipeline.clickhouse, pipeline.catalog, pipeline.names)
    tenancy = pipeline.app.tenancy()
    external = pipeline.configure_external(tenancy)
    pipeline.admin.execute("insert into \"Plan\" values (%s, '1 day')", [tenancy])
    pipeline.drain()
    pipeline.admin.execute('update "Plan" set "period" = \'24:00\'')
    pipeline.drain()
    for view in (pipeline.view, external.view):
        assert [row["period"] for row in view("plans")] == ["PT24H"]


def test_deleting_a_permission_definition_in_bulk(pipeline: Harness) -> None:
    """S20: many grants go in one statement that knows nothing of tombstones."""
    tenancy = pipeline.app.tenancy()
    users, team = [pipeline.app.user(tenancy) for _ in range(5)], pipeline.app.team(tenancy)
    for user in users:
        pipeline.app.member(tenancy, team, user)
        for permission in ("doomed", "kept"):
            pipeline.app.team_permission(tenancy, team, user, permission)
            pipeline.app.project_permission(tenancy, user, permission)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    pipeline.app.delete("TeamMemberDirectPermission", permissionId="doomed")
    pipeline.app.delete("ProjectUserDirectPermission", permissionId="doomed")
    pipeline.assert_synced()
    external.assert_equal()
    for view in (pipeline.view, external.view):
        assert {row["permission_id"] for row in view("team_permissions")} == {"kept"}
        assert {row["permission_id"] for row in view("project_permissions")} == {"kept"}


def test_an_account_is_bound_unbound_and_bound_again(pipeline: Harness) -> None:
    """D6: a row enters and leaves its mapping by an update; unbinding deletes it from the copy."""
    tenancy = pipeline.app.tenancy()
    user, other = pipeline.app.user(tenancy), pipeline.app.user(tenancy)
    account = pipeline.app.account(tenancy, None)
    pipeline.assert_synced()
    assert pipeline.view("connected_accounts") == []
    for owner in (user, None, other, None, None, user):
        pipeline.app.update("ProjectUserOAuthAccount", {"id": account}, projectUserId=owner)
        pipeline.assert_synced("connected_accounts")
        assert [row["user_id"] for row in pipeline.view("connected_accounts")] == ([owner] if owner else [])
    for owner in (None, other):
        pipeline.app.update("ProjectUserOAuthAccount", {"id": account}, projectUserId=owner)
    pipeline.assert_synced("connected_accounts")
    pipeline.app.update("ProjectUserOAuthAccount", {"id": account}, projectUserId=None)
    pipeline.app.delete("ProjectUserOAuthAccount", id=account)
    pipeline.assert_synced("connected_accounts")
    assert pipeline.view("connected_accounts") == []


def test_an_unbound_account_that_was_never_sent_leaves_nothing(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    account = pipeline.app.account(tenancy, None)
    pipeline.drain()
    pipeline.app.update("ProjectUserOAuthAccount", {"id": account}, email="a@example.com")
    pipeline.app.delete("ProjectUserOAuthAccount", id=account)
    assert pipeline.value("select count(*) from dbsync.tombstone") == 0


def test_an_invitation_becomes_another_kind_of_code(pipeline: Harness) -> None:
    """A row leaves its mapping by the filter, under a tenancy that it does not name itself."""
    tenancy = pipeline.app.tenancy()
    invitation = pipeline.app.invitation(tenancy, pipeline.app.team(tenancy))
    pipeline.drain()
    pipeline.app.update("VerificationCode", {"id": invitation}, type="MFA_ATTEMPT")
    pipeline.assert_synced()
    assert pipeline.view("team_invitations") == []
    pipeline.app.update("VerificationCode", {"id": invitation}, type="TEAM_INVITATION")
    pipeline.assert_synced()
    assert len(pipeline.view("team_invitations")) == 1


def test_rows_move_to_another_tenancy(pipeline: Harness) -> None:
    """I3, I7: what moves leaves the old tenancy's copy, with all that a foreign key takes along."""
    tenancy = pipeline.app.tenancy()
    sibling = pipeline.app.tenancy(project=f"project-{tenancy}")
    user = pipeline.app.user(tenancy, email="moving@example.com")
    stays = pipeline.app.user(tenancy, email="staying@example.com")
    pipeline.app.project_permission(tenancy, user, "p")
    session = pipeline.app.session(tenancy, user)
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"projectUserId": user}, tenancyId=sibling)
    pipeline.app.update("ProjectUserRefreshToken", {"id": session}, tenancyId=sibling)
    pipeline.assert_synced()
    assert [row["id"] for row in pipeline.view("users", tenancy)] == [stays]
    assert [row["id"] for row in pipeline.view("users", sibling)] == [user]
    assert [row["user_id"] for row in pipeline.view("project_permissions", sibling)] == [user]
    assert pipeline.view("refresh_tokens", tenancy) == []


def test_a_trigger_of_the_application_changes_the_key(pipeline: Harness) -> None:
    """I3: the statement names no column of the key, so that nothing but the row tells."""
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    pipeline.app.team_permission(tenancy, team, user, "old")
    pipeline.drain()
    pipeline.admin.execute(
        """
        create function rename() returns trigger language plpgsql as
        $$ begin new."permissionId" := 'new'; return new; end $$;
        create trigger rename before update on "TeamMemberDirectPermission" for each row execute function rename();
        """
    )
    pipeline.app.run('update "TeamMemberDirectPermission" set "updatedAt" = now()')
    pipeline.assert_synced()
    assert [row["permission_id"] for row in pipeline.view("team_permissions")] == ["new"]


def test_a_key_stays_since_the_update_is_called_off(pipeline: Harness) -> None:
    """I4: its tombstone is written when the update is still to be made; the row that lives is sent again."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.app.project_permission(tenancy, user, "p")
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    pipeline.admin.execute(
        """
        create function refuse() returns trigger language plpgsql as $$ begin return null; end $$;
        create trigger zz_refuse before update on "ProjectUserDirectPermission"
            for each row execute function refuse();
        """
    )
    pipeline.app.run('update "ProjectUserDirectPermission" set "permissionId" = \'q\'')
    pipeline.admin.execute('drop trigger zz_refuse on "ProjectUserDirectPermission"')
    assert pipeline.value("select count(*) from dbsync.tombstone where sequence_id is null") == 1
    pipeline.assert_synced()
    external.assert_equal()
    assert [row["permission_id"] for row in pipeline.view("project_permissions")] == ["p"]


def test_an_invitation_follows_its_team(pipeline: Harness) -> None:
    """S17, D20: whose an invitation is, and whether it is there at all, hangs on the team alone."""
    tenancy = pipeline.app.tenancy()
    sibling = pipeline.app.tenancy(project=f"project-{tenancy}")
    team, other = pipeline.app.team(tenancy), pipeline.app.team(sibling, displayName="Other")
    invitation = pipeline.app.invitation(tenancy, team)
    externals = [pipeline.configure_external(owner) for owner in (tenancy, sibling)]
    pipeline.assert_synced()

    def owners() -> list[UUID]:
        return [row["tenancy_id"] for row in pipeline.view("team_invitations")]

    def owners_with_a_copy() -> list[UUID]:
        return [row["tenancy_id"] for external in externals for row in external.view("team_invitations")]

    assert owners() == [tenancy]
    steps: list[tuple[Callable[[], object], list[UUID]]] = [
        (lambda: pipeline.app.update("Team", {"teamId": team}, tenancyId=sibling), [sibling]),
        (lambda: pipeline.app.update("Team", {"teamId": team}, tenancyId=tenancy), [tenancy]),
        (
            lambda: pipeline.app.update(
                "VerificationCode", {"type": "TEAM_INVITATION"}, data=f'{{"team_id": "{other}"}}'
            ),
            [sibling],
        ),
        (lambda: pipeline.app.update("VerificationCode", {"type": "TEAM_INVITATION"}, data='{"team_id": "none"}'), []),
        (
            lambda: pipeline.app.update(
                "VerificationCode", {"type": "TEAM_INVITATION"}, data=f'{{"team_id": "{team}"}}'
            ),
            [tenancy],
        ),
        (lambda: pipeline.app.delete("Team", teamId=team), []),
        (lambda: pipeline.app.team(sibling, teamId=team), [sibling]),
        (lambda: pipeline.app.delete("VerificationCode", id=invitation), []),
        (lambda: pipeline.app.invitation(tenancy, team, id=invitation), [sibling]),
    ]
    for change, expected in steps:
        change()
        pipeline.assert_synced("team_invitations")
        assert owners() == owners_with_a_copy() == expected


def test_an_invitation_of_a_team_that_is_gone_blocks_nobody(pipeline: Harness) -> None:
    """D20: deleted before the first delivery, or after it, the code stays behind and is no row anywhere."""
    tenancy = pipeline.app.tenancy()
    gone, there = pipeline.app.team(tenancy), pipeline.app.team(tenancy)
    pipeline.app.invitation(tenancy, gone)
    invitation = pipeline.app.invitation(tenancy, there)
    pipeline.app.delete("Team", teamId=gone)
    pipeline.app.session(tenancy, pipeline.app.user(tenancy))
    external = pipeline.configure_external(tenancy)
    pipeline.assert_synced()
    external.assert_equal()
    for view in (pipeline.view, external.view):
        assert [row["id"] for row in view("team_invitations")] == [invitation]
    assert pipeline.value("select count(*) from dbsync.placement") == 1


@pytest.mark.parametrize("way", ["its project", "itself"])
def test_a_deleted_tenancy_leaves_no_row(pipeline: Harness, way: str) -> None:
    """D6: most rows outlive it in the source, for want of a foreign key; none does in a copy."""
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    for owner in (tenancy, other):
        user, team = pipeline.app.user(owner, email="a@example.com"), pipeline.app.team(owner)
        pipeline.app.member(owner, team, user)
        pipeline.app.invitation(owner, team)
        pipeline.app.mail(owner)
        pipeline.app.session(owner, user)
    pipeline.assert_synced()
    if way == "itself":
        pipeline.app.delete("Tenancy", id=tenancy)
    else:
        pipeline.app.delete("Project", id=f"project-{tenancy}")
    pipeline.assert_synced()
    assert {row["tenancy_id"] for row in pipeline.view("users")} == {other}
    assert pipeline.value('select count(*) from "ProjectUser"') == 2
    # What happens to the rows it left behind concerns nobody any more.
    pipeline.app.run('update "ProjectUser" set "displayName" = \'later\' where "tenancyId" = %s', tenancy)
    pipeline.app.run('delete from "Team" where "tenancyId" = %s', tenancy)
    pipeline.app.user(tenancy)
    pipeline.assert_synced()
    assert {row["tenancy_id"] for row in pipeline.view("users")} == {other}


@pytest.mark.parametrize("between", ["nothing", "the sequencer", "a delivery"])
def test_a_tenancy_returns_elsewhere(pipeline: Harness, between: str) -> None:
    """The rows it finds again are sent with the project it has now, and none is left under the old one."""
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy), pipeline.app.team(tenancy)
    pipeline.app.invitation(tenancy, team)
    gone = pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.app.delete("Tenancy", id=tenancy)
    {"nothing": lambda: None, "the sequencer": pipeline.sequence, "a delivery": pipeline.drain}[between]()
    pipeline.app.delete("ProjectUser", projectUserId=gone)
    pipeline.app.tenancy(project="elsewhere", tenancy_id=tenancy)
    pipeline.assert_synced()
    assert [(row["id"], row["project_id"]) for row in pipeline.view("users")] == [(user, "elsewhere")]
    assert [row["project_id"] for row in pipeline.view("team_invitations")] == ["elsewhere"]


def test_a_tenancy_changes_its_project_and_branch(pipeline: Harness) -> None:
    """Every row carries them in its ClickHouse key: all are sent anew, and the old ones leave."""
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy, email="a@example.com"), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    pipeline.app.invitation(tenancy, team)
    gone = pipeline.app.session(tenancy, user)
    pipeline.drain()
    pipeline.app.delete("ProjectUserRefreshToken", id=gone)
    pipeline.app.update("Tenancy", {"id": tenancy}, branchId="second")
    pipeline.assert_synced()
    assert {row["branch_id"] for row in pipeline.view("users")} == {"second"}
    assert pipeline.view("refresh_tokens") == []
    # By a cascade from the project's own key.
    pipeline.app.update("Project", {"id": f"project-{tenancy}"}, id="renamed")
    pipeline.assert_synced()
    assert [row["project_id"] for row in pipeline.view("users")] == ["renamed"]
    pipeline.app.update("Tenancy", {"id": tenancy}, branchId="main")
    pipeline.app.update("Tenancy", {"id": tenancy}, branchId="second")
    pipeline.assert_synced()


def test_a_tenancy_changes_its_own_id(pipeline: Harness) -> None:
    tenancy, renamed = pipeline.app.tenancy(), uuid4()
    pipeline.app.mail(tenancy)
    pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.app.update("Tenancy", {"id": tenancy}, id=renamed)
    pipeline.assert_synced()
    assert [row["tenancy_id"] for row in pipeline.view("email_outboxes")] == [renamed]
    assert pipeline.view("users") == []
    pipeline.app.update("ProjectUser", {"tenancyId": tenancy}, tenancyId=renamed)
    pipeline.assert_synced()
    assert len(pipeline.view("users", renamed)) == 1


@pytest.mark.parametrize("delivered", [False, True])
def test_rows_are_there_before_their_tenancy(pipeline: Harness, *, delivered: bool) -> None:
    """They are nobody's until it comes, also when the sequencer and a worker have been at them."""
    tenancy = uuid4()
    user, team = pipeline.app.user(tenancy, email="early@example.com"), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    pipeline.app.invitation(tenancy, team)
    pipeline.app.session(tenancy, user)
    pipeline.app.delete("ProjectUserRefreshToken", tenancyId=tenancy)
    if delivered:
        pipeline.assert_synced()
        assert pipeline.view("users") == []
    pipeline.app.tenancy(tenancy_id=tenancy)
    pipeline.assert_synced()
    assert [row["id"] for row in pipeline.view("users")] == [user]
    assert len(pipeline.view("team_invitations")) == len(pipeline.view("team_member_profiles")) == 1


@pytest.mark.parametrize("scope", ["one", "all others", "all"])
def test_ending_sessions(pipeline: Harness, scope: str) -> None:
    """S7 to S10: one statement ends them, and one that starts meanwhile is neither lost nor entombed."""
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    current, *others = [pipeline.app.session(tenancy, user) for _ in range(3)]
    pipeline.drain()
    with pipeline.write() as db:
        condition = {"one": f"= '{others[0]}'", "all others": f"<> '{current}'", "all": "is not null"}[scope]
        db.execute(f'delete from "ProjectUserRefreshToken" where "projectUserId" = \'{user}\' and "id" {condition}')
        started = pipeline.app.session(tenancy, user)
        pipeline.assert_synced()
        assert len(pipeline.view("refresh_tokens")) == 4
    pipeline.assert_synced()
    left = {"one": {current, others[1]}, "all others": {current}, "all": set[UUID]()}[scope]
    assert {row["id"] for row in pipeline.view("refresh_tokens")} == {started, *left}


def test_a_delete_that_is_rolled_back_leaves_no_tombstone(pipeline: Harness) -> None:
    """S7, S11: the tombstone is in the transaction of the delete."""
    tenancy = pipeline.app.tenancy()
    invitation = pipeline.app.invitation(tenancy, pipeline.app.team(tenancy))
    pipeline.drain()
    with pipeline.write() as db:
        Application(db).delete("VerificationCode", id=invitation)
        db.rollback()
    assert pipeline.value("select count(*) from dbsync.tombstone") == 0
    pipeline.app.delete("VerificationCode", id=invitation)
    pipeline.assert_synced()
    assert pipeline.view("team_invitations") == []


def test_equal_ids_in_two_tenancies_are_two_rows(pipeline: Harness) -> None:
    """S14, S15, D41: neither a delete nor a change in one tenancy touches its sibling's row of the same key."""
    tenancy = pipeline.app.tenancy()
    sibling = pipeline.app.tenancy(project=f"project-{tenancy}")
    user = uuid4()
    place = {"mirroredBranchId": "other branch"}
    for owner, more in ((tenancy, {}), (sibling, place)):
        pipeline.app.user(owner, projectUserId=user, displayName=str(owner), **more)
        pipeline.app.project_permission(owner, user, "p")
        pipeline.app.session(owner, user, id=user)
    pipeline.assert_synced()
    assert len(pipeline.view("users")) == len(pipeline.view("refresh_tokens")) == 2
    pipeline.app.delete("ProjectUserDirectPermission", tenancyId=tenancy)
    pipeline.app.delete("ProjectUserRefreshToken", tenancyId=tenancy)
    pipeline.app.delete("ProjectUser", tenancyId=tenancy)
    pipeline.assert_synced()
    for mapping in ("users", "project_permissions", "refresh_tokens"):
        assert [row["tenancy_id"] for row in pipeline.view(mapping)] == [sibling]
