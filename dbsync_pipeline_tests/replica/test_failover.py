"""The source fails over: the primary is killed while everybody is at work, and its standby goes on in its place."""

from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pending.due import destinations_due, waiting
from dbsync_pipeline_tests.harness import External, Harness, Server
from dbsync_pipeline_tests.invariants.stepping import Steps, Tell, WatchedSequencer, WatchedWorker
from dbsync_pipeline_tests.replica.conftest import Pair, streaming_pair
from dbsync_pipeline_tests.verify.looking import verified

_LOGGED_AHEAD = 32
"""So many values of a sequence PostgreSQL logs before they are drawn; a standby that is promoted goes on after them."""


@dataclass
class Failing:
    """A pipeline whose source is about to fail, and the server that takes its place."""

    pipeline: Harness
    servers: Pair

    def confirm(self) -> None:
        """Acknowledge no commit from now on before the standby has it."""
        with psycopg.connect(self.servers.primary.url(), autocommit=True) as primary:
            primary.execute("alter system set synchronous_standby_names = '*'")
            primary.execute("select pg_reload_conf()")
            while primary.execute("select sync_state from pg_stat_replication").fetchall() != [("sync",)]:
                pass

    def fail_over(self) -> None:
        """Kill the primary, and promote the standby."""
        self.pipeline.configure()
        self.servers.primary.kill()
        with psycopg.connect(self.servers.standby.url(), autocommit=True) as standby:
            assert standby.execute("select pg_promote()").fetchone() == (True,)
        self.pipeline.server = replace(self.pipeline.server, postgres=self.servers.standby)


@pytest.fixture
def failing(
    tmp_path_factory: pytest.TempPathFactory, clickhouse_server: EmbeddedClickHouse, pipeline_server: Server
) -> Generator[Failing]:
    """A pipeline on a primary of its own, whose connection string names both servers, as one with a standby does."""
    with streaming_pair(tmp_path_factory) as servers:
        server = Server(servers.primary, clickhouse_server, servers.template, pipeline_server.clickhouse_database)
        pipeline = Harness(server)
        primary, standby = (
            urlsplit(entry.url()).netloc.partition("@")[2] for entry in (servers.primary, servers.standby)
        )
        both = f"{pipeline.url.replace(primary, f'{primary},{standby}')}?target_session_attrs=read-write"
        pipeline.configure(source_url=SecretStr(both))
        yield Failing(pipeline, servers)
        # Its databases go with the servers.
        pipeline.configure()
        pipeline.clickhouse.__exit__(None, None, None)


Begin = Callable[[Callable[[Tell], WatchedWorker | WatchedSequencer], str], Steps]


@pytest.fixture
def begin() -> Generator[Begin]:
    """Return what has somebody begin, and stop at a boundary."""
    with ExitStack() as stack:

        def begin(make: Callable[[Tell], WatchedWorker | WatchedSequencer], boundary: str) -> Steps:
            steps = Steps()
            made = make(steps.wait)
            stack.callback(made.close)
            stack.callback(steps.abandon)
            steps.start(made.cycle.run_once if isinstance(made, WatchedWorker) else made.sequencer.run_pass)
            steps.until(boundary)
            return steps

        yield begin


def test_the_source_fails_over_to_a_standby_that_has_all_that_was_committed(
    failing: Failing, source_url: str, begin: Begin
) -> None:
    """I1, I2, I3: what was delivered, numbered or neither is all there, and nobody of before holds anything."""
    pipeline = failing.pipeline
    tenancy = pipeline.app.tenancy()
    external = pipeline.configure_external(tenancy, url=source_url)
    for name in ("stays", "changes", "goes, numbered", "goes, not numbered", "goes, being numbered"):
        pipeline.app.user(tenancy, displayName=name)
    pipeline.app.team(tenancy, displayName="stays")
    failing.confirm()
    pipeline.drain()

    pipeline.app.update("ProjectUser", {"displayName": "changes"}, displayName="changed")
    pipeline.app.delete("ProjectUser", displayName="goes, numbered")
    pipeline.sequence()
    late = [
        begin(lambda tell: WatchedWorker(pipeline, tell=tell), "deliver"),
        begin(lambda tell: WatchedWorker(pipeline, external=external, tell=tell), "deliver"),
    ]
    pipeline.admin.execute("update dbsync.pending set lease_until = 'infinity' where lease_until is not null")
    pipeline.app.delete("ProjectUser", displayName="goes, being numbered")
    late.append(begin(lambda tell: WatchedSequencer(pipeline, tell=tell), "commit"))
    pipeline.app.delete("ProjectUser", displayName="goes, not numbered")
    pipeline.app.update("Team", {"displayName": "stays"}, displayName="stays, not numbered")
    drawn = pipeline.value("select last_value from dbsync.sequence_id")
    left = pipeline.pending()
    assert left
    failing.fail_over()

    assert pipeline.pending() == left
    assert pipeline.value("select count(*) from dbsync.pending where lease_until = 'infinity'") == len(left)
    assert pipeline.value("select count(*) from pg_locks where locktype = 'advisory'") == 0
    assert waiting(pipeline.admin, CLICKHOUSE).due
    assert [entry.destination_id for entry in destinations_due(pipeline.admin, 5)] == [external.destination_id]
    pipeline.sync()
    pipeline.sync_external()
    assert pipeline.pending() == []

    pipeline.app.user(tenancy, displayName="new")
    pipeline.drain()
    (row,) = [row for row in external.view("users") if row["display_name"] == "new"]
    assert drawn + 1 < row["sync_sequence_id"] <= drawn + 1 + _LOGGED_AHEAD
    # Who was at it sends what it had in its hands only now, and finds that nobody waits for it.
    for steps in late:
        with pytest.raises(psycopg.OperationalError):
            steps.finish()
    assert all(len(rows) == 1 for rows in _numbers(pipeline, external).values())
    names = {"stays", "changed", "new"}
    assert {row["display_name"] for row in pipeline.view("users")} == names
    assert {row["display_name"] for row in external.view("users")} == names
    pipeline.assert_equal()
    external.assert_equal()
    assert sum(entry.differing for entry in verified(pipeline)) == 0


def _numbers(pipeline: Harness, external: External) -> dict[int, set[tuple[str, object]]]:
    """Return which rows carry a sequence id, of all versions in either copy."""
    found: defaultdict[int, set[tuple[str, object]]] = defaultdict(set)
    for mapping_id in ("users", "teams"):
        for row in [*pipeline.versions(mapping_id), *external.view(mapping_id)]:
            found[row["sync_sequence_id"]].add((mapping_id, row["id"]))
    return found
