"""What the built-in mappings make of the odd rows that the application can hold."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.mappings.catalog import load_catalog
from dbsync_pipeline.mappings.relation import expression, join_clause, joined, row_filter, table_name
from dbsync_pipeline.source import connect

TENANCY, OTHER, USER, TEAM = (UUID(int=number) for number in range(1, 5))
LAST_MILLISECOND = 10_413_791_999_999
FIRST_MILLISECOND = -2_208_988_800_000


@pytest.fixture
def source(source_url: str) -> Iterator[psycopg.Connection]:
    with connect(source_url) as connection:
        create_schema(connection)
        connection.execute("create schema dbsync")
        connection.execute(
            "create function dbsync.uuid_or_null(text) returns uuid language sql immutable "
            "return case when $1 ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then $1::uuid end"
        )
        yield connection


def _add(source: psycopg.Connection, table: str, **values: object) -> None:
    source.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Literal(value) for value in values.values()),
        )
    )


def _add_user(source: psycopg.Connection, **values: object) -> None:
    mirrored = {"mirroredProjectId": "p", "mirroredBranchId": "main", "updatedAt": "2024-01-01"}
    _add(source, "ProjectUser", tenancyId=TENANCY, projectUserId=USER, **mirrored, **values)


def _add_email(source: psycopg.Connection, number: int, **values: object) -> None:
    identity = {"tenancyId": TENANCY, "projectUserId": USER, "id": UUID(int=number)}
    _add(source, "ContactChannel", **identity, type="EMAIL", updatedAt="2024-01-01", **values)


def _rows(source: psycopg.Connection, mapping_id: str) -> list[dict[str, object]]:
    mapping = load_catalog().mapping(mapping_id)
    statement = sql.SQL("select {} from {} as source {} where {}").format(
        joined(
            sql.SQL("{} as {}").format(expression(column.converted), sql.Identifier(column.name))
            for column in mapping.columns_for("clickhouse")
        ),
        table_name(mapping.source),
        joined((join_clause(join) for join in mapping.joins), " "),
        row_filter(mapping),
    )
    return source.cursor(row_factory=dict_row).execute(statement).fetchall()


def test_a_user_has_its_primary_address_alone(source):
    _add_user(source, clientMetadata="null", serverMetadata="[1]")
    _add_email(source, 10, value="second@example.com", isVerified=True)
    (row,) = _rows(source, "users")
    assert (row["primary_email"], row["primary_email_verified"]) == (None, False)
    _add_email(source, 11, value="first@example.com", isVerified=True, isPrimary="TRUE")
    (row,) = _rows(source, "users")
    assert (row["primary_email"], row["primary_email_verified"]) == ("first@example.com", True)
    assert (row["client_metadata"], row["client_read_only_metadata"], row["server_metadata"]) == ({}, {}, [1])
    channels = {row["value"]: (row["is_primary"], row["used_for_auth"]) for row in _rows(source, "contact_channels")}
    assert channels == {"first@example.com": (True, False), "second@example.com": (False, False)}


@pytest.mark.parametrize(
    ("active", "millis"),
    [("2024-01-01 00:00:00.1239", 1_704_067_200_124), ("infinity", LAST_MILLISECOND), ("-infinity", FIRST_MILLISECOND)],
)
def test_a_membership_holds_its_user(source, active, millis):
    _add_user(source, displayName="Ada", lastActiveAt=active)
    mirrored = {"mirroredProjectId": "p", "mirroredBranchId": "main", "updatedAt": "2024-01-01"}
    _add(source, "Team", tenancyId=TENANCY, teamId=TEAM, displayName="Engines", **mirrored)
    _add(source, "TeamMember", tenancyId=TENANCY, projectUserId=USER, teamId=TEAM, updatedAt="2024-01-01")
    (row,) = _rows(source, "team_member_profiles")
    assert row["user"] == {
        "id": str(USER),
        "display_name": "Ada",
        "primary_email": None,
        "primary_email_verified": False,
        "profile_image_url": None,
        "is_anonymous": False,
        "last_active_at_millis": millis,
    }


@pytest.mark.parametrize(
    ("method", "email"),
    [('{"email": "a@b.c"}', "a@b.c"), ('{"email": null}', ""), ("{}", ""), ("null", ""), ('"x"', ""), ("[1]", "")],
)
def test_an_invitation(source, method, email):
    mirrored = {"mirroredBranchId": "main", "updatedAt": "2024-01-01", "displayName": "Engines"}
    _add(source, "Team", tenancyId=TENANCY, teamId=TEAM, mirroredProjectId="p", **mirrored)
    code = {"projectId": "p", "branchId": "main", "type": "TEAM_INVITATION", "updatedAt": "2024-01-01"}
    team = f'{{"team_id": "{TEAM}"}}'
    _add(source, "VerificationCode", **code, id=UUID(int=20), code="a", data=team, method=method, expiresAt="infinity")
    for number, data in enumerate(['{"team_id": "no uuid"}', "[]", "null", f'{{"team_id": "{OTHER}"}}'], start=21):
        _add(source, "VerificationCode", **code, id=UUID(int=number), code=data, data=data, expiresAt="infinity")
    (row,) = _rows(source, "team_invitations")
    assert (row["id"], row["team_id"], row["team_display_name"]) == (UUID(int=20), TEAM, "Engines")
    assert (row["recipient_email"], row["expires_at_millis"], row["used_at_millis"]) == (
        email,
        LAST_MILLISECOND,
        None,
    )
    source.execute("""update "VerificationCode" set "usedAt" = '1970-01-01 00:00:01.5'""")
    assert [row["used_at_millis"] for row in _rows(source, "team_invitations")] == [1500]


def test_an_email_has_labels_of_lower_kebab_case(source):
    _add(source, "Project", id="p", displayName="P", isProductionMode=False, updatedAt="2024-01-01")
    _add(source, "Tenancy", id=TENANCY, projectId="p", branchId="main", updatedAt="2024-01-01")
    _add(
        source,
        "EmailOutbox",
        tenancyId=TENANCY,
        id=UUID(int=30),
        createdWith="PROGRAMMATIC_CALL",
        to="{}",
        tsxSource="",
        isHighPriority=False,
        shouldSkipDeliverabilityCheck=False,
        extraRenderVariables="{}",
        scheduledAt="2024-01-01",
        updatedAt="2024-01-01",
        skippedReason="USER_HAS_NO_PRIMARY_EMAIL",
        skippedDetails="null",
    )
    (row,) = _rows(source, "email_outboxes")
    assert (row["status"], row["simple_status"], row["created_with"]) == ("skipped", "ok", "programmatic-call")
    assert (row["skipped_reason"], row["skipped_details"]) == ("user-has-no-primary-email", None)


def test_a_replay_counts_its_chunks(source):
    _add(source, "Project", id="p", displayName="P", isProductionMode=False, updatedAt="2024-01-01")
    _add(source, "Tenancy", id=TENANCY, projectId="p", branchId="main", updatedAt="2024-01-01")
    _add_user(source)
    times = {"startedAt": "2024-01-01", "lastEventAt": "2024-01-02", "updatedAt": "2024-01-02"}
    _add(source, "SessionReplay", tenancyId=TENANCY, id=UUID(int=40), projectUserId=USER, refreshTokenId=USER, **times)
    totals = ("chunk_count", "event_count", "byte_length")
    assert [tuple(row[name] for name in totals) for row in _rows(source, "session_replays")] == [(0, 0, 0)]
    chunk = {"sessionReplaySegmentId": "s", "browserSessionId": "b", "s3Key": "k", "eventCount": 2, "byteLength": 10}
    for number in (41, 42):
        owner = {"tenancyId": TENANCY, "sessionReplayId": UUID(int=40), "batchId": UUID(int=number)}
        window = {"firstEventAt": "2024-01-01", "lastEventAt": "2024-01-02"}
        _add(source, "SessionReplayChunk", id=UUID(int=number), **owner, **chunk, **window)
    assert [tuple(row[name] for name in totals) for row in _rows(source, "session_replays")] == [(2, 4, 20)]


def test_an_account_without_a_user_is_left_out(source):
    account = {"configOAuthProviderId": "github", "providerAccountId": "1", "updatedAt": "2024-01-01"}
    _add(source, "ProjectUserOAuthAccount", tenancyId=TENANCY, id=UUID(int=50), **account)
    assert _rows(source, "connected_accounts") == []
