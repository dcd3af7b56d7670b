"""Every kind of damage is found, named and repaired, in ClickHouse and in an external database."""

import uuid
from collections.abc import Callable
from uuid import UUID

import pytest

from dbsync_pipeline.verify.differences import Difference, Verified
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline.verify.scope import Scope, Share
from dbsync_pipeline_tests.harness import External, Harness


def verified(pipeline: Harness, choice: Choice | None = None, *, repair: bool = False) -> list[Verified]:
    chosen = choice or Choice(mappings=["users", "teams"])
    return list(verify(pipeline.pipeline, chosen, repair=repair, patience_seconds=0))


def differences(pipeline: Harness, choice: Choice | None = None, *, repair: bool = False) -> list[Difference]:
    found = verified(pipeline, choice, repair=repair)
    assert [entry.error for entry in found if entry.error] == []
    return [difference for entry in found for difference in entry.differences]


def mended(pipeline: Harness) -> None:
    """Repair, deliver, and look again."""
    differences(pipeline, repair=True)
    pipeline.drain()
    assert differences(pipeline) == []
    pipeline.assert_equal("users", "teams")


class Damaged:
    """A user among others, and ways to damage its copy in ClickHouse."""

    def __init__(self, pipeline: Harness) -> None:
        self.pipeline = pipeline
        self.tenancy, self.other = pipeline.app.tenancy(), pipeline.app.tenancy()
        self.user = pipeline.app.user(self.tenancy, email="ada@example.com")
        for tenancy in (self.tenancy, self.other):
            for _ in range(3):
                pipeline.app.user(tenancy)
        pipeline.drain()
        self.table = pipeline.names.table(pipeline.catalog.mapping("users"))

    def write(self, **values: str) -> None:
        """Insert another version of the user's row."""
        changed = ", ".join(f"{value} as {name}" for name, value in values.items())
        present = f"(select * from {self.table} final where id = '{self.user}')"
        self.pipeline.clickhouse.execute(f"insert into {self.table} select * replace ({changed}) from {present}")

    def vanish(self) -> None:
        self.pipeline.clickhouse.execute(f"delete from {self.table} where id = '{self.user}'")


def altered(damaged: Damaged) -> UUID:
    damaged.write(display_name="'somebody else'", sync_sequence_id="sync_sequence_id + 1")
    return damaged.tenancy


def altered_far_ahead(damaged: Damaged) -> UUID:
    damaged.write(display_name="'somebody else'", sync_sequence_id="sync_sequence_id + 1000000")
    return damaged.tenancy


def hidden_far_ahead(damaged: Damaged) -> UUID:
    damaged.write(sync_is_deleted="1", sync_sequence_id="sync_sequence_id + 1000000")
    return damaged.tenancy


def missing(damaged: Damaged) -> UUID:
    damaged.vanish()
    return damaged.tenancy


def extra(damaged: Damaged) -> UUID:
    damaged.write(id=f"toUUID('{uuid.uuid4()}')")
    return damaged.tenancy


def elsewhere(damaged: Damaged) -> UUID:
    damaged.write(project_id="'another'")
    return damaged.tenancy


def of_another_tenancy(damaged: Damaged) -> UUID:
    damaged.write(tenancy_id=f"toUUID('{damaged.other}')")
    return damaged.other


def of_no_tenancy(damaged: Damaged) -> UUID:
    nobody = uuid.uuid4()
    damaged.write(tenancy_id=f"toUUID('{nobody}')", project_id="'nobody'")
    return nobody


def stale(damaged: Damaged) -> UUID:
    pipeline = damaged.pipeline
    pipeline.clickhouse.execute("drop table if exists kept_versions")
    pipeline.clickhouse.execute(f"create table kept_versions engine = Memory as select * from {damaged.table}")
    pipeline.app.update("ProjectUser", {"projectUserId": damaged.user}, displayName="newer")
    pipeline.drain()
    damaged.vanish()
    pipeline.clickhouse.execute(f"insert into {damaged.table} select * from kept_versions where id = '{damaged.user}'")
    pipeline.clickhouse.execute("drop table kept_versions")
    return damaged.tenancy


def resurrected(damaged: Damaged) -> UUID:
    damaged.pipeline.app.delete("ContactChannel", projectUserId=damaged.user)
    damaged.pipeline.app.delete("ProjectUser", projectUserId=damaged.user)
    damaged.pipeline.drain()
    damaged.pipeline.clickhouse.execute(
        f"insert into {damaged.table} select * replace (0 as sync_is_deleted, 'back' as project_id, "
        f"sync_sequence_id + 1 as sync_sequence_id) from {damaged.table} where id = '{damaged.user}' limit 1"
    )
    return damaged.tenancy


def never_numbered(damaged: Damaged) -> UUID:
    damaged.vanish()
    admin = damaged.pipeline.admin
    admin.execute('alter table "ProjectUser" disable trigger user')
    admin.execute(
        """update "ProjectUser" set "sequenceId" = null, "shouldUpdateSequenceId" = false where "projectUserId" = %s""",
        [damaged.user],
    )
    admin.execute('alter table "ProjectUser" enable always trigger zz_dbsync_mark')
    admin.execute('alter table "ProjectUser" enable trigger user')
    return damaged.tenancy


def checkpoint_ahead(damaged: Damaged) -> UUID:
    names = damaged.pipeline.names
    damaged.pipeline.clickhouse.execute(
        f"insert into {names.checkpoint} (mapping_id, tenancy_id, epoch, sequence_id) "
        f"values ('users', '{damaged.tenancy}', 0, 5000)"
    )
    return damaged.tenancy


DAMAGE: dict[Callable[[Damaged], UUID], tuple[str, tuple[str, ...]]] = {
    altered: ("altered", ("display_name",)),
    altered_far_ahead: ("altered", ("display_name",)),
    hidden_far_ahead: ("missing", ()),
    missing: ("missing", ()),
    extra: ("extra", ()),
    elsewhere: ("extra", ("project_id",)),
    of_another_tenancy: ("wrong tenancy", ()),
    of_no_tenancy: ("wrong tenancy", ()),
    stale: ("stale", ("display_name",)),
    resurrected: ("resurrected", ()),
    never_numbered: ("never numbered", ()),
    checkpoint_ahead: ("ahead of the source", ()),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_in_clickhouse_is_found_named_and_repaired(pipeline: Harness, damage: Callable[[Damaged], UUID]) -> None:
    damaged = Damaged(pipeline)
    assert differences(pipeline) == []
    tenancy = damage(damaged)
    found = differences(pipeline)
    kind, columns = DAMAGE[damage]
    named = [entry for entry in found if entry.kind == kind]
    assert [(entry.tenancy, entry.columns) for entry in named] == [(str(tenancy), columns)], found
    if kind != "ahead of the source":
        assert set(named[0].key) == {"id"}
    assert {entry.kind for entry in found} <= {kind, "ahead of the source"}
    mended(pipeline)
