"""What is read follows what waits, also where the source's statistics are of a time when much did (I9)."""

from uuid import UUID

import pytest

from dbsync_pipeline.sequencer.sequencer import Sequencer
from dbsync_pipeline_tests.harness import Harness


def sequencer_of(pipeline: Harness) -> Sequencer:
    """Return a sequencer whose reads are counted at once."""
    return Sequencer(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns, batch_size=1_000)


@pytest.fixture
def tenancy(pipeline: Harness) -> UUID:
    """Return a tenancy of many users and tombstones, after a backlog that ANALYZE has seen."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    for statement in (
        "set session_replication_role = replica",
        """insert into "ProjectUser"
        ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt",
        "sequenceId", "shouldUpdateSequenceId")
        select "tenancyId", gen_random_uuid(), 'p', 'b', now(), nextval('dbsync.sequence_id'), i % 16 = 0
        from "ProjectUser", generate_series(1, 12000) as i""",
        """insert into dbsync.tombstone (mapping_id, tenancy_id, identity, sequence_id)
        select 'users', "tenancyId", jsonb_build_object('tenancyId', "tenancyId", 'projectUserId', gen_random_uuid()),
        case when i % 16 > 0 then nextval('dbsync.sequence_id') end
        from (select "tenancyId" from "ProjectUser" limit 1) as u, generate_series(1, 12000) as i""",
        """insert into dbsync.touch (dependant_id, match)
        select 'users.email', jsonb_build_object('tenancyId', "tenancyId", 'projectUserId', gen_random_uuid())
        from "ProjectUser" limit 500""",
        "set session_replication_role = origin",
        "analyze",
    ):
        pipeline.admin.execute(statement)
    while sequencer_of(pipeline).run_pass().handled:
        pass
    return tenancy


def rows_read(pipeline: Harness) -> int:
    """Return how many rows the admin's session has read so far, by whatever plan; others tell only now and then."""
    pipeline.admin.execute("select pg_stat_force_next_flush()")
    return pipeline.value(
        "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables "
        "where relname in ('ProjectUser', 'ContactChannel', 'tombstone', 'touch')"
    )


def test_an_idle_pass_reads_nothing(pipeline: Harness, tenancy: UUID) -> None:
    """Rows that ANALYZE has seen waiting are not looked for in the whole table once they have their numbers."""
    before = rows_read(pipeline)
    assert sequencer_of(pipeline).run_pass().handled == 0
    assert rows_read(pipeline) == before


@pytest.mark.parametrize("change", ["a row", "a deletion", "a touch"])
def test_a_pass_reads_what_waits(pipeline: Harness, tenancy: UUID, change: str) -> None:
    """One change costs a few rows, in a table of many and among tombstones of many."""
    if change == "a row":
        pipeline.app.user(tenancy)
    elif change == "a deletion":
        user = pipeline.value('select "projectUserId" from "ProjectUser" limit 1')
        pipeline.app.delete("ProjectUser", projectUserId=user)
    else:
        user = pipeline.value('select "projectUserId" from "ProjectUser" limit 1')
        pipeline.app.channel(tenancy, user, value="a@example.com")
    before = rows_read(pipeline)
    assert sequencer_of(pipeline).run_pass().handled > 0
    assert rows_read(pipeline) - before <= 50
