"""A primary that streams to a hot standby, and a pipeline that reads from the standby."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from dbsync_pipeline import source
from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres, binaries
from dbsync_pipeline_tests import harness

PRIMARY = {"wal_level": "replica", "max_wal_senders": "4"}
STANDBY = {**PRIMARY, "max_standby_streaming_delay": "0", "hot_standby": "on"}


def with_settings(server: EmbeddedPostgres, settings: dict[str, str]) -> EmbeddedPostgres:
    server._settings = server._settings | settings
    return server


@dataclass
class Pair:
    """The two servers."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres
    template: str


@contextmanager
def streaming_pair(directories: pytest.TempPathFactory) -> Generator[Pair]:
    """Start a primary with the template of a source, and its standby."""
    home = directories.mktemp("standby")
    primary = EmbeddedPostgres(directories.mktemp("primary"), durable=False)
    with with_settings(primary, PRIMARY):
        harness.build_template(primary, "template_source")
        backup = [str(binaries() / "pg_basebackup"), "--dbname", primary.url(), "--pgdata", str(home / "pgdata")]
        subprocess.run([*backup, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"], check=True)
        shutil.copy(primary._home / "password", home / "password")
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (home, *home.rglob("*")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        standby = EmbeddedPostgres(Path(home), durable=False)
        with with_settings(standby, STANDBY):
            yield Pair(primary, standby, "template_source")


@pytest.fixture(scope="session")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pair]:
    """The pair that tests share, none of which may end either."""
    with streaming_pair(tmp_path_factory) as pair:
        yield pair


@dataclass
class Lagging:
    """A pipeline on a standby that a test can hold back."""

    pipeline: harness.Harness
    servers: Pair

    @contextmanager
    def standby(self) -> Generator[psycopg.Connection]:
        """Open a session on the standby, once the pipeline's database is there."""
        with source.session(self.servers.standby.url(self.pipeline.database)) as connection:
            yield connection

    @contextmanager
    def held_back(self) -> Generator[None]:
        """Let nothing new be seen on the standby for as long as this lasts."""
        with psycopg.connect(self.servers.standby.url(), autocommit=True) as connection:
            self.arrive()
            connection.execute("select pg_wal_replay_pause()")
            while connection.execute("select pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
                pass
            try:
                yield
            finally:
                connection.execute("select pg_wal_replay_resume()")

    def arrive(self) -> None:
        """Wait until the standby shows everything that there is."""
        with psycopg.connect(self.servers.primary.url(), autocommit=True) as connection:
            # One record more, so that the end of the last one is not the beginning of a page.
            row = connection.execute("select pg_logical_emit_message(false, 'test', '')").fetchone()
        with psycopg.connect(self.servers.standby.url(), autocommit=True) as connection:
            while connection.execute("select pg_last_wal_replay_lsn() >= %s", row).fetchone() != (True,):
                pass


@pytest.fixture
def lagging(
    streaming: Pair, clickhouse_server: EmbeddedClickHouse, pipeline_server: harness.Server
) -> Generator[Lagging]:
    """A pipeline with an empty source that reads from the standby."""
    server = harness.Server(
        streaming.primary, clickhouse_server, streaming.template, pipeline_server.clickhouse_database
    )
    pipeline = harness.Harness(server)
    lagging = Lagging(pipeline, streaming)
    lagging.arrive()
    pipeline.configure(replica_url=SecretStr(streaming.standby.url(pipeline.database)))
    yield lagging
    pipeline.close()
