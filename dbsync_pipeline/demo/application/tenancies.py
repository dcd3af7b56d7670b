"""Tenancies come and go; most tables have no foreign key to them, so the rows of a deleted one stay behind."""

import random

from dbsync_pipeline.demo.application.actor import Actor, Tenancy, new_id, some_text


class TenancyTransactions(Actor):
    """Transactions on projects and tenancies."""

    def create_project(self, rng: random.Random) -> bool:
        """Add a project with its first tenancy."""
        tenancy = Tenancy(id=new_id(rng), project_id=str(new_id(rng)), branch_id="main")
        with self.connection.transaction():
            self.execute(
                """
                insert into "Project" ("id", "displayName", "isProductionMode", "createdAt", "updatedAt")
                values (%s, %s, false, %s, %s)
                """,
                *(tenancy.project_id, some_text(rng, "Project"), self.clock(), self.clock()),
            )
            self._insert_tenancy(tenancy, None, "TRUE")
        self.tenancies.append(tenancy)
        return True

    def create_sibling_tenancy(self, rng: random.Random) -> bool:
        """Add a tenancy of an organization to the project and branch of another one."""
        sibling = self.random_tenancy(rng)
        tenancy = Tenancy(id=new_id(rng), project_id=sibling.project_id, branch_id=sibling.branch_id)
        with self.connection.transaction():
            if not self.still_exists(sibling):
                return False
            self._insert_tenancy(tenancy, new_id(rng), None)
        self.tenancies.append(tenancy)
        return True

    def delete_tenancy(self, rng: random.Random) -> bool:
        """Delete one of the younger tenancies; mails and replays go with it, everything else stays."""
        tenancy = self.doomed_tenancy(rng)
        if tenancy is None:
            return False
        with self.connection.transaction():
            is_deleted = self.write('delete from "Tenancy" where "id" = %s', tenancy.id)
        self.tenancies.remove(tenancy)
        return is_deleted

    def delete_project(self, rng: random.Random) -> bool:
        """Delete the project of one of the younger tenancies, if it has no other, and with it the tenancy."""
        tenancy = self.doomed_tenancy(rng)
        if tenancy is None or any(
            other.project_id == tenancy.project_id for other in self.tenancies if other != tenancy
        ):
            return False
        with self.connection.transaction():
            is_deleted = self.write('delete from "Project" where "id" = %s', tenancy.project_id)
        self.tenancies.remove(tenancy)
        return is_deleted

    def _insert_tenancy(self, tenancy: Tenancy, organization_id: object, has_no_organization: str | None) -> None:
        self.execute(
            """
            insert into "Tenancy" (
                "id", "projectId", "branchId", "organizationId", "hasNoOrganization", "createdAt", "updatedAt"
            )
            values (%s, %s, %s, %s, %s, %s, %s)
            """,
            *(tenancy.id, tenancy.project_id, tenancy.branch_id, organization_id, has_no_organization),
            *(self.clock(), self.clock()),
        )
