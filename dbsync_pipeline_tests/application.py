"""The application, one SQL statement a method, with columns a test does not care about filled in.

It sets no flag and writes no tombstone: noticing changes is the pipeline's business. Every row gets values that are
easy to lose on the way, such as a name with quotes, and none is shared between two rows.
"""

from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

NOW = "2024-05-06 07:08:09.123"
"""In a form that every date style reads the same way."""


class Application:
    """Writers over one session; what it commits, and when, is the session's business."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def run(self, statement: str, *parameters: object) -> int:
        """Run any statement; return the rows it wrote."""
        return self.connection.execute(statement, parameters).rowcount

    def insert(self, table: str, **values: object) -> None:
        """Insert one row."""
        self.connection.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join(sql.Literal(value) for value in values.values()),
            )
        )

    def update(self, table: str, where: dict[str, object], **values: object) -> int:
        """Update rows; return how many."""
        return self.connection.execute(
            sql.SQL("update {} set {} where {}").format(
                sql.Identifier(table), _pairs(values, ", "), _pairs(where, " and ")
            )
        ).rowcount

    def delete(self, table: str, **where: object) -> int:
        """Delete rows; return how many."""
        return self.connection.execute(
            sql.SQL("delete from {} where {}").format(sql.Identifier(table), _pairs(where, " and "))
        ).rowcount

    def tenancy(self, *, project: str | None = None, branch: str = "main", tenancy_id: UUID | None = None) -> UUID:
        """Add a tenancy, of a project of its own or beside others of a project."""
        tenancy_id = tenancy_id or uuid4()
        project = project or f"project-{tenancy_id}"
        self.run(
            'insert into "Project" ("id", "displayName", "isProductionMode", "updatedAt") values (%s, %s, false, %s) '
            "on conflict do nothing",
            *(project, project, NOW),
        )
        organization = {"organizationId": uuid4()}
        self.insert("Tenancy", id=tenancy_id, projectId=project, branchId=branch, updatedAt=NOW, **organization)
        return tenancy_id

    def _mirrored(self, tenancy: UUID) -> dict[str, Any]:
        found = self.connection.execute('select "projectId", "branchId" from "Tenancy" where "id" = %s', [tenancy])
        project, branch = found.fetchone() or (f"project-{tenancy}", "main")
        return {"mirroredProjectId": project, "mirroredBranchId": branch}

    def user(self, tenancy: UUID, *, email: str | None = None, **values: Any) -> UUID:
        """Add a user, with a primary e-mail channel if an address is given."""
        user_id = values.pop("projectUserId", None) or uuid4()
        values = {"updatedAt": NOW, "displayName": f'O\'User "{user_id}"', **self._mirrored(tenancy), **values}
        self.insert("ProjectUser", tenancyId=tenancy, projectUserId=user_id, **values)
        if email is not None:
            self.channel(tenancy, user_id, value=email, isPrimary="TRUE")
        return user_id

    def channel(self, tenancy: UUID, user: UUID, **values: Any) -> UUID:
        """Add an e-mail channel, not the primary one unless said."""
        channel_id = values.pop("id", None) or uuid4()
        values = {
            "type": "EMAIL",
            "value": f"{channel_id}@example.com",
            "isVerified": False,
            "updatedAt": NOW,
            **values,
        }
        self.insert("ContactChannel", tenancyId=tenancy, projectUserId=user, id=channel_id, **values)
        return channel_id

    def team(self, tenancy: UUID, **values: Any) -> UUID:
        """Add a team."""
        team_id = values.pop("teamId", None) or uuid4()
        values = {"updatedAt": NOW, "displayName": f"Team {team_id}", **self._mirrored(tenancy), **values}
        self.insert("Team", tenancyId=tenancy, teamId=team_id, **values)
        return team_id

    def member(self, tenancy: UUID, team: UUID, user: UUID, **values: Any) -> None:
        """Add a user to a team."""
        values = {"updatedAt": NOW, **values}
        self.insert("TeamMember", tenancyId=tenancy, teamId=team, projectUserId=user, **values)

    def team_permission(self, tenancy: UUID, team: UUID, user: UUID, permission: str, **values: Any) -> UUID:
        """Grant a permission to a member."""
        grant_id = uuid4()
        key = {"tenancyId": tenancy, "teamId": team, "projectUserId": user, "permissionId": permission}
        self.insert("TeamMemberDirectPermission", id=grant_id, updatedAt=NOW, **key, **values)
        return grant_id

    def project_permission(self, tenancy: UUID, user: UUID, permission: str, **values: Any) -> UUID:
        """Grant a permission to a user."""
        grant_id = uuid4()
        key = {"tenancyId": tenancy, "projectUserId": user, "permissionId": permission}
        self.insert("ProjectUserDirectPermission", id=grant_id, updatedAt=NOW, **key, **values)
        return grant_id

    def preference(self, tenancy: UUID, user: UUID, *, enabled: bool = False, **values: Any) -> UUID:
        """Set a notification preference."""
        preference_id = uuid4()
        values = {"notificationCategoryId": uuid4(), **values}
        self.insert(
            "UserNotificationPreference",
            **{"tenancyId": tenancy, "id": preference_id, "projectUserId": user, "enabled": enabled, **values},
        )
        return preference_id

    def session(self, tenancy: UUID, user: UUID, **values: Any) -> UUID:
        """Start a session, with a secret of its own."""
        session_id = values.pop("id", None) or uuid4()
        values = {"refreshToken": f"secret-{uuid4()}", "updatedAt": NOW, **values}
        self.insert("ProjectUserRefreshToken", tenancyId=tenancy, id=session_id, projectUserId=user, **values)
        return session_id

    def account(self, tenancy: UUID, user: UUID | None, **values: Any) -> UUID:
        """Add an OAuth account, bound to a user or not."""
        account_id = values.pop("id", None) or uuid4()
        values = {
            "configOAuthProviderId": "spotify",
            "providerAccountId": f"account-{account_id}",
            "updatedAt": NOW,
            **values,
        }
        self.insert("ProjectUserOAuthAccount", tenancyId=tenancy, id=account_id, projectUserId=user, **values)
        return account_id

    def invitation(self, tenancy: UUID, team: UUID | str, email: str = "guest@example.com", **values: Any) -> UUID:
        """Invite somebody to a team, with a secret code."""
        invitation_id = values.pop("id", None) or uuid4()
        place = self._mirrored(tenancy)
        values = {
            "projectId": place["mirroredProjectId"],
            "branchId": place["mirroredBranchId"],
            "type": "TEAM_INVITATION",
            "code": f"secret-{uuid4()}",
            "data": f'{{"team_id": "{team}"}}',
            "method": f'{{"email": "{email}"}}',
            "expiresAt": "2024-06-07 08:09:10.456",
            "updatedAt": NOW,
            **values,
        }
        self.insert("VerificationCode", id=invitation_id, **values)
        return invitation_id

    def mail(self, tenancy: UUID, **values: Any) -> UUID:
        """Put a mail into the outbox."""
        mail_id = values.pop("id", None) or uuid4()
        values = {
            "createdWith": "PROGRAMMATIC_CALL",
            "tsxSource": "secret-source",
            "to": '{"type": "custom-emails", "emails": ["secret@example.com"]}',
            "extraRenderVariables": "{}",
            "isHighPriority": False,
            "shouldSkipDeliverabilityCheck": False,
            "scheduledAt": NOW,
            "updatedAt": NOW,
            **values,
        }
        self.insert("EmailOutbox", tenancyId=tenancy, id=mail_id, **values)
        return mail_id

    def replay(self, tenancy: UUID, user: UUID, **values: Any) -> UUID:
        """Start recording a session."""
        replay_id = values.pop("id", None) or uuid4()
        values = {"refreshTokenId": uuid4(), "startedAt": NOW, "lastEventAt": NOW, "updatedAt": NOW, **values}
        self.insert("SessionReplay", tenancyId=tenancy, id=replay_id, projectUserId=user, **values)
        return replay_id

    def chunk(self, tenancy: UUID, replay: UUID, *, events: int = 1, size: int = 10, **values: Any) -> UUID:
        """Upload a chunk of a recording."""
        chunk_id = uuid4()
        values = {
            "batchId": uuid4(),
            "sessionReplaySegmentId": "segment",
            "browserSessionId": "secret-browser",
            "s3Key": "secret-key",
            "eventCount": events,
            "byteLength": size,
            "firstEventAt": NOW,
            "lastEventAt": NOW,
            **values,
        }
        self.insert("SessionReplayChunk", tenancyId=tenancy, id=chunk_id, sessionReplayId=replay, **values)
        return chunk_id


def _pairs(values: dict[str, object], separator: str) -> sql.Composed:
    return sql.SQL(separator).join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in values.items()
    )
