"""The definitions load anywhere, and show what the mappings say."""

import importlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from pydantic import SecretStr

from dbsync_pipeline.definitions import build_defs
from dbsync_pipeline.defs.checks import REPAIR_JOB
from dbsync_pipeline.defs.controls import build_control_jobs
from dbsync_pipeline.defs.jobs import EXTERNAL_SYNC_JOB, SEQUENCER_JOB, SYNC_JOB, build_jobs
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import clickhouse_key, source_key, view_key
from dbsync_pipeline.mappings.catalog import load_catalog
from dbsync_pipeline.mappings.spec import Table
from dbsync_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).parent / "definitions.txt"


def table(name: str) -> Table:
    return Table.model_validate(name)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No database is known."""
    for name in [name for name in os.environ if name.startswith("DBSYNC_")]:
        monkeypatch.delenv(name)


def describe(defs: dg.Definitions) -> str:
    """Write down everything of the definitions that a person sees in the graph, a line for each fact."""
    graph = defs.resolve_asset_graph()
    lines: list[str] = []
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        kind = "materializable" if node.is_materializable else "external"
        kinds = ", ".join(sorted(node.kinds))
        partitions = f", partitioned by {node.partitions_def.name}" if node.partitions_def is not None else ""
        lines.append(f"{key.to_user_string()}: {kind}, {kinds}, group {node.group_name}{partitions}")
        lines += [f"  from {parent.to_user_string()}" for parent in sorted(node.parent_keys)]
        if "dagster/table_name" not in node.metadata:
            continue
        lines.append(f"  table {node.metadata['dagster/table_name']}")
        if not node.metadata.get("dagster/column_lineage") or node.is_materializable:
            lines += _columns(node.metadata)
    for job in sorted(defs.resolve_all_job_defs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            place = job.run_tags.get("dbsync/singleton")
            limits = {name: job.run_tags.get(f"dagster/{name}") for name in ("priority", "max_runtime")}
            facts = [f"{name} {value}" for name, value in limits.items() if value is not None]
            facts.insert(0, f"dbsync/singleton {place}" if place else "no place of its own")
            lines.append(f"{job.name}: {', '.join(facts)}")
    for check in sorted(graph.asset_check_keys, key=lambda check: check.to_user_string()):
        lines.append(f"check {check.to_user_string()}")
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        lines.append(f"{schedule.name}: {schedule.default_status.value}, {schedule.cron_schedule}")
    for sensor in sorted(defs.sensors or (), key=lambda sensor: sensor.name):
        assert isinstance(sensor, dg.SensorDefinition)
        lines.append(f"{sensor.name}: {sensor.default_status.value}, {sensor.minimum_interval_seconds} s")
    return "\n".join(lines) + "\n"


def _columns(metadata: Mapping[str, Any]) -> list[str]:
    """A view's columns are its table's; those of the others, each with the columns that it is made of."""
    lineage = metadata.get("dagster/column_lineage")
    lines: list[str] = []
    for column in metadata["dagster/column_schema"].columns:
        sources = lineage.deps_by_column.get(column.name, []) if lineage is not None else []
        behind = ", ".join(f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in sources)
        lines.append(f"  {column.name} {column.type}{f' < {behind}' if behind else ''}")
    return lines


def test_definitions_load_without_any_database() -> None:
    module = importlib.reload(importlib.import_module("dbsync_pipeline.definitions"))
    dg.Definitions.validate_loadable(module.defs)


@pytest.mark.parametrize("group", ["clickhouse", "postgres"])
def test_a_copy_says_which_sensor_and_job_keep_it_up_to_date(group: str) -> None:
    defs = build_defs()
    targets = {sensor.name: sensor.job_name for sensor in defs.sensors or () if sensor.targets}
    graph = defs.resolve_asset_graph()
    copies = [node for node in map(graph.get, graph.get_all_asset_keys()) if node.group_name == group]
    assert copies
    for node in copies:
        sensor, job = re.findall(r"`(\w+)`", node.description or "")[-2:]
        assert targets[sensor] == job


def test_the_graph_is_as_reviewed() -> None:
    described = describe(build_defs())
    assert described == SNAPSHOT.read_text(), f"Look at the difference, then: python -m {__name__}"


def test_a_run_that_keeps_others_away_ends_by_itself() -> None:
    """Dagster has no other way to notice that its machine is gone, and two of them would fill the place for ever."""
    jobs = [job for job in build_defs().resolve_all_job_defs() if "dbsync/singleton" in job.run_tags]
    assert [job.name for job in jobs if "dagster/max_runtime" not in job.run_tags] == []


@pytest.mark.parametrize("run_seconds", [60.0, 900.0, 7_200.0])
def test_at_most_three_runs_of_a_place_are_under_way(run_seconds: float) -> None:
    """One that still records is gone before the second one after it comes: Dagster's queue lets three in."""
    settings = Settings(source_url=SecretStr("x"), clickhouse_url=SecretStr("x"), run_seconds=run_seconds)
    longest = {job.name: float(job.run_tags["dagster/max_runtime"]) for job in build_jobs(settings)}
    for job in (SYNC_JOB, EXTERNAL_SYNC_JOB):
        assert 0 < longest[job] - longest[SEQUENCER_JOB] <= run_seconds


def test_what_a_person_starts_passes_everything_in_the_queue() -> None:
    """An operator who stops delivery is not to wait behind the runs of a backfill, nor behind those that deliver."""
    priority = {job.name: int(job.run_tags.get("dagster/priority", "0")) for job in build_defs().resolve_all_job_defs()}
    controls = {priority.pop(name) for name in (*(job.name for job in build_control_jobs()), REPAIR_JOB)}
    live = {priority.pop(name) for name in (SEQUENCER_JOB, SYNC_JOB, EXTERNAL_SYNC_JOB)}
    assert min(controls) > max(live) > max(priority.values())


def test_every_asset_is_described_and_owned() -> None:
    graph = build_defs().resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert [node.key for node in nodes if not node.description or node.owners != ["team:data-platform"]] == []


def test_a_table_leads_to_its_mapping_and_changes_with_it() -> None:
    catalog = load_catalog()
    graph = build_defs().resolve_asset_graph()
    for mapping in catalog.mappings:
        node = graph.get(clickhouse_key(mapping.mapping_id))
        (reference,) = node.metadata["dagster/code_references"].code_references
        assert Path(reference.file_path).read_text().startswith(f"mapping: {mapping.mapping_id}\n")
        assert node.code_version == mapping.code_version


def test_columns_lead_through_tables_to_where_they_come_from() -> None:
    graph = build_defs().resolve_asset_graph()

    def behind(key: dg.AssetKey, column: str) -> set[tuple[dg.AssetKey, str]]:
        lineage = graph.get(key).metadata["dagster/column_lineage"].deps_by_column
        return {(dep.asset_key, dep.column_name) for dep in lineage[column]}

    assert behind(view_key("users"), "primary_email") == {(clickhouse_key("users"), "primary_email")}
    assert behind(clickhouse_key("users"), "primary_email") == {(source_key(table("ContactChannel")), "value")}
    assert behind(clickhouse_key("users"), "tenancy_id") == {(source_key(table("ProjectUser")), "tenancyId")}
    assert behind(clickhouse_key("users"), "project_id") == {(source_key(table("Tenancy")), "projectId")}
    # Through an aggregate, and with the tenancy found through a join.
    assert behind(clickhouse_key("session_replays"), "event_count") == {
        (source_key(table("SessionReplayChunk")), "eventCount")
    }
    assert behind(clickhouse_key("team_invitations"), "tenancy_id") != set()


def test_a_directory_of_other_mappings_makes_other_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_tenancy.yaml").write_text("table: app.Customer\nid: id\ntype: bigint\n")
    (tmp_path / "orders.yaml").write_text(
        "mapping: orders\ndescription: Orders.\nsource: app.Order\ntenancy: {column: customer}\nkey: [id]\n"
        "columns:\n  - {name: id, source: id, type: bigint}\n"
    )
    monkeypatch.setenv("DBSYNC_MAPPINGS", str(tmp_path))
    keys = build_defs().resolve_asset_graph().get_all_asset_keys()
    assert {key.to_user_string() for key in keys} == {
        "source/app/Order",
        "source/app/Customer",
        "clickhouse/orders",
        "analytics/orders",
        "postgres/orders",
        "dbsync/erased_tenancies",
        "dbsync/status",
    }


def test_urls_come_from_the_environment_and_are_not_shown() -> None:
    resources = build_defs().resources or {}
    databases = resources["databases"]
    assert isinstance(databases, Databases)
    assert "sesame" not in repr(Databases(source_url="postgresql://a:sesame@b/c", clickhouse_url="http://a:sesame@b/"))


def test_the_workspace_names_this_code_location() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    ((location,),) = [tuple(entry.values()) for entry in workspace["load_from"]]
    assert isinstance(importlib.import_module(location["module_name"]).defs, dg.Definitions)


if __name__ == "__main__":
    SNAPSHOT.write_text(describe(build_defs()))
