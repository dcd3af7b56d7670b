"""The basic acceptance cases: what happens to each mapping's rows, end to end.

Every case starts from a pipeline at rest and looks at the view that people read. A second tenancy with rows of the
same kind stands beside the first, and has to come out of every case as it went in.
"""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from dbsync_pipeline_tests.acceptance.both import EverywhereHarness
from dbsync_pipeline_tests.application import Application
from dbsync_pipeline_tests.harness import Row

EMAIL = "ada@example.com"


@pytest.fixture
def tenancy(pipeline: EverywhereHarness) -> UUID:
    """A tenancy beside another one that has a row in every mapping."""
    bystander = pipeline.add_tenancy()
    user = pipeline.app.user(bystander, email=EMAIL, displayName="bystander")
    team = pipeline.app.team(bystander, displayName="bystanders")
    pipeline.app.member(bystander, team, user)
    pipeline.app.team_permission(bystander, team, user, "$read_members")
    pipeline.app.project_permission(bystander, user, "p")
    pipeline.app.preference(bystander, user)
    pipeline.app.session(bystander, user)
    pipeline.app.account(bystander, user)
    pipeline.app.invitation(bystander, team)
    pipeline.app.mail(bystander)
    pipeline.app.chunk(bystander, pipeline.app.replay(bystander, user))
    return pipeline.add_tenancy()


@pytest.fixture(autouse=True)
def bystander_unchanged(pipeline: EverywhereHarness, tenancy: UUID) -> Any:
    yield
    pipeline.assert_synced()
    for mapping in pipeline.catalog.mappings:
        # What the views hold has just been found to be the same.
        assert len([row for row in pipeline.expected(mapping.mapping_id) if row["tenancy_id"] != tenancy]) == 1


def found(pipeline: EverywhereHarness, tenancy: UUID, mapping: str, **values: object) -> list[Row]:
    """Deliver everything and return the rows of the tenancy that hold these values."""
    pipeline.drain()
    return [row for row in pipeline.shown(mapping, tenancy) if values.items() <= row.items()]


def one(pipeline: EverywhereHarness, tenancy: UUID, mapping: str, **values: object) -> Row:
    """Deliver everything and return the only row of the tenancy that holds these values."""
    (row,) = found(pipeline, tenancy, mapping, **values)
    return row


def test_b1_b3_b4_b5_a_user_is_updated(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B1, B3, B4, B5: no configuration, one row, the new name, the same address."""
    user = pipeline.app.user(tenancy, email=EMAIL, displayName="first")
    assert one(pipeline, tenancy, "users", primary_email=EMAIL)["display_name"] == "first"
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="second")
    (row,) = found(pipeline, tenancy, "users")
    assert (row["id"], row["display_name"], row["primary_email"]) == (user, "second", EMAIL)


def test_b2_b6_a_user_is_deleted(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B2, B6: it was there before it was not."""
    user = pipeline.app.user(tenancy, email=EMAIL)
    one(pipeline, tenancy, "users", primary_email=EMAIL)
    pipeline.app.delete("ProjectUser", projectUserId=user)
    assert found(pipeline, tenancy, "users") == found(pipeline, tenancy, "contact_channels") == []


def test_b7_b9_nothing_is_there_before_it_is_sent(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B7, B9: the view is there from the start, and empty; an external database gets its tables with the first sync."""
    pipeline.app.user(tenancy, email=EMAIL)
    assert pipeline.shown("users", tenancy) == []
    pipeline.sequence()
    assert pipeline.shown("users", tenancy) == []
    assert not pipeline.external or not pipeline.externals[tenancy].has("users")
    pipeline.drain()
    assert len(pipeline.shown("users", tenancy)) == 1


def test_b8_a_full_life(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B8: created, renamed, deleted, each delivered."""
    user = pipeline.app.user(tenancy, email=EMAIL, displayName="first")
    for name in ("first", "second"):
        pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName=name)
        assert one(pipeline, tenancy, "users")["display_name"] == name
    pipeline.app.delete("ProjectUser", projectUserId=user)
    assert found(pipeline, tenancy, "users") == []


def test_b11_one_row_a_user(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B11: more channels do not multiply the user; the primary one is the one that shows."""
    user = pipeline.app.user(tenancy, email=EMAIL)
    second = pipeline.app.channel(tenancy, user, value="second@example.com", isVerified=True)
    row = one(pipeline, tenancy, "users")
    assert (row["primary_email"], row["primary_email_verified"]) == (EMAIL, False)
    assert len(found(pipeline, tenancy, "contact_channels", user_id=user)) == 2
    with pipeline.write() as db:
        Application(db).update("ContactChannel", {"value": EMAIL, "tenancyId": tenancy}, isPrimary=None)
        Application(db).update("ContactChannel", {"id": second}, isPrimary="TRUE")
    row = one(pipeline, tenancy, "users")
    assert (row["primary_email"], row["primary_email_verified"]) == ("second@example.com", True)
    pipeline.app.delete("ContactChannel", id=second)
    assert one(pipeline, tenancy, "users")["primary_email"] is None


def test_b12_the_checkpoint_advances(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B12: with every delivery, of this tenancy and mapping, to where the row is."""
    user = pipeline.app.user(tenancy, displayName="first")
    before = 0
    for name in ("second", "third"):
        pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName=name)
        pipeline.drain()
        checkpoint = pipeline.checkpoint("users", tenancy)
        assert checkpoint is not None
        assert checkpoint > before
        assert checkpoint >= pipeline.value('select "sequenceId" from "ProjectUser" where "projectUserId" = %s', user)
        before = checkpoint


def test_b13_b14_a_team(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B13, B14: created, renamed, deleted."""
    team = pipeline.app.team(tenancy, displayName="Engines")
    assert one(pipeline, tenancy, "teams", display_name="Engines")["id"] == team
    pipeline.app.update("Team", {"teamId": team}, displayName="Looms")
    assert one(pipeline, tenancy, "teams", id=team)["display_name"] == "Looms"
    pipeline.app.delete("Team", teamId=team)
    assert found(pipeline, tenancy, "teams") == []


def test_b15_a_membership(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B15, S25: joined, left, joined again, and what it shows of the user follows the user."""
    user, team = pipeline.app.user(tenancy, email=EMAIL, displayName="Ada"), pipeline.app.team(tenancy)
    for _ in range(2):
        pipeline.app.member(tenancy, team, user)
        one(pipeline, tenancy, "team_member_profiles", team_id=team, user_id=user)
        pipeline.assert_equal("team_member_profiles")
        pipeline.app.delete("TeamMember", teamId=team)
        assert found(pipeline, tenancy, "team_member_profiles") == []


@pytest.mark.parametrize(
    ("table", "change", "shown"),
    [
        ("ProjectUser", {"displayName": "Countess"}, {"display_name": "Countess"}),
        ("ProjectUser", {"profileImageUrl": "https://images/1"}, {"profile_image_url": "https://images/1"}),
        ("ProjectUser", {"isAnonymous": True}, {"is_anonymous": True}),
        ("ContactChannel", {"value": "new@example.com"}, {"primary_email": "new@example.com"}),
        ("ContactChannel", {"isVerified": True}, {"primary_email_verified": True}),
        ("ContactChannel", {"isPrimary": None}, {"primary_email": None}),
    ],
)
def test_s18_s19_a_membership_shows_its_user(
    pipeline: EverywhereHarness, tenancy: UUID, table: str, change: dict[str, object], shown: dict[str, object]
) -> None:
    """S18, S19, S25, D40: a change of the embedded user alone sends the membership again."""
    user, team = pipeline.app.user(tenancy, email=EMAIL, lastActiveAt="2020-01-01"), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    before = _user(one(pipeline, tenancy, "team_member_profiles"))
    assert (before["primary_email"], before["last_active_at_millis"]) == (EMAIL, 1_577_836_800_000)
    pipeline.app.update(table, {"projectUserId": user}, **change)
    assert _user(one(pipeline, tenancy, "team_member_profiles")) == {**before, **shown}
    sent = len(pipeline.versions("team_member_profiles"))
    pipeline.app.update("ProjectUser", {"projectUserId": user}, lastActiveAt="2021-01-01")
    pipeline.drain()
    assert len(pipeline.versions("team_member_profiles")) == sent


def _user(row: Row) -> dict[str, Any]:
    return json.loads(row["user"])


def test_b16_a_contact_channel(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B16: the primary address of a user."""
    user = pipeline.app.user(tenancy, email=EMAIL)
    row = one(pipeline, tenancy, "contact_channels", value=EMAIL)
    assert (row["user_id"], row["is_primary"], row["type"]) == (user, True, "EMAIL")


def test_b17_deleting_a_user_takes_its_memberships(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B17: and everything else that hangs on it."""
    user, team = pipeline.app.user(tenancy, email=EMAIL), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    one(pipeline, tenancy, "team_member_profiles")
    pipeline.app.delete("ProjectUser", projectUserId=user)
    assert found(pipeline, tenancy, "team_member_profiles") == []
    assert len(found(pipeline, tenancy, "teams")) == 1


def test_b18_b28_deleting_a_team_takes_all_of_it(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B18, B28: memberships, permissions, and its invitations too."""
    user, team = pipeline.app.user(tenancy), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    pipeline.app.team_permission(tenancy, team, user, "$read_members")
    pipeline.app.invitation(tenancy, team)
    hanging = ("teams", "team_member_profiles", "team_permissions", "team_invitations")
    assert [len(found(pipeline, tenancy, mapping)) for mapping in hanging] == [1, 1, 1, 1]
    pipeline.app.delete("Team", teamId=team)
    assert [len(found(pipeline, tenancy, mapping)) for mapping in hanging] == [0, 0, 0, 0]
    assert len(found(pipeline, tenancy, "users")) == 1


def test_b19_b20_a_team_permission(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B19, B20: granted, revoked, granted again."""
    user, team = pipeline.app.user(tenancy), pipeline.app.team(tenancy)
    pipeline.app.member(tenancy, team, user)
    for _ in range(2):
        grant = pipeline.app.team_permission(tenancy, team, user, "$read_members")
        row = one(pipeline, tenancy, "team_permissions")
        assert (row["team_id"], row["user_id"], row["permission_id"]) == (team, user, "$read_members")
        pipeline.app.delete("TeamMemberDirectPermission", id=grant)
        assert found(pipeline, tenancy, "team_permissions") == []


def test_b21_b22_a_project_permission(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B21, B22: granted, revoked, granted again."""
    user = pipeline.app.user(tenancy)
    for _ in range(2):
        grant = pipeline.app.project_permission(tenancy, user, "tester")
        assert one(pipeline, tenancy, "project_permissions", user_id=user)["permission_id"] == "tester"
        pipeline.app.delete("ProjectUserDirectPermission", id=grant)
        assert found(pipeline, tenancy, "project_permissions") == []


def test_b23_b24_a_notification_preference(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B23, B24: switched off, and on again."""
    user, category = pipeline.app.user(tenancy), uuid4()
    preference = pipeline.app.preference(tenancy, user, enabled=False, notificationCategoryId=category)
    row = one(pipeline, tenancy, "notification_preferences", notification_category_id=str(category))
    assert (row["user_id"], row["enabled"]) == (user, False)
    pipeline.app.update("UserNotificationPreference", {"id": preference}, enabled=True)
    assert one(pipeline, tenancy, "notification_preferences")["enabled"] is True


def test_b25_b27_an_invitation(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B25, B27: sent, used, revoked."""
    team = pipeline.app.team(tenancy, displayName="Engines")
    invitation = pipeline.app.invitation(tenancy, team, "guest@example.com", expiresAt="2024-06-07 08:09:10.456")
    row = one(pipeline, tenancy, "team_invitations", recipient_email="guest@example.com")
    assert (row["id"], row["team_display_name"], row["expires_at_millis"]) == (invitation, "Engines", 1717747750456)
    assert row["used_at_millis"] is None
    pipeline.app.update("VerificationCode", {"id": invitation}, usedAt="1969-12-31 23:59:59.999")
    assert one(pipeline, tenancy, "team_invitations")["used_at_millis"] == -1
    pipeline.app.delete("VerificationCode", id=invitation)
    assert found(pipeline, tenancy, "team_invitations") == []


def test_b26_s12_s26_renaming_a_team_updates_its_invitations_alone(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B26, S12, S26, D12: those of the other teams are not sent again, nor those of a sibling tenancy."""
    team, other = pipeline.app.team(tenancy, displayName="first"), pipeline.app.team(tenancy, displayName="other")
    sibling = pipeline.add_tenancy(project=f"project-{tenancy}")
    invitation = pipeline.app.invitation(tenancy, team, "guest@example.com")
    pipeline.app.invitation(tenancy, other, "other@example.com")
    pipeline.app.invitation(sibling, pipeline.app.team(sibling), "sibling@example.com")
    assert one(pipeline, tenancy, "team_invitations", id=invitation)["team_display_name"] == "first"
    sent = len(pipeline.versions("team_invitations"))
    pipeline.app.update("Team", {"teamId": team}, displayName="second")
    row = one(pipeline, tenancy, "team_invitations", recipient_email="guest@example.com")
    assert row["team_display_name"] == "second"
    assert len(pipeline.versions("team_invitations")) == sent + 1
    pipeline.app.update("Team", {"teamId": team}, profileImageUrl="https://images.example.com/1")
    pipeline.drain()
    assert len(pipeline.versions("team_invitations")) == sent + 1
    pipeline.app.delete("Tenancy", id=sibling)
    pipeline.drain()


def test_b29_b30_an_outgoing_mail(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B29, B30: as it is put into the outbox."""
    mail = pipeline.app.mail(tenancy, createdWith="PROGRAMMATIC_CALL")
    row = one(pipeline, tenancy, "email_outboxes", id=mail)
    assert (row["created_with"], row["status"], row["simple_status"]) == (
        *(pipeline.label("programmatic-call"), pipeline.label("preparing"), pipeline.label("in-progress")),
    )
    assert (row["is_high_priority"], row["is_paused"], row["send_retries"]) == (False, False, 0)


def test_b31_the_status_of_a_mail_follows(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B31: through every step of its way; the two states are computed by the source."""
    mail = pipeline.app.mail(tenancy)
    rendered = {"finishedRenderingAt": "2024-01-01 00:00:01", "renderedHtml": "<p>", "renderedSubject": "Hello"}
    steps: list[tuple[dict[str, object], str]] = [
        ({"isPaused": True}, "paused"),
        ({"isPaused": False}, "preparing"),
        ({"renderedByWorkerId": uuid4(), "startedRenderingAt": "2024-01-01"}, "rendering"),
        (rendered, "scheduled"),
        ({"isQueued": True}, "queued"),
        ({"startedSendingAt": "2024-01-01 00:00:02"}, "sending"),
        ({"finishedSendingAt": "2024-01-01 00:00:03", "canHaveDeliveryInfo": True}, "sending"),
        ({"deliveredAt": "2024-01-01 00:00:04.5"}, "sent"),
        ({"openedAt": "2024-01-01 00:00:05"}, "opened"),
        ({"clickedAt": "2024-01-01 00:00:06"}, "clicked"),
        ({"markedAsSpamAt": "2024-01-01 00:00:07"}, "marked-as-spam"),
    ]
    for change, status in steps:
        pipeline.app.update("EmailOutbox", {"id": mail}, **change)
        assert one(pipeline, tenancy, "email_outboxes")["status"] == pipeline.label(status)
    row = one(pipeline, tenancy, "email_outboxes")
    subject = "rendered_subject" if pipeline.external else "subject"
    assert (row["simple_status"], row[subject], row["send_retries"]) == (pipeline.label("ok"), "Hello", 0)
    if pipeline.external:
        assert str(row["finished_sending_at"]) == "2024-01-01 00:00:03"
        assert row["sent_at"] is not None
    assert str(row["delivered_at"]) == "2024-01-01 00:00:04.500000"
    pipeline.assert_equal("email_outboxes")


def test_b33_an_unknown_tenancy_is_nobodys_error(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B33: work for a tenancy that is not there is done with nothing delivered."""
    stranger = uuid4()
    pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.admin.execute(
        "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted) "
        "select %s, 'users', 'clickhouse', last_sequence_id from dbsync.sequencer",
        [stranger],
    )
    (result,) = pipeline.sync()
    assert (result.delivery.pair.tenancy_id, result.delivery.upserted, result.delivery.error) == (stranger, 0, None)
    assert pipeline.pending() == []


def test_b34_b36_a_session(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B34, B36: with its times, and without its secret."""
    user = pipeline.app.user(tenancy)
    session = pipeline.app.session(
        tenancy, user, lastActiveAt="2024-01-02 03:04:05.678", createdAt="1969-07-20 20:17:40", refreshToken="s3cret"
    )
    row = one(pipeline, tenancy, "refresh_tokens", id=session)
    assert (row["user_id"], row["is_impersonation"], row["expires_at"]) == (user, False, None)
    assert str(row["last_used_at"]) == "2024-01-02 03:04:05.678000"
    assert str(row["created_at"]) == "1969-07-20 20:17:40"
    assert "s3cret" not in str(row)


def test_b35_a_revoked_session_disappears(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B35: the other one stays."""
    user = pipeline.app.user(tenancy)
    current, second = pipeline.app.session(tenancy, user), pipeline.app.session(tenancy, user)
    assert len(found(pipeline, tenancy, "refresh_tokens")) == 2
    pipeline.app.delete("ProjectUserRefreshToken", id=second)
    assert one(pipeline, tenancy, "refresh_tokens")["id"] == current


def test_b37_a_connected_account(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """B37: one that is bound to its user from the start, beside one that is not."""
    user = pipeline.app.user(tenancy)
    pipeline.app.account(tenancy, user, providerAccountId="known", configOAuthProviderId="spotify", allowSignIn=False)
    pipeline.app.account(tenancy, None)
    row = one(pipeline, tenancy, "connected_accounts")
    assert (row["provider_account_id"], row["user_id"], row["provider"]) == ("known", user, "spotify")
    sent = len(pipeline.versions("connected_accounts"))
    # S29: what is not exported sends nothing again.
    pipeline.app.update("ProjectUserOAuthAccount", {"projectUserId": user}, allowSignIn=True)
    pipeline.drain()
    assert len(pipeline.versions("connected_accounts")) == sent


def test_replays_count_their_chunks(pipeline: EverywhereHarness, tenancy: UUID) -> None:
    """The twelfth mapping: two uploads, a removed one, and a replay without any."""
    user = pipeline.app.user(tenancy)
    replay, empty = pipeline.app.replay(tenancy, user), pipeline.app.replay(tenancy, user)
    chunks = [pipeline.app.chunk(tenancy, replay, events=events, size=2**31 - 1) for events in (3, 4)]
    row = one(pipeline, tenancy, "session_replays", id=replay)
    assert (row["user_id"], row["chunk_count"], row["event_count"], row["byte_length"]) == (user, 2, 7, 2**32 - 2)
    assert one(pipeline, tenancy, "session_replays", id=empty)["event_count"] == 0
    pipeline.app.delete("SessionReplayChunk", id=chunks[0])
    assert one(pipeline, tenancy, "session_replays", id=replay)["event_count"] == 4
    pipeline.app.update("SessionReplayChunk", {"id": chunks[1]}, sessionReplayId=empty)
    assert one(pipeline, tenancy, "session_replays", id=replay)["chunk_count"] == 0
    assert one(pipeline, tenancy, "session_replays", id=empty)["event_count"] == 4
