"""`dbsync destination`, and what `dbsync sync` and `dbsync status` do with external databases."""

import json
import subprocess
from urllib.parse import urlsplit

import psycopg
import pytest
from typer.testing import CliRunner

from dbsync_pipeline.cli.main import app
from dbsync_pipeline.errors import DbsyncError, NotInstalledError
from dbsync_pipeline_tests.cli.commands import DBSYNC, Command, environment, sign_up
from dbsync_pipeline_tests.harness import External, Harness


def shut(pipeline: Harness, url: str) -> None:
    """Let nobody into a database any more, as if its server were down."""
    name = urlsplit(url).path.removeprefix("/")
    pipeline.admin.execute(f'alter database "{name}" with allow_connections false')
    pipeline.admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])


def test_a_database_from_its_addition_to_its_removal(pipeline: Harness, dbsync: Command) -> None:
    ours, _ = sign_up(pipeline, ["Ada", "Grace"]), sign_up(pipeline, ["Someone else"])
    url = pipeline.new_database()
    external = External(pipeline, ours, "main", url)
    identity, password = f"postgres:{ours}:main", urlsplit(url).password or ""
    assert dbsync("init").returncode == 0

    added = dbsync("destination", "add", url, "--tenancy", ours, "--mapping", "users", "--mapping", "teams")
    assert added.returncode == 0, added.stderr
    assert "PostgreSQL 18" in added.stdout
    assert "no TLS, 2 of 2 tables are in place." in added.stdout
    assert f"Added {identity}." in added.stdout
    assert dbsync("sync").stdout == "Delivered 5 rows.\n"
    assert sorted(row["display_name"] for row in external.view("users")) == ["Ada", "Grace"]

    (listed,) = json.loads(dbsync("destination", "list", "--json").stdout)
    place = f"127.0.0.1:{urlsplit(url).port}{urlsplit(url).path}"
    assert (listed["destination_id"], listed["place"], listed["mappings"]) == (identity, place, ["users", "teams"])
    checked = dbsync("destination", "check", identity).stdout
    assert f"{identity} is enabled, at {place}." in checked
    reached = pipeline.value("select max(reached) from dbsync.pending where destination_id = %s", identity)
    assert ["users", "there", f"{reached:,}"] in [line.split()[:3] for line in checked.splitlines()]

    assert dbsync("destination", "disable", identity).returncode == 0
    pipeline.admin.execute("""update "ProjectUser" set "displayName" = 'Countess' where "displayName" = 'Ada'""")
    assert dbsync("sync").stdout == "Delivered 1 rows.\n"
    assert sorted(row["display_name"] for row in external.view("users")) == ["Ada", "Grace"]
    refused = dbsync("sync", "--destination", identity)
    assert (refused.returncode, "is disabled" in refused.stderr) == (2, True)
    assert dbsync("destination", "enable", identity).returncode == 0
    assert dbsync("sync", "--destination", identity).stdout == "Delivered 1 rows.\n"
    assert sorted(row["display_name"] for row in external.view("users")) == ["Countess", "Grace"]

    removed = dbsync("destination", "remove", identity)
    assert (removed.returncode, "with its data" in removed.stdout) == (0, True)
    assert len(external.view("users")) == 2
    gone = dbsync("destination", "check", identity)
    assert (gone.returncode, "no external database" in gone.stderr) == (2, True)
    assert pipeline.value("select count(*) from dbsync.pending where destination_id = %s", identity) == 0
    assert password not in added.stdout + added.stderr + checked + json.dumps(listed)


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"tenancy": "nobody"}, 2, "no tenancy 'nobody'"),
        ({"mapping": "nothing"}, 2, "no mapping 'nothing'"),
        ({"name": "taken"}, 2, "has an external database 'taken' already"),
        ({"password": "hunter2"}, 3, "password authentication failed"),
        ({"port": "1"}, 3, "127.0.0.1:1/"),
        ({"private": "false"}, 2, "is at 127.0.0.1, which is not a public address"),
        ({"query": "?options=-cx"}, 2, "a connection string may not set options"),
        ({"stranger": "create table dbsync.users (id int)"}, 5, "which dbsync did not make"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_cannot_work_is_refused_in_one_line_and_not_stored(
    pipeline: Harness, change: dict[str, str], code: int, named: str
) -> None:
    tenancy = sign_up(pipeline, [])
    url = pipeline.new_database()
    pipeline.configure_external(tenancy, "taken", url=url)
    if "stranger" in change:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("create schema dbsync")
            owner.execute(change["stranger"])
    parts = urlsplit(url)
    given = (
        f"{parts.scheme}://{parts.username}:{change.get('password', parts.password)}@{parts.hostname}:"
        f"{change.get('port', parts.port)}{parts.path}{change.get('query', '')}"
    )
    options = ["--tenancy", change.get("tenancy", tenancy), "--name", change.get("name", "other")]
    if "mapping" in change:
        options += ["--mapping", change["mapping"]]
    variables = {
        "DBSYNC_SOURCE_URL": pipeline.url,
        "DBSYNC_CLICKHOUSE_URL": "http://unused/",
        "DBSYNC_EXTERNAL_PRIVATE_ADDRESSES": change.get("private", "true"),
    }
    refused = CliRunner().invoke(app, ["destination", "add", given, *options], env=variables)
    assert isinstance(refused.exception, DbsyncError), refused.output
    assert refused.exception.exit_code == code
    assert named in refused.exception.what
    assert refused.exception.mend
    said = refused.output + str(refused.exception)
    assert not any(secret in said for secret in ("hunter2", parts.password or ""))
    assert pipeline.rows("select name from dbsync.destination where kind = 'postgres'") == [("taken",)]


def test_a_secret_comes_from_standard_input_and_unchecked(pipeline: Harness, dbsync: Command) -> None:
    tenancy = sign_up(pipeline, [])
    secret = "postgresql://owner:hunter2@db.invalid/copy"
    added = subprocess.run(
        [*DBSYNC, "destination", "add", "-", "--tenancy", tenancy, "--no-check"],
        env=environment(DBSYNC_SOURCE_URL=pipeline.url, DBSYNC_CLICKHOUSE_URL=pipeline.server.clickhouse.url),
        input=f"{secret}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (added.returncode, added.stdout) == (0, f"Added postgres:{tenancy}:main.\n"), added.stderr
    assert pipeline.value("select connection from dbsync.destination where kind = 'postgres'") == secret
    listed = dbsync("destination", "list")
    assert "db.invalid:5432/copy" in listed.stdout
    checked = dbsync("destination", "check", f"postgres:{tenancy}:main")
    assert (checked.returncode, "host db.invalid is not known" in checked.stderr) == (3, True)
    assert "hunter2" not in listed.stdout + checked.stdout + checked.stderr


def test_a_dead_database_is_named_and_everything_else_is_delivered(pipeline: Harness, dbsync: Command) -> None:
    tenancy = sign_up(pipeline, ["Ada"])
    dead, alive = (pipeline.configure_external(tenancy, name) for name in ("dead", "alive"))
    assert dbsync("init").returncode == 0
    shut(pipeline, dead.url)
    synced = dbsync("sync")
    assert synced.returncode == 3, synced.stderr
    assert synced.stdout == "Delivered 2 rows.\n"
    assert f"{dead.destination_id}: " in synced.stderr
    assert "is not currently accepting connections" in synced.stderr
    assert len(alive.view("users")) == 1
    shown = dbsync("status")
    assert dead.destination_id in shown.stdout
    assert alive.destination_id not in shown.stdout
    assert "is not currently accepting connections" in dbsync("destination", "list").stdout
    # A refused row is worse than an outage: waiting does not mend it.
    alive.run("alter table dbsync.users add check (display_name <> 'Grace')")
    pipeline.admin.execute("""update "ProjectUser" set "displayName" = 'Grace'""")
    worse = dbsync("sync")
    assert worse.returncode == 6, worse.stderr
    assert worse.stdout == "Delivered 1 rows.\n"
    assert f"{alive.destination_id}: mapping users, tenancy {tenancy}, key id=" in worse.stderr
    assert f"{dead.destination_id}: " in worse.stderr
    assert dbsync("sync", "--destination", "clickhouse").returncode == 0


def test_a_source_without_the_sync_objects_says_init(source_url: str) -> None:
    for command in (["list"], ["check", "postgres:x:main"], ["add", "env:NOTHING", "--tenancy", "x"]):
        refused = CliRunner().invoke(
            app,
            ["destination", *command],
            env={"DBSYNC_SOURCE_URL": source_url, "DBSYNC_CLICKHOUSE_URL": "http://unused/"},
        )
        assert isinstance(refused.exception, NotInstalledError)
