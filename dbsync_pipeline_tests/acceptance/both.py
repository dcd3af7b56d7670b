"""The pipeline of the acceptance cases: what they look at is ClickHouse, or the databases of the tenancies' owners.

Every case is written once. Where it is about external databases, all tenancies keep theirs in one, which is the
hardest case: checkpoints, tables and keys are shared, rows are not.
"""

from uuid import UUID

from dbsync_pipeline_tests.harness import External, Harness, Row, Server


class EverywhereHarness(Harness):
    """A pipeline that is looked at in one kind of destination; both are delivered to."""

    def __init__(self, server: Server, *, external: bool) -> None:
        super().__init__(server)
        self.external = external
        self.externals: dict[UUID, External] = {}

    def add_tenancy(self, *, project: str | None = None) -> UUID:
        """Add a tenancy, with a database of its owner's if those are looked at."""
        tenancy = self.app.tenancy(project=project)
        if self.external:
            url = next((entry.url for entry in self.externals.values()), None)
            self.externals[tenancy] = self.configure_external(tenancy, url=url)
        return tenancy

    def label(self, value: str) -> str:
        """Return a state as it is written in the copy: an external database has the source's own words."""
        return value.upper().replace("-", "_") if self.external else value

    def shown(self, mapping_id: str, tenancy: UUID | None = None) -> list[Row]:
        """Return the rows of all tenancies, or of one."""
        if not self.external:
            return self.view(mapping_id, tenancy)
        owners = [entry for owner, entry in self.externals.items() if tenancy in (None, owner)]
        rows: list[Row] = []
        for external in owners:
            with external.session():
                rows += external.rows(mapping_id) if external.has(mapping_id) else []
        return rows

    def checkpoint(self, mapping_id: str, tenancy: UUID) -> int | None:
        """Return how far a mapping of a tenancy is durable."""
        if not self.external:
            return super().checkpoint(mapping_id, tenancy)
        return self.externals[tenancy].checkpoint(mapping_id)

    def assert_equal(self, *mapping_ids: str) -> None:
        """Compare every copy with the source."""
        super().assert_equal(*mapping_ids)
        for external in self.externals.values():
            external.assert_equal(*mapping_ids)
