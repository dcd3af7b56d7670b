"""Contact channels: the addresses of users, of which one may be the primary one that a user's copy shows."""

import random
from uuid import UUID

from dbsync_pipeline.demo.application.actor import Actor, Tenancy, new_email, new_id


class ChannelTransactions(Actor):
    """Transactions on the addresses of users."""

    def add_channel(self, rng: random.Random) -> bool:
        """Give a user another address, not the primary one."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            if user_id is None:
                return False
            self._insert_channel(tenancy, user_id, new_id(rng), new_email(rng), is_primary=False)
            return True

    def verify_channel(self, rng: random.Random) -> bool:
        """Flip whether an address of a user is verified."""
        with self.connection.transaction():
            key = self._pick_channel(rng)
            return key is not None and self.write(
                """
                update "ContactChannel" set "isVerified" = not "isVerified", "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s and "id" = %s
                """,
                *(self.clock(), *key),
            )

    def change_address(self, rng: random.Random) -> bool:
        """Change the text of an address in place."""
        with self.connection.transaction():
            key = self._pick_channel(rng)
            return key is not None and self.write(
                """
                update "ContactChannel" set "value" = %s, "isVerified" = false, "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s and "id" = %s
                """,
                *(new_email(rng), self.clock(), *key),
            )

    def promote_channel(self, rng: random.Random) -> bool:
        """Make an address the primary one, and the one that was it an ordinary one."""
        with self.connection.transaction():
            key = self._pick_channel(rng)
            if key is None:
                return False
            self.execute(
                """
                update "ContactChannel" set "isPrimary" = null, "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s and "isPrimary" = 'TRUE'
                """,
                *(self.clock(), *key[:2]),
            )
            return self.write(
                """
                update "ContactChannel" set "isPrimary" = 'TRUE', "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s and "id" = %s
                """,
                *(self.clock(), *key),
            )

    def remove_channel(self, rng: random.Random) -> bool:
        """Remove an address, be it the primary one."""
        with self.connection.transaction():
            key = self._pick_channel(rng)
            return key is not None and self.write(
                'delete from "ContactChannel" where "tenancyId" = %s and "projectUserId" = %s and "id" = %s', *key
            )

    def _insert_channel(
        self, tenancy: Tenancy, user_id: UUID, channel_id: UUID, value: str, *, is_primary: bool
    ) -> None:
        """Add an address; the primary one is also the one to sign in with."""
        mark = "TRUE" if is_primary else None
        self.execute(
            """
            insert into "ContactChannel" (
                "tenancyId", "projectUserId", "id", "type", "value", "isPrimary", "isVerified", "usedForAuth",
                "createdAt", "updatedAt"
            )
            values (%s, %s, %s, 'EMAIL', %s, %s, false, %s, %s, %s)
            """,
            *(tenancy.id, user_id, channel_id, value, mark, mark, self.clock(), self.clock()),
        )

    def _pick_channel(self, rng: random.Random) -> tuple[UUID, UUID, UUID] | None:
        """Lock a user before its channel, so that no other address of the user is promoted meanwhile."""
        tenancy = self.random_tenancy(rng)
        user_id = self.pick_user(rng, tenancy)
        row = self.pick(
            rng,
            """
            select "tenancyId", "projectUserId", "id" from "ContactChannel"
            where "tenancyId" = %s and "projectUserId" = %s and "id" >= %s
            order by "id" limit 1 for no key update skip locked
            """,
            *(tenancy.id, user_id),
        )
        return (row[0], row[1], row[2]) if row else None
