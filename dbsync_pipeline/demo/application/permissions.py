"""Permissions and notification preferences: rows whose exported keys come and go, and change in place.

Who holds a permission is locked while one of its grants is added or changed, so that no two writers give it the same.
"""

import random
from uuid import UUID

from dbsync_pipeline.demo import samples
from dbsync_pipeline.demo.application.actor import Actor, Row, new_id


class PermissionTransactions(Actor):
    """Transactions on permissions of members and of users, and on preferences."""

    def grant_team_permission(self, rng: random.Random) -> bool:
        """Grant a member a permission in its team, unless it has it."""
        with self.connection.transaction():
            member = self.pick(
                rng,
                """
                select "tenancyId", "projectUserId", "teamId" from "TeamMember"
                where "tenancyId" = %s and "projectUserId" >= %s
                order by "projectUserId", "teamId" limit 1 for no key update skip locked
                """,
                self.random_tenancy(rng).id,
            )
            return member is not None and self._insert_team_grant(rng, *member, rng.choice(samples.PERMISSIONS))

    def revoke_team_permission(self, rng: random.Random) -> bool:
        """Take a permission from a member."""
        with self.connection.transaction():
            grant = self._pick_team_grant(rng)
            return grant is not None and self.write(
                'delete from "TeamMemberDirectPermission" where "id" = %s', grant[0]
            )

    def regrant_team_permission(self, rng: random.Random) -> bool:
        """Take a permission from a member and grant the same one again, as another row, in one transaction."""
        with self.connection.transaction():
            grant = self._pick_team_grant(rng)
            if grant is None:
                return False
            self.execute('delete from "TeamMemberDirectPermission" where "id" = %s', grant[0])
            return self._insert_team_grant(rng, *grant[1:])

    def change_team_permission(self, rng: random.Random) -> bool:
        """Change which permission one grant is for, in place, unless the member has that one."""
        with self.connection.transaction():
            grant = self._pick_team_grant(rng)
            permission = rng.choice(samples.PERMISSIONS)
            if grant is None:
                return False
            self.execute(
                """
                select from "TeamMember" where "tenancyId" = %s and "projectUserId" = %s and "teamId" = %s
                for no key update
                """,
                *grant[1:4],
            )
            return self.write(
                """
                update "TeamMemberDirectPermission" as granted set "permissionId" = %s, "updatedAt" = %s
                where "id" = %s and not exists (
                    select from "TeamMemberDirectPermission" as other
                    where (other."tenancyId", other."projectUserId", other."teamId", other."permissionId")
                        = (granted."tenancyId", granted."projectUserId", granted."teamId", %s)
                )
                """,
                *(permission, self.clock(), grant[0], permission),
            )

    def rename_permission(self, rng: random.Random) -> bool:
        """Rename a permission wherever a tenancy has granted it, to members and to users."""
        with self.connection.transaction():
            grant = self._pick_team_grant(rng)
            new = f"renamed:{rng.getrandbits(64):016x}"
            if grant is None:
                return False
            for statement in (
                """
                update "TeamMemberDirectPermission" set "permissionId" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "permissionId" = %s
                """,
                """
                update "ProjectUserDirectPermission" set "permissionId" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "permissionId" = %s
                """,
            ):
                self.execute(statement, new, self.clock(), grant[1], grant[-1])
            return True

    def grant_project_permission(self, rng: random.Random) -> bool:
        """Grant a user a permission, unless it has it."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            if user_id is None:
                return False
            return self._insert_project_grant(rng, tenancy.id, user_id, rng.choice(samples.PERMISSIONS))

    def revoke_project_permission(self, rng: random.Random) -> bool:
        """Take a permission from a user."""
        with self.connection.transaction():
            grant = self._pick_project_grant(rng)
            return grant is not None and self.write(
                'delete from "ProjectUserDirectPermission" where "id" = %s', grant[0]
            )

    def regrant_project_permission(self, rng: random.Random) -> bool:
        """Take a permission from a user, and grant the same one again in a second transaction."""
        with self.connection.transaction():
            grant = self._pick_project_grant(rng)
            if grant is None:
                return False
            self.execute('delete from "ProjectUserDirectPermission" where "id" = %s', grant[0])
        with self.connection.transaction():
            return self._insert_project_grant(rng, *grant[1:])

    def change_project_permission(self, rng: random.Random) -> bool:
        """Change which permission one grant is for, in place, unless the user has that one."""
        with self.connection.transaction():
            grant = self._pick_project_grant(rng)
            permission = rng.choice(samples.PERMISSIONS)
            if grant is None:
                return False
            self.execute(
                'select from "ProjectUser" where "tenancyId" = %s and "projectUserId" = %s for no key update',
                *grant[1:3],
            )
            return self.write(
                """
                update "ProjectUserDirectPermission" as granted set "permissionId" = %s, "updatedAt" = %s
                where "id" = %s and not exists (
                    select from "ProjectUserDirectPermission" as other
                    where (other."tenancyId", other."projectUserId", other."permissionId")
                        = (granted."tenancyId", granted."projectUserId", %s)
                )
                """,
                *(permission, self.clock(), grant[0], permission),
            )

    def set_preference(self, rng: random.Random) -> bool:
        """Turn a category of notifications on or off for a user."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            if user_id is None:
                return False
            category_id = new_id(random.Random(rng.randrange(4)))  # noqa: S311 (one of four fixed ids, no secret).
            return self.write(
                """
                insert into "UserNotificationPreference" (
                    "id", "tenancyId", "projectUserId", "notificationCategoryId", "enabled"
                )
                values (%s, %s, %s, %s, %s)
                on conflict ("tenancyId", "projectUserId", "notificationCategoryId")
                    do update set "enabled" = excluded."enabled"
                """,
                *(new_id(rng), tenancy.id, user_id, category_id, rng.random() < 1 / 2),
            )

    def replace_preference(self, rng: random.Random) -> bool:
        """Delete a preference and insert one for the same user and category, with another id, in one transaction."""
        with self.connection.transaction():
            preference = self.pick(
                rng,
                """
                select "tenancyId", "id", "projectUserId", "notificationCategoryId" from "UserNotificationPreference"
                where "tenancyId" = %s and "id" >= %s
                order by "id" limit 1 for no key update skip locked
                """,
                self.random_tenancy(rng).id,
            )
            if preference is None:
                return False
            tenancy_id, preference_id, user_id, category_id = preference
            self.execute(
                'delete from "UserNotificationPreference" where "tenancyId" = %s and "id" = %s',
                *(tenancy_id, preference_id),
            )
            return self.write(
                """
                insert into "UserNotificationPreference" (
                    "id", "tenancyId", "projectUserId", "notificationCategoryId", "enabled"
                )
                values (%s, %s, %s, %s, %s)
                on conflict do nothing
                """,
                *(new_id(rng), tenancy_id, user_id, category_id, rng.random() < 1 / 2),
            )

    def truncate_preferences(self, _rng: random.Random) -> bool:
        """Empty the table of preferences at one stroke; no part of the usual mix."""
        with self.connection.transaction():
            self.execute('truncate table "UserNotificationPreference"')
            return True

    def _pick_team_grant(self, rng: random.Random) -> Row | None:
        return self.pick(
            rng,
            """
            select "id", "tenancyId", "projectUserId", "teamId", "permissionId" from "TeamMemberDirectPermission"
            where "tenancyId" = %s and "projectUserId" >= %s
            order by "projectUserId", "teamId", "permissionId" limit 1 for no key update skip locked
            """,
            self.random_tenancy(rng).id,
        )

    def _pick_project_grant(self, rng: random.Random) -> Row | None:
        return self.pick(
            rng,
            """
            select "id", "tenancyId", "projectUserId", "permissionId" from "ProjectUserDirectPermission"
            where "tenancyId" = %s and "projectUserId" >= %s
            order by "projectUserId", "permissionId" limit 1 for no key update skip locked
            """,
            self.random_tenancy(rng).id,
        )

    def _insert_team_grant(self, rng: random.Random, *grant: object) -> bool:
        return self.write(
            """
            insert into "TeamMemberDirectPermission" (
                "id", "tenancyId", "projectUserId", "teamId", "permissionId", "createdAt", "updatedAt"
            )
            values (%s, %s, %s, %s, %s, %s, %s)
            on conflict do nothing
            """,
            *(new_id(rng), *grant, self.clock(), self.clock()),
        )

    def _insert_project_grant(self, rng: random.Random, tenancy_id: UUID, user_id: UUID, permission: str) -> bool:
        return self.write(
            """
            insert into "ProjectUserDirectPermission" (
                "id", "tenancyId", "projectUserId", "permissionId", "createdAt", "updatedAt"
            )
            select %s, "tenancyId", "projectUserId", %s, %s, %s
            from "ProjectUser" where "tenancyId" = %s and "projectUserId" = %s
            for key share
            on conflict do nothing
            """,
            *(new_id(rng), permission, self.clock(), self.clock(), tenancy_id, user_id),
        )
