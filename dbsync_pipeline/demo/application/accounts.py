"""What a user signs in with: OAuth accounts, which may be unbound, and sessions, which no foreign key holds."""

import random

from dbsync_pipeline.demo import samples
from dbsync_pipeline.demo.application.actor import Actor, Row, new_id, some_text


class AccountTransactions(Actor):
    """Transactions on OAuth accounts and sessions."""

    def link_account(self, rng: random.Random) -> bool:
        """Add an OAuth account of a user, with or without an address."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            if user_id is None:
                return False
            return self.write(
                """
                insert into "ProjectUserOAuthAccount" (
                    "tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "email",
                    "createdAt", "updatedAt"
                )
                values (%s, %s, %s, %s, %s, %s, %s, %s)
                on conflict do nothing
                """,
                *(tenancy.id, new_id(rng), user_id, rng.choice(samples.PROVIDERS), some_text(rng, "account")),
                *(some_text(rng, "mail") if rng.random() < 1 / 2 else None, self.clock(), self.clock()),
            )

    def unlink_account(self, rng: random.Random) -> bool:
        """Delete an account."""
        with self.connection.transaction():
            account = self._pick_account(rng)
            return account is not None and self.write(
                'delete from "ProjectUserOAuthAccount" where "tenancyId" = %s and "id" = %s', *account[:2]
            )

    def unbind_account(self, rng: random.Random) -> bool:
        """Take an account from its user; the row stays."""
        with self.connection.transaction():
            account = self._pick_account(rng)
            return account is not None and self.write(
                """
                update "ProjectUserOAuthAccount" set "projectUserId" = null, "updatedAt" = %s
                where "tenancyId" = %s and "id" = %s and "projectUserId" is not null
                """,
                *(self.clock(), *account[:2]),
            )

    def bind_account(self, rng: random.Random) -> bool:
        """Give an unbound account to a user, under an account id that the user does not have yet."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            row = self.pick(
                rng,
                """
                select "id" from "ProjectUserOAuthAccount"
                where "tenancyId" = %s and "projectUserId" is null and "id" >= %s
                order by "id" limit 1 for no key update skip locked
                """,
                tenancy.id,
            )
            return row is not None and self.write(
                """
                update "ProjectUserOAuthAccount"
                set "projectUserId" = %s, "providerAccountId" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "id" = %s
                """,
                *(user_id, f"account {rng.getrandbits(64):x}", self.clock(), tenancy.id, row[0]),
            )

    def rename_account(self, rng: random.Random) -> bool:
        """Change the provider's id of an account in place; its own id stays."""
        with self.connection.transaction():
            account = self._pick_account(rng)
            return account is not None and self.write(
                """
                update "ProjectUserOAuthAccount" set "providerAccountId" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "id" = %s
                """,
                *(f"account {rng.getrandbits(64):x}", self.clock(), *account[:2]),
            )

    def recreate_account(self, rng: random.Random) -> bool:
        """Delete an account and insert it again under the same id for the same user, in one transaction."""
        with self.connection.transaction():
            account = self._pick_account(rng)
            if account is None:
                return False
            tenancy_id, account_id, user_id = account
            self.execute(
                'delete from "ProjectUserOAuthAccount" where "tenancyId" = %s and "id" = %s', tenancy_id, account_id
            )
            return self.write(
                """
                insert into "ProjectUserOAuthAccount" (
                    "tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId",
                    "createdAt", "updatedAt"
                )
                values (%s, %s, %s, %s, %s, %s, %s)
                """,
                *(tenancy_id, account_id, user_id, rng.choice(samples.PROVIDERS)),
                *(f"account {rng.getrandbits(64):x}", self.some_time(rng), self.clock()),
            )

    def sign_in(self, rng: random.Random) -> bool:
        """Start a session of a user, with or without an end."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            if user_id is None:
                return False
            return self.write(
                """
                insert into "ProjectUserRefreshToken" (
                    "tenancyId", "id", "projectUserId", "refreshToken", "isImpersonation", "expiresAt",
                    "lastActiveAt", "createdAt", "updatedAt"
                )
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
                *(tenancy.id, new_id(rng), user_id, f"secret_{rng.getrandbits(128):032x}", rng.random() < 1 / 50),
                *(self.some_time(rng) if rng.random() < 1 / 2 else None, self.clock(), self.clock(), self.clock()),
            )

    def refresh_session(self, rng: random.Random) -> bool:
        """Record the use of a session on the session and on its user, as every request of the application does."""
        with self.connection.transaction():
            session = self._pick_session(rng)
            if session is None:
                return False
            tenancy_id, session_id, user_id = session
            now = self.clock()
            self.execute(
                """
                update "ProjectUserRefreshToken" set "lastActiveAt" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "id" = %s
                """,
                *(now, now, tenancy_id, session_id),
            )
            self.execute(
                """
                update "ProjectUser" set "lastActiveAt" = %s, "updatedAt" = %s
                where "tenancyId" = %s and "projectUserId" = %s
                """,
                *(now, now, tenancy_id, user_id),
            )
            return True

    def sign_out(self, rng: random.Random) -> bool:
        """End one session."""
        with self.connection.transaction():
            session = self._pick_session(rng)
            return session is not None and self.write(
                'delete from "ProjectUserRefreshToken" where "tenancyId" = %s and "id" = %s', *session[:2]
            )

    def sign_out_everywhere(self, rng: random.Random) -> bool:
        """End all sessions of a user, as a new password does."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            return self.write(
                'delete from "ProjectUserRefreshToken" where "tenancyId" = %s and "projectUserId" = %s',
                *(tenancy.id, user_id),
            )

    def _pick_account(self, rng: random.Random) -> Row | None:
        return self.pick(
            rng,
            """
            select "tenancyId", "id", "projectUserId" from "ProjectUserOAuthAccount"
            where "tenancyId" = %s and "id" >= %s
            order by "id" limit 1 for no key update skip locked
            """,
            self.random_tenancy(rng).id,
        )

    def _pick_session(self, rng: random.Random) -> Row | None:
        return self.pick(
            rng,
            """
            select "tenancyId", "id", "projectUserId" from "ProjectUserRefreshToken"
            where "tenancyId" = %s and "id" >= %s
            order by "id" limit 1 for no key update skip locked
            """,
            self.random_tenancy(rng).id,
        )
