"""`dbsync pause`, `dbsync resume` and `dbsync retry`, as a person sees them."""

import json

from dbsync_pipeline_tests.cli.commands import Command, sign_up
from dbsync_pipeline_tests.harness import Harness


def test_a_pause_from_its_beginning_to_its_end(pipeline: Harness, dbsync: Command) -> None:
    ours, theirs = sign_up(pipeline, ["Ada"]), sign_up(pipeline, ["Grace"])
    assert dbsync("init").returncode == 0
    paused = dbsync("pause", "--tenancy", ours, "--mapping", "users")
    assert paused.stdout.splitlines()[1] == f"Paused now: tenancy {ours}, mapping users."
    assert dbsync("sync").stdout == "Delivered 1 rows.\n"
    assert f"Delivery is paused: tenancy {ours}, mapping users.\n" in dbsync("status").stdout
    status = json.loads(dbsync("status", "--json").stdout)
    assert status["pauses"] == [{"tenancy": ours, "mapping_id": "users", "destination_id": None}]
    assert pipeline.value("select tenancy_id::text from dbsync.pending where reached > 0") == theirs

    assert dbsync("resume", "--tenancy", theirs).stdout.splitlines()[1] == paused.stdout.splitlines()[1]
    resumed = dbsync("resume", "--tenancy", ours, "--mapping", "users")
    assert resumed.stdout == "1 pairs of tenancy and mapping may go on.\nPaused now: nothing.\n"
    assert dbsync("sync").stdout == "Delivered 1 rows.\n"
    assert dbsync("retry").stdout == "Due at once: 0 pairs of tenancy and mapping.\n"


def test_a_paused_sequencer_is_said(pipeline: Harness, dbsync: Command) -> None:
    sign_up(pipeline, ["Ada"])
    assert dbsync("init").returncode == 0
    assert dbsync("pause", "--sequencer").returncode == 0
    assert "The sequencer is paused." in dbsync("status").stdout
    assert dbsync("sync").stdout == "Delivered 0 rows.\n"
    refused = dbsync("resume")
    assert (refused.returncode, "nothing is chosen" in refused.stderr) == (1, True)
