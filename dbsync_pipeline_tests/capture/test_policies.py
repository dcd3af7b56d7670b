"""Policies of the application: what they hide from the role that everything is run as is an error, never missing."""

from collections.abc import Generator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from dbsync_pipeline import source
from dbsync_pipeline.sequencer.sequencer import Sequencer
from dbsync_pipeline_tests.harness import Harness

_ROLE = "dbsync_test_bound_by_policies"


@pytest.fixture
def bound(pipeline: Harness) -> Generator[psycopg.Connection]:
    """A session of a role that has every right, and that a policy of the teams hides all of them from."""
    pipeline.admin.execute(f"""
        create role {_ROLE} login password 'bound';
        grant usage on schema public, dbsync to {_ROLE};
        grant all on all tables in schema public, dbsync to {_ROLE};
        grant all on all sequences in schema dbsync to {_ROLE};
        alter table "Team" enable row level security;
        create policy everything on "Team" using (true);
        create policy nothing on "Team" as restrictive to {_ROLE} using (false);
    """)
    parts = urlsplit(pipeline.url)
    url = urlunsplit(parts._replace(netloc=f"{_ROLE}:bound@{parts.hostname}:{parts.port}"))
    with source.session(url) as connection:
        yield connection
    pipeline.admin.execute(f"drop owned by {_ROLE} cascade; drop role {_ROLE}")


def test_a_table_whose_rows_a_policy_hides_cannot_be_numbered(pipeline: Harness, bound: psycopg.Connection) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.team(tenancy)
    sequencer = Sequencer(bound, pipeline.catalog, pipeline.pipeline.columns, batch_size=100)
    assert "row-level security policy" in sequencer.run_pass().errors["Team"]


def test_a_truncate_of_rows_that_a_policy_hides_is_made_up_for(pipeline: Harness, bound: psycopg.Connection) -> None:
    """I3: the function of the trigger sees no row, either."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.team(tenancy)
    pipeline.drain()
    assert len(pipeline.view("teams")) == 1
    pipeline.admin.execute(f"""
        grant create on schema dbsync to {_ROLE};
        alter function dbsync."truncate_Team"() owner to {_ROLE};
    """)
    with pipeline.write() as application:
        application.execute('truncate "Team" cascade')
    pipeline.drain()
    assert pipeline.view("teams") == []
    pipeline.assert_synced()
