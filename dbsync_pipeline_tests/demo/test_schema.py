import uuid
from collections.abc import Generator

import psycopg
import pytest

from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.source import connect
from dbsync_pipeline_tests.demo.contents import count, table_names

TABLES = [
    "ContactChannel",
    "EmailOutbox",
    "Project",
    "ProjectUser",
    "ProjectUserDirectPermission",
    "ProjectUserOAuthAccount",
    "ProjectUserRefreshToken",
    "SessionReplay",
    "SessionReplayChunk",
    "Team",
    "TeamMember",
    "TeamMemberDirectPermission",
    "Tenancy",
    "UserNotificationPreference",
    "VerificationCode",
]
SYNC_COLUMNS = "column_name in ('sequenceId', 'shouldUpdateSequenceId')"

DRAFT = {"createdWith": "'DRAFT'", "emailDraftId": "'d'"}
RENDERING = {"renderedByWorkerId": "gen_random_uuid()", "startedRenderingAt": "now()"}
RENDERED = RENDERING | {"finishedRenderingAt": "now()", "renderedSubject": "'s'"}
RENDER_ERROR = RENDERING | {
    "finishedRenderingAt": "now()",
    "renderErrorExternalMessage": "'e'",
    "renderErrorExternalDetails": "'{}'",
    "renderErrorInternalMessage": "'e'",
    "renderErrorInternalDetails": "'{}'",
}
SENDING = RENDERED | {"startedSendingAt": "now()"}
SENT = SENDING | {"finishedSendingAt": "now()", "canHaveDeliveryInfo": "false"}
TRACKED = SENT | {"canHaveDeliveryInfo": "true"}
DELIVERED = TRACKED | {"deliveredAt": "now()"}
SERVER_ERROR = SENT | {
    "sendServerErrorExternalMessage": "'e'",
    "sendServerErrorExternalDetails": "'{}'",
    "sendServerErrorInternalMessage": "'e'",
    "sendServerErrorInternalDetails": "'{}'",
}
SKIPPED = {"skippedReason": "'MANUALLY_CANCELLED'", "skippedDetails": "'null'"}


@pytest.fixture
def connection(source_url: str) -> Generator[psycopg.Connection]:
    with connect(source_url) as connection:
        create_schema(connection)
        yield connection


@pytest.fixture(scope="module")
def outbox(postgres_server: EmbeddedPostgres) -> Generator[psycopg.Connection]:
    """A connection to a database that all mails of this module go into."""
    with connect(postgres_server.create_database(f"outbox_{uuid.uuid4().hex[:12]}")) as connection:
        create_schema(connection)
        yield connection


@pytest.fixture(scope="module")
def tenancy(outbox: psycopg.Connection) -> str:
    outbox.execute("""insert into "Project" values ('p', 'P', false, now(), now())""")
    row = outbox.execute(
        """
        insert into "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
        values (gen_random_uuid(), 'p', 'main', 'TRUE', now()) returning "id"::text
        """
    ).fetchone()
    return row[0]


def insert_email(connection: psycopg.Connection, tenancy: str, values: dict[str, str]) -> tuple[str, str, bool]:
    columns = {
        "tenancyId": f"'{tenancy}'",
        "id": "gen_random_uuid()",
        "createdWith": "'PROGRAMMATIC_CALL'",
        "tsxSource": "''",
        "to": "'{}'",
        "extraRenderVariables": "'{}'",
        "isHighPriority": "false",
        "shouldSkipDeliverabilityCheck": "false",
        "scheduledAt": "now()",
        "updatedAt": "now()",
    } | values
    names = ", ".join(f'"{name}"' for name in columns)
    return connection.execute(
        f'insert into "EmailOutbox" ({names}) values ({", ".join(columns.values())}) '
        'returning "status"::text, "simpleStatus"::text, "sentAt" is not null'
    ).fetchone()


def test_creates_the_applications_tables_and_nothing_of_a_sync(connection: psycopg.Connection) -> None:
    assert table_names(connection) == TABLES
    assert count(connection, f"select count(*) from information_schema.columns where {SYNC_COLUMNS}") == 0
    assert count(connection, "select count(*) from pg_sequences") == 0


def test_legacy_adds_what_a_hand_marked_sync_has(source_url: str) -> None:
    with connect(source_url) as connection:
        create_schema(connection, legacy=True)
        assert set(table_names(connection)) - set(TABLES) == {
            "DeletedRow",
            "ExternalDbSyncMetadata",
            "OutgoingRequest",
        }
        # Twelve synced tables and the tombstones.
        assert count(connection, f"select count(*) from information_schema.columns where {SYNC_COLUMNS}") == 26
        assert count(connection, "select increment_by from pg_sequences where sequencename = 'global_seq_id'") == 11
        unique = "select count(*) from pg_indexes where indexdef like 'CREATE UNIQUE%(\"sequenceId\")'"
        assert count(connection, unique) == 13


def test_refuses_a_database_that_has_the_tables_and_changes_nothing(connection: psycopg.Connection) -> None:
    connection.execute('drop table "SessionReplayChunk"')
    with pytest.raises(DbsyncError, match="already holds the application's tables"):
        create_schema(connection)
    assert "SessionReplayChunk" not in table_names(connection)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"isPaused": "true"}, ("PAUSED", "IN_PROGRESS", False)),
        (SKIPPED, ("SKIPPED", "OK", False)),
        (DRAFT, ("PREPARING", "IN_PROGRESS", False)),
        (RENDERING, ("RENDERING", "IN_PROGRESS", False)),
        (RENDER_ERROR, ("RENDER_ERROR", "ERROR", False)),
        (RENDERED, ("SCHEDULED", "IN_PROGRESS", False)),
        (RENDERED | {"isQueued": "true"}, ("QUEUED", "IN_PROGRESS", False)),
        (SENDING, ("SENDING", "IN_PROGRESS", False)),
        (SERVER_ERROR, ("SERVER_ERROR", "ERROR", True)),
        (SENT, ("SENT", "OK", True)),
        (TRACKED, ("SENDING", "IN_PROGRESS", False)),
        (TRACKED | {"bouncedAt": "now()"}, ("SENDING", "ERROR", False)),
        (TRACKED | {"deliveryDelayedAt": "now()"}, ("SENDING", "IN_PROGRESS", False)),
        (DELIVERED, ("SENT", "OK", True)),
        (DELIVERED | {"openedAt": "now()"}, ("OPENED", "OK", True)),
        (DELIVERED | {"openedAt": "now()", "clickedAt": "now()"}, ("CLICKED", "OK", True)),
        (DELIVERED | {"openedAt": "now()", "markedAsSpamAt": "now()"}, ("MARKED_AS_SPAM", "OK", True)),
    ],
)
def test_state_of_a_mail_follows_from_its_steps(
    outbox: psycopg.Connection, tenancy: str, values: dict[str, str], expected: tuple[str, str, bool]
) -> None:
    assert insert_email(outbox, tenancy, values) == expected


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("draft", {"createdWith": "'DRAFT'"}),
        ("draft", {"emailDraftId": "'d'"}),
        ("template", DRAFT | {"emailProgrammaticCallTemplateId": "'t'"}),
        ("click_implies_open", DELIVERED | {"clickedAt": "now()"}),
        ("delivery_exclusive", DELIVERED | {"bouncedAt": "now()"}),
        ("skipped", {"skippedReason": "'NO_EMAIL_PROVIDED'"}),
        ("skipped", {"skippedDetails": "'{}'"}),
        ("delivery_info", SENDING | {"canHaveDeliveryInfo": "false"}),
        ("delivery_info", SENDING | {"finishedSendingAt": "now()"}),
        ("render_worker", {"startedRenderingAt": "now()"}),
        ("render_order", {"finishedRenderingAt": "now()", "renderedSubject": "'s'"}),
        ("send_order", RENDERED | {"finishedSendingAt": "now()", "canHaveDeliveryInfo": "false"}),
        ("render_result", RENDERING | {"finishedRenderingAt": "now()"}),
        ("render_result", RENDER_ERROR | {"renderedHtml": "''"}),
        ("render_result", RENDERED | {"renderErrorExternalMessage": "'e'"}),
        ("unsent", SENDING | {"openedAt": "now()"}),
        ("server_error", SENT | {"sendServerErrorExternalMessage": "'e'"}),
    ],
)
def test_impossible_mails_are_refused(
    outbox: psycopg.Connection, tenancy: str, constraint: str, values: dict[str, str]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        insert_email(outbox, tenancy, values)
    assert error.value.diag.constraint_name == f"EmailOutbox_{constraint}_check"
