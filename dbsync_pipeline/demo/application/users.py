"""Users: sign-up, profile, deletion, the ways in which a key comes back, and changes of many at once."""

import random
from uuid import UUID

from dbsync_pipeline.demo.application.actor import (
    Tenancy,
    new_email,
    new_id,
    some_document,
    some_text,
)
from dbsync_pipeline.demo.application.channels import ChannelTransactions


class UserTransactions(ChannelTransactions):
    """Transactions on users and what comes with them."""

    def sign_up(self, rng: random.Random) -> bool:
        """Add a user with a primary address, or an anonymous one; sometimes straight into a team."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = new_id(rng)
            is_anonymous = rng.random() < 1 / 10
            self._insert_user(rng, tenancy, user_id, is_anonymous=is_anonymous)
            if not is_anonymous:
                self._insert_channel(tenancy, user_id, new_id(rng), new_email(rng), is_primary=True)
            team_id = self.pick_team(rng, tenancy) if rng.random() < 1 / 4 else None
            if team_id:
                self.execute(
                    """
                    insert into "TeamMember" ("tenancyId", "projectUserId", "teamId", "createdAt", "updatedAt")
                    values (%s, %s, %s, %s, %s)
                    """,
                    *(tenancy.id, user_id, team_id, self.clock(), self.clock()),
                )
            return True

    def upgrade_anonymous_user(self, rng: random.Random) -> bool:
        """Turn a user into a named one, signed up now; most users are that already and change nothing."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            return self.write(
                """
                update "ProjectUser"
                set "isAnonymous" = false, "displayName" = %s, "signedUpAt" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s and "isAnonymous"
                """,
                *(some_text(rng, "Grace"), self.some_time(rng), self.clock(), tenancy.id, user_id),
            )

    def update_profile(self, rng: random.Random) -> bool:
        """Change a user's name, image and metadata."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            image = some_text(rng, "https://images.example.com/") if rng.random() < 1 / 2 else None
            return self.write(
                """
                update "ProjectUser"
                set "displayName" = %s, "profileImageUrl" = %s, "clientMetadata" = %s::jsonb,
                    "clientReadOnlyMetadata" = %s::jsonb, "serverMetadata" = %s::jsonb, "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s
                """,
                *(some_text(rng, "Alan"), image, some_document(rng), some_document(rng), some_document(rng)),
                *(self.clock(), tenancy.id, user_id),
            )

    def touch_activity(self, rng: random.Random) -> bool:
        """Record that a user was active, which no copy of the user shows."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            return self.write(
                """
                update "ProjectUser" set "lastActiveAt" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s
                """,
                *(self.some_time(rng), self.clock(), tenancy.id, user_id),
            )

    def restrict_user(self, rng: random.Random) -> bool:
        """Restrict a user with a reason, or lift the restriction."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            return self.write(
                """
                update "ProjectUser"
                set "restrictedByAdmin" = not "restrictedByAdmin",
                    "restrictedByAdminReason" = case when not "restrictedByAdmin" then %s::text end,
                    "restrictedByAdminPrivateDetails" = case when not "restrictedByAdmin" then %s::text end,
                    "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s
                """,
                *(some_text(rng, "Unpaid invoice"), some_text(rng, "Called support"), self.clock()),
                *(tenancy.id, user_id),
            )

    def delete_user(self, rng: random.Random) -> bool:
        """Delete a user and its sessions; foreign keys take the rest."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            return user_id is not None and self._delete_user(tenancy, user_id)

    def recreate_user(self, rng: random.Random) -> bool:
        """Delete a user and insert it again under the same key, in one transaction."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            if user_id is None:
                return False
            self._delete_user(tenancy, user_id)
            self._insert_user(rng, tenancy, user_id)
            self._insert_channel(tenancy, user_id, new_id(rng), new_email(rng), is_primary=True)
            return True

    def recreate_user_later(self, rng: random.Random) -> bool:
        """Delete a user, and in a second transaction insert it again with the same key, channel and address."""
        tenancy = self.random_tenancy(rng)
        with self.connection.transaction():
            user_id = self.pick_user(rng, tenancy)
            if user_id is None:
                return False
            channels = self.execute(
                """
                select "id", "value" from "ContactChannel"
                where "tenancyId" = %s and "projectUserId" = %s and "isPrimary" is not null
                """,
                *(tenancy.id, user_id),
            ).fetchall()
            self._delete_user(tenancy, user_id)
        with self.connection.transaction():
            self._insert_user(rng, tenancy, user_id)
            for channel_id, value in channels:
                self._insert_channel(tenancy, user_id, channel_id, value, is_primary=True)
        return True

    def move_user(self, rng: random.Random) -> bool:
        """Move a user to another tenancy of the same project and branch; the memberships do not move along."""
        with self.connection.transaction():
            candidates = [tenancy for tenancy in self.tenancies if self.siblings(tenancy)]
            if not candidates:
                return False
            tenancy = rng.choice(candidates)
            destination = rng.choice(self.siblings(tenancy))
            user_id = self.pick_user(rng, tenancy)
            if user_id is None or not self.still_exists(destination):
                return False
            key = (tenancy.id, user_id)
            self.execute('delete from "TeamMember" where "tenancyId" = %s and "projectUserId" = %s', *key)
            self.execute(
                'update "ProjectUser" set "tenancyId" = %s where "tenancyId" = %s and "projectUserId" = %s',
                *(destination.id, *key),
            )
            self.execute(
                """
                update "ProjectUserRefreshToken" set "tenancyId" = %s
                where "tenancyId" = %s and "projectUserId" = %s
                """,
                *(destination.id, *key),
            )
            return True

    def import_users(self, rng: random.Random) -> bool:
        """Insert some dozens of users and their addresses, one statement for each table."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            batch, count, now = str(new_id(rng)), rng.randrange(20, 60), self.clock()
            self.execute(
                """
                insert into "ProjectUser" (
                    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName",
                    "signedUpAt", "lastActiveAt", "createdAt", "updatedAt"
                )
                select %s, md5(%s || i)::uuid, %s, %s, 'Imported ' || i, %s, %s, %s, %s
                from generate_series(1, %s) as i
                """,
                *(tenancy.id, batch, tenancy.project_id, tenancy.branch_id, now, now, now, now, count),
            )
            return self.write(
                """
                insert into "ContactChannel" (
                    "tenancyId", "projectUserId", "id", "type", "value", "isPrimary", "isVerified", "usedForAuth",
                    "createdAt", "updatedAt"
                )
                select
                    %s, md5(%s || i)::uuid, md5('channel' || %s || i)::uuid, 'EMAIL',
                    i || '.' || %s || '@example.com', 'TRUE', false, 'TRUE', %s, %s
                from generate_series(1, %s) as i
                """,
                *(tenancy.id, batch, batch, batch, now, now, count),
            )

    def rename_users(self, rng: random.Random) -> bool:
        """Change some dozens of users in one statement."""
        with self.connection.transaction():
            tenancy, user_ids = self._pick_users(rng)
            return self.write(
                """
                update "ProjectUser" set "displayName" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = any(%s)
                """,
                *(some_text(rng, "Renamed"), self.clock(), tenancy.id, user_ids),
            )

    def purge_users(self, rng: random.Random) -> bool:
        """Delete some dozens of users and their sessions, one statement for each table."""
        with self.connection.transaction():
            tenancy, user_ids = self._pick_users(rng)
            self.execute(
                'delete from "ProjectUserRefreshToken" where "tenancyId" = %s and "projectUserId" = any(%s)',
                *(tenancy.id, user_ids),
            )
            return self.write(
                'delete from "ProjectUser" where "tenancyId" = %s and "projectUserId" = any(%s)',
                *(tenancy.id, user_ids),
            )

    def _pick_users(self, rng: random.Random) -> tuple[Tenancy, list[UUID]]:
        tenancy = self.random_tenancy(rng)
        rows = self.execute(
            """
            select "projectUserId" from "ProjectUser" where "tenancyId" = %s and "projectUserId" >= %s
            order by "projectUserId" limit %s for update skip locked
            """,
            *(tenancy.id, new_id(rng), rng.randrange(20, 60)),
        )
        return tenancy, [user_id for (user_id,) in rows]

    def _insert_user(self, rng: random.Random, tenancy: Tenancy, user_id: UUID, *, is_anonymous: bool = False) -> None:
        now = self.clock()
        self.execute(
            """
            insert into "ProjectUser" (
                "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "isAnonymous",
                "clientMetadata", "clientReadOnlyMetadata", "serverMetadata",
                "signedUpAt", "lastActiveAt", "createdAt", "updatedAt"
            )
            values (%s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s::jsonb, %s, %s, %s, %s)
            """,
            *(tenancy.id, user_id, tenancy.project_id, tenancy.branch_id),
            *(None if is_anonymous else some_text(rng, "Ada"), is_anonymous),
            *(some_document(rng), some_document(rng), some_document(rng)),
            *(self.some_time(rng), now, now, now),
        )

    def _delete_user(self, tenancy: Tenancy, user_id: UUID) -> bool:
        key = (tenancy.id, user_id)
        self.execute('delete from "ProjectUserRefreshToken" where "tenancyId" = %s and "projectUserId" = %s', *key)
        return self.write('delete from "ProjectUser" where "tenancyId" = %s and "projectUserId" = %s', *key)
