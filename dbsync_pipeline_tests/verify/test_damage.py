"""Every kind of damage is found, named and repaired, in ClickHouse and in an external database."""

import uuid
from collections.abc import Callable
from uuid import UUID

import pytest

from dbsync_pipeline.verify.rounds import Choice
from dbsync_pipeline.verify.scope import Scope, Share
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.verify.looking import assert_mended, differences, verified

LOOKED_AT = ("users", "teams")


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
    assert differences(pipeline, *LOOKED_AT) == []
    tenancy = damage(damaged)
    found = differences(pipeline, *LOOKED_AT)
    kind, columns = DAMAGE[damage]
    named = [entry for entry in found if entry.kind == kind]
    assert [(entry.tenancy, entry.columns) for entry in named] == [(str(tenancy), columns)], found
    if kind != "ahead of the source":
        assert set(named[0].key) == {"id"}
    assert {entry.kind for entry in found} <= {kind, "ahead of the source"}
    assert_mended(pipeline, *LOOKED_AT)


def test_one_altered_value_among_many(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.run(
        """insert into "ProjectUser" ("tenancyId", "projectUserId", "displayName", "mirroredProjectId",
        "mirroredBranchId", "updatedAt") select %s, gen_random_uuid(), 'user ' || n, 'p', 'main', now()
        from generate_series(1, 10000) as n""",
        tenancy,
    )
    pipeline.drain()
    table = pipeline.names.table(pipeline.catalog.mapping("users"))
    pipeline.clickhouse.execute(
        f"insert into {table} select * replace ('user 4711 ' as display_name) from "
        f"(select * from {table} final where display_name = 'user 4711')"
    )
    (found,) = differences(pipeline, "users")
    assert (found.kind, found.columns) == ("altered", ("display_name",))
    assert_mended(pipeline, "users")


def test_more_differences_than_are_listed_are_counted_and_repaired(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    for _ in range(150):
        pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('users'))}")
    (found,) = verified(pipeline, Choice(mappings=["users"]), repair=True)
    assert (found.source_rows, found.destination_rows, found.differing, len(found.differences)) == (150, 0, 150, 100)
    pipeline.drain()
    assert differences(pipeline, "users") == []


def test_more_tenancies_that_differ_than_one_query_can_name(pipeline: Harness) -> None:
    pipeline.admin.execute(
        """
        with project as (
            insert into "Project" ("id", "displayName", "isProductionMode", "updatedAt") values ('p', 'p', false, now())
        ), tenancy as (
            insert into "Tenancy" ("id", "projectId", "branchId", "organizationId", "updatedAt")
            select gen_random_uuid(), 'p', 'main', gen_random_uuid(), now() from generate_series(1, 7000)
            returning "id"
        )
        insert into "Team"
        ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
        select "id", gen_random_uuid(), 'p', 'main', 'team', now() from tenancy
        """
    )
    pipeline.drain()
    pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('teams'))}")
    (found,) = verified(pipeline, Choice(mappings=["teams"]))
    assert (found.source_rows, found.destination_rows, found.differing) == (7_000, 0, 7_000)


def test_a_row_whose_tenancy_hangs_on_another_table(pipeline: Harness) -> None:
    app = pipeline.app
    tenancy, other = app.tenancy(), app.tenancy()
    app.invitation(tenancy, app.team(tenancy))
    app.invitation(other, app.team(other))
    pipeline.drain()
    assert differences(pipeline, "team_invitations") == []
    table = pipeline.names.table(pipeline.catalog.mapping("team_invitations"))
    present = f"(select * from {table} final where tenancy_id = '{tenancy}')"
    pipeline.clickhouse.execute(
        f"insert into {table} select * replace (toUUID('{other}') as tenancy_id) from {present}"
    )
    (found,) = differences(pipeline, "team_invitations")
    assert (found.kind, found.tenancy) == ("wrong tenancy", str(other))
    assert_mended(pipeline, "team_invitations")


def test_shares_of_the_tenancies_are_all_of_them_together(pipeline: Harness) -> None:
    tenancies = {str(pipeline.app.tenancy()) for _ in range(20)}
    for tenancy in tenancies:
        pipeline.app.user(uuid.UUID(tenancy))
    pipeline.drain()
    pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('users'))}")
    found: list[str] = []
    for number in range(3, 3 + 4):
        scope = Scope(share=Share.nth(0.25, number))
        (entry,) = verified(pipeline, Choice(scope, mappings=["users"]))
        assert entry.source_rows == entry.differing == len(scope.ids(pipeline.admin) or [])
        found += [difference.tenancy for difference in entry.differences]
    assert (len(found), set(found)) == (20, tenancies)


def test_what_is_on_its_way_is_no_difference(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy) for _ in range(3)]
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"projectUserId": users[0]}, displayName="newer")
    pipeline.app.delete("ProjectUser", projectUserId=users[1])
    pipeline.app.channel(tenancy, users[2], isPrimary="TRUE")
    pipeline.app.user(tenancy)
    pipeline.sequence()
    (found,) = verified(pipeline, Choice(mappings=["users"]))
    assert (found.differing, found.waiting) == (0, 3)


def test_what_the_sequencer_does_not_take_is_reported(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="newer")
    (found,) = differences(pipeline, "users")
    assert (found.kind, found.key) == ("never numbered", {"id": str(user)})
    pipeline.drain()
    assert differences(pipeline, "users") == []
