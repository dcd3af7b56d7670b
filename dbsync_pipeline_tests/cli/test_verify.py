"""`dbsync verify` and `dbsync wait` as a person types them."""

import json

from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline_tests.cli.commands import Command, sign_up
from dbsync_pipeline_tests.harness import Harness


def test_damage_is_named_and_repaired(pipeline: Harness, dbsync: Command, clickhouse_database_prefix: str) -> None:
    tenancy = sign_up(pipeline, ["Ada", "Grace"])
    external = pipeline.configure_external(pipeline.value('select id from "Tenancy"'))
    assert dbsync("init").returncode == 0
    assert dbsync("sync").returncode == 0
    assert "never" in dbsync("verify", "--last").stdout
    equal = dbsync("verify")
    assert equal.returncode == 0, equal.stderr
    external.run("update dbsync.users set display_name = 'Eve' where display_name = 'Ada'")
    with ClickHouse(pipeline.server.clickhouse.url) as clickhouse:
        table = f"{clickhouse_database_prefix}_internal.users"
        clickhouse.execute(f"delete from {table} where display_name = 'Grace'")

    damaged = dbsync("verify", "--mapping", "users", COLUMNS="80")
    assert damaged.returncode == 7
    user = pipeline.value("""select "projectUserId" from "ProjectUser" where "displayName" = 'Ada'""")
    assert [line.count(external.destination_id) for line in damaged.stdout.splitlines() if "altered" in line] == [1]
    assert f"{tenancy}   id={user}   display_name" in damaged.stdout
    assert "2 rows differ: users" in damaged.stderr
    assert "missing" in damaged.stdout
    assert "altered" in damaged.stdout
    assert "display_name" in damaged.stdout
    assert tenancy in damaged.stdout
    assert "Eve" not in damaged.stdout

    last = dbsync("verify", "--last", "--mapping", "users", COLUMNS="80")
    assert external.destination_id in last.stdout
    assert (last.returncode, "2 of 2 copies of a tenancy's rows differed" in last.stderr) == (7, True)
    assert "teams" not in last.stdout
    named = dbsync("verify", "--last", "--tenancy", tenancy, "--destination", "clickhouse", "--json").stdout
    assert {line["mapping_id"]: line["differing"] for line in json.loads(named)}["users"] == 1
    assert dbsync("verify", "--last", "--repair").returncode == 2

    found = json.loads(
        dbsync("verify", "--json", "--mapping", "users", "--destination", external.destination_id).stdout
    )
    ((entry,),) = [line["differences"] for line in found]
    key = {"id": str(pipeline.value("""select "projectUserId" from "ProjectUser" where "displayName" = 'Ada'"""))}
    assert (entry["kind"], entry["tenancy"], entry["key"], entry["columns"]) == (
        *("altered", tenancy, key),
        ["display_name"],
    )
    assert (found[0]["differing"], found[0]["source_rows"]) == (1, 2)

    repaired = dbsync("verify", "--repair", "--destination", external.destination_id)
    assert (repaired.returncode, "altered" in repaired.stdout) == (0, True), repaired.stderr
    # What was found before the repair is no part of the one array.
    again = dbsync("verify", "--repair", "--json")
    assert again.returncode == 0, again.stderr
    assert {entry["differing"] for entry in json.loads(again.stdout)} == {0}
    assert {row["display_name"] for row in external.view("users")} == {"Ada", "Grace"}
    assert dbsync("verify").returncode == 0


def test_what_cannot_be_looked_at(pipeline: Harness, dbsync: Command) -> None:
    sign_up(pipeline, ["Ada"])
    assert dbsync("init").returncode == 0
    assert dbsync("sync").returncode == 0
    pipeline.configure_external(
        pipeline.value('select id from "Tenancy"'), url="postgresql://owner:sesame@127.0.0.1:1/shop", mappings=["users"]
    )
    shown = dbsync("verify")
    assert (shown.returncode, "1 of 13 comparisons were not possible" in shown.stderr) == (3, True)
    assert "sesame" not in shown.stdout + shown.stderr
    assert dbsync("verify", "--destination", "clickhouse", "--sample", "0.5").returncode == 0
    unknown = dbsync("verify", "--tenancy", "nobody")
    assert (unknown.returncode, "no tenancy 'nobody'" in unknown.stderr) == (2, True)


def test_wait(pipeline: Harness, dbsync: Command) -> None:
    tenancy = sign_up(pipeline, ["Ada"])
    assert dbsync("init").returncode == 0
    behind = dbsync("wait", "--tenancy", tenancy, "--timeout", "0")
    assert (behind.returncode, f"tenancy {tenancy} is behind" in behind.stderr) == (9, True)
    assert dbsync("sync").returncode == 0
    complete = dbsync("wait", "--tenancy", tenancy)
    assert (complete.returncode, int(complete.stdout) > 0) == (0, True)
    assert dbsync("wait", "--tenancy", tenancy, "--sequence", "soon").returncode == 2
