"""Teams, their members, and the invitations to them, which no foreign key ties to the team they name."""

import json
import random
from uuid import UUID

from dbsync_pipeline.demo.application.actor import (
    Actor,
    Row,
    Tenancy,
    new_email,
    new_id,
    some_document,
    some_text,
)


class TeamTransactions(Actor):
    """Transactions on teams, memberships and verification codes."""

    def create_team(self, rng: random.Random) -> bool:
        """Add a team with its first member."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            team_id = new_id(rng)
            self.execute(
                """
                insert into "Team" (
                    "tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName",
                    "clientMetadata", "serverMetadata", "createdAt", "updatedAt"
                )
                values (%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s)
                """,
                *(tenancy.id, team_id, tenancy.project_id, tenancy.branch_id, some_text(rng, "Team")),
                *(some_document(rng), some_document(rng), self.some_time(rng), self.clock()),
            )
            user_id = self.pick_user(rng, tenancy)
            if user_id:
                self._insert_member(rng, tenancy.id, user_id, team_id)
            return True

    def rename_team(self, rng: random.Random) -> bool:
        """Change a team's name, which its invitations show."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            return self.write(
                'update "Team" set "displayName" = %s, "updatedAt" = %s where "tenancyId" = %s and "teamId" = %s',
                *(some_text(rng, "Team"), self.clock(), tenancy.id, self.pick_team(rng, tenancy)),
            )

    def update_team(self, rng: random.Random) -> bool:
        """Change a team's image and metadata, which its invitations do not show."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            return self.write(
                """
                update "Team"
                set "profileImageUrl" = %s, "clientMetadata" = %s::jsonb, "clientReadOnlyMetadata" = %s::jsonb,
                    "updatedAt" = %s
                where "tenancyId" = %s and "teamId" = %s
                """,
                *(some_text(rng, "https://images.example.com/"), some_document(rng), some_document(rng)),
                *(self.clock(), tenancy.id, self.pick_team(rng, tenancy)),
            )

    def delete_team(self, rng: random.Random) -> bool:
        """Delete a team; members and permissions go with it, its invitations stay behind."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            return self._delete_team(tenancy, self.pick_team(rng, tenancy))

    def delete_team_and_invitations(self, rng: random.Random) -> bool:
        """Delete a team after its invitations."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            team_id = self.pick_team(rng, tenancy)
            self.execute(
                """
                delete from "VerificationCode"
                where "projectId" = %s and "branchId" = %s and "type" = 'TEAM_INVITATION' and "data" @> %s::jsonb
                """,
                *(tenancy.project_id, tenancy.branch_id, json.dumps({"team_id": str(team_id)})),
            )
            return self._delete_team(tenancy, team_id)

    def recreate_team(self, rng: random.Random) -> bool:
        """Delete a team and insert it again under the same key, so that its invitations find it again."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            team_id = self.pick_team(rng, tenancy)
            if not self._delete_team(tenancy, team_id):
                return False
            return self.write(
                """
                insert into "Team" (
                    "tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName",
                    "createdAt", "updatedAt"
                )
                values (%s, %s, %s, %s, %s, %s, %s)
                """,
                *(tenancy.id, team_id, tenancy.project_id, tenancy.branch_id, some_text(rng, "Team again")),
                *(self.clock(), self.clock()),
            )

    def join_team(self, rng: random.Random) -> bool:
        """Add a user to a team, unless it is there already."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            team_id = self.pick_team(rng, tenancy)
            if user_id is None or team_id is None:
                return False
            return self._insert_member(rng, tenancy.id, user_id, team_id)

    def update_member(self, rng: random.Random) -> bool:
        """Change the name that a member goes by in one team."""
        with self.connection.transaction():
            member = self._pick_member(rng)
            return member is not None and self.write(
                """
                update "TeamMember" set "displayName" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s and "teamId" = %s
                """,
                *(some_text(rng, "Nickname") if rng.random() < 3 / 4 else None, self.clock(), *member),
            )

    def leave_team(self, rng: random.Random) -> bool:
        """Remove a member from a team, and with it its permissions there."""
        with self.connection.transaction():
            member = self._pick_member(rng)
            return member is not None and self._delete_member(member)

    def rejoin_team(self, rng: random.Random) -> bool:
        """Remove a member and add it again under the same key, in one transaction."""
        with self.connection.transaction():
            member = self._pick_member(rng)
            return member is not None and self._delete_member(member) and self._insert_member(rng, *member)

    def rejoin_team_later(self, rng: random.Random) -> bool:
        """Remove a member, and add it again under the same key in a second transaction."""
        with self.connection.transaction():
            member = self._pick_member(rng)
            if member is None:
                return False
            self._delete_member(member)
        with self.connection.transaction():
            return self._insert_member(rng, *member)

    def invite(self, rng: random.Random) -> bool:
        """Invite an address to a team."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            team_id = self.pick_team(rng, tenancy)
            if team_id is None:
                return False
            data, method = {"team_id": str(team_id)}, {"email": new_email(rng)}
            return self._insert_code(rng, tenancy, "TEAM_INVITATION", data, method)

    def issue_code(self, rng: random.Random) -> bool:
        """Issue a code of another kind, which is not for any copy."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            data = {"user_id": str(self.pick_user(rng, tenancy))}
            return self._insert_code(rng, tenancy, rng.choice(("ONE_TIME_PASSWORD", "PASSWORD_RESET")), data, None)

    def use_code(self, rng: random.Random) -> bool:
        """Mark a code as used; for an invitation, that is how it is accepted."""
        with self.connection.transaction():
            code = self._pick_code(rng)
            return code is not None and self.write(
                """
                update "VerificationCode" set "usedAt" = %s, "attemptCount" = "attemptCount" + 1, "updatedAt" = %s
                where "projectId" = %s and "branchId" = %s and "id" = %s
                """,
                *(self.some_time(rng), self.clock(), *code),
            )

    def redirect_invitation(self, rng: random.Random) -> bool:
        """Point an invitation at another team, one of the same tenancy or one that nobody knows."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            team_id = self.pick_team(rng, tenancy) if rng.random() < 3 / 4 else new_id(rng)
            code = self._pick_code(rng, tenancy)
            return code is not None and self.write(
                """
                update "VerificationCode" set "data" = %s::jsonb, "updatedAt" = %s
                where "projectId" = %s and "branchId" = %s and "id" = %s and "type" = 'TEAM_INVITATION'
                """,
                *(json.dumps({"team_id": str(team_id)}), self.clock(), *code),
            )

    def revoke_code(self, rng: random.Random) -> bool:
        """Delete a code; for an invitation, that is how it is revoked."""
        with self.connection.transaction():
            code = self._pick_code(rng)
            return code is not None and self.write(
                'delete from "VerificationCode" where "projectId" = %s and "branchId" = %s and "id" = %s', *code
            )

    def _pick_member(self, rng: random.Random) -> Row | None:
        return self.pick(
            rng,
            """
            select "tenancyId", "projectUserId", "teamId" from "TeamMember"
            where "tenancyId" = %s and "projectUserId" >= %s
            order by "projectUserId", "teamId" limit 1 for no key update skip locked
            """,
            self.random_tenancy(rng).id,
        )

    def _pick_code(self, rng: random.Random, tenancy: Tenancy | None = None) -> Row | None:
        tenancy = tenancy or self.random_tenancy(rng)
        return self.pick(
            rng,
            """
            select "projectId", "branchId", "id" from "VerificationCode"
            where "projectId" = %s and "branchId" = %s and "id" >= %s
            order by "id" limit 1 for no key update skip locked
            """,
            *(tenancy.project_id, tenancy.branch_id),
        )

    def _insert_member(self, rng: random.Random, tenancy_id: UUID, user_id: UUID, team_id: UUID) -> bool:
        return self.write(
            """
            insert into "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "createdAt", "updatedAt")
            select "tenancyId", "projectUserId", "teamId", %s, %s, %s
            from "ProjectUser" inner join "Team" using ("tenancyId")
            where "tenancyId" = %s and "projectUserId" = %s and "teamId" = %s
            for key share
            on conflict do nothing
            """,
            *(some_text(rng, "Nickname") if rng.random() < 1 / 2 else None, self.some_time(rng), self.clock()),
            *(tenancy_id, user_id, team_id),
        )

    def _delete_member(self, member: Row) -> bool:
        return self.write(
            'delete from "TeamMember" where "tenancyId" = %s and "projectUserId" = %s and "teamId" = %s', *member
        )

    def _delete_team(self, tenancy: Tenancy, team_id: UUID | None) -> bool:
        return self.write('delete from "Team" where "tenancyId" = %s and "teamId" = %s', tenancy.id, team_id)

    def _insert_code(
        self,
        rng: random.Random,
        tenancy: Tenancy,
        code_type: str,
        data: dict[str, str],
        method: dict[str, str] | None,
    ) -> bool:
        return self.write(
            """
            insert into "VerificationCode" (
                "projectId", "branchId", "id", "type", "code", "data", "method", "expiresAt", "createdAt", "updatedAt"
            )
            values (%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s, %s)
            """,
            *(tenancy.project_id, tenancy.branch_id, new_id(rng), code_type, f"secret_{rng.getrandbits(128):032x}"),
            *(json.dumps(data), json.dumps(method), self.some_time(rng), self.clock(), self.clock()),
        )
