"""A pipeline with a Dagster instance of its own, on which sensors tick and runs are executed in this process."""

import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
import sqlalchemy
from sqlalchemy.event import listen, remove

from dbsync_pipeline.definitions import build_defs
from dbsync_pipeline.defs.partitions import TENANCIES
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import clickhouse_key
from dbsync_pipeline.mappings.catalog import Catalog, load_catalog
from dbsync_pipeline.settings import BUILTIN_MAPPINGS
from dbsync_pipeline_tests.harness import Harness, builtin_catalog


@dataclass
class Deployment:
    """Dagster on one pipeline; it does what Dagster's daemon would do, one step at a time."""

    instance: dg.DagsterInstance
    databases: Databases
    defs: dg.Definitions
    cursors: dict[str, str | None] = field(default_factory=dict[str, str | None])

    def tick(self, name: str) -> dg.SensorResult:
        """Evaluate a sensor, and do with partitions and cursor what it asks for."""
        sensor = self.defs.resolve_sensor_def(name)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            definitions=self.defs,
            resources={"databases": self.databases},
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        if result.cursor is not None:
            self.cursors[name] = result.cursor
        for request in result.dynamic_partitions_requests or ():
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions("tenancy", request.partition_keys)
            else:
                for key in request.partition_keys:
                    self.instance.delete_dynamic_partition("tenancy", key)
        return result

    def skipped(self, name: str) -> str | None:
        """Evaluate a sensor and return why it skipped, or None when it asked for something."""
        reason = self.tick(name).skip_reason
        return None if reason is None else str(reason.skip_message)

    def run(self, job_name: str) -> dg.ExecuteInProcessResult:
        """Execute a job, whether it succeeds or not."""
        job = self.defs.resolve_job_def(job_name)
        return job.execute_in_process(instance=self.instance, raise_on_error=False)

    def materialize(
        self, *mapping_ids: str, keys: Sequence[str], kind: Callable[[str], dg.AssetKey] = clickhouse_key
    ) -> dg.ExecuteInProcessResult:
        """Materialize a range of partitions, from the first key to the last, in one run, as a backfill does."""
        selection = [kind(mapping_id) for mapping_id in mapping_ids]
        job = self.defs.resolve_implicit_job_def_def_for_assets(selection)
        assert job is not None
        tags = {
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        }
        chosen: dict[str, Any] = {"partition_key": keys[0]} if len(keys) == 1 else {"tags": tags}
        return job.execute_in_process(instance=self.instance, raise_on_error=False, asset_selection=selection, **chosen)

    @property
    def keys(self) -> list[str]:
        """The partition keys, in the order in which they were added."""
        return list(self.instance.get_dynamic_partitions("tenancy"))

    def recorded(
        self, mapping_id: str, tenancy: UUID | str, *, kind: Callable[[str], dg.AssetKey] = clickhouse_key
    ) -> list[dict[str, Any]]:
        """Return the metadata of every materialization of a partition, oldest first."""
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=kind(mapping_id), asset_partitions=[str(tenancy)]), limit=100
        ).records
        return [
            {name: entry.value for name, entry in record.asset_materialization.metadata.items()}
            for record in reversed(records)
            if record.asset_materialization is not None
        ]

    def materialized(self, mapping_id: str, *, kind: Callable[[str], dg.AssetKey] = clickhouse_key) -> set[str]:
        """Return the partitions of an asset that the UI shows as materialized."""
        status = self.instance.get_status_by_partition(kind(mapping_id), self.keys, TENANCIES)
        return {key for key, value in (status or {}).items() if value is not None and value.value == "MATERIALIZED"}

    def everything_said(self) -> str:
        """Return the text of every event of every run."""
        return "\n".join(str(entry) for run in self.instance.get_runs() for entry in self.instance.all_logs(run.run_id))


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Return what the failed step of a run says."""
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    user_failure = event.step_failure_data.user_failure_data
    assert user_failure is not None, event.step_failure_data.error
    return user_failure.description or ""


@pytest.fixture(scope="session", autouse=True)
def quick_sqlite() -> Generator[None]:
    """Let SQLite not wait for the disk in this process, as no server of the session does, and keep its engines.

    Dagster makes an engine anew for every event that it reads or writes, and with it compiles every statement anew.
    """

    def stop_waiting(connection: Any, _record: object) -> None:
        if type(connection).__module__ == "sqlite3":
            connection.execute("pragma synchronous = off")

    engines: dict[str, sqlalchemy.Engine] = {}

    def kept(url: str, **options: Any) -> sqlalchemy.Engine:
        if url not in engines:
            engines[url] = sqlalchemy.create_engine(url, **options)
        return engines[url]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("dagster._core.storage.event_log.sqlite.sqlite_event_log.create_engine", kept)
        listen(sqlalchemy.Engine, "connect", stop_waiting)
        yield
        remove(sqlalchemy.Engine, "connect", stop_waiting)


def open_instance(home: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}})


@pytest.fixture(scope="session")
def empty_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an empty Dagster instance; making them takes longer than most tests."""
    home = tmp_path_factory.mktemp("empty instance")
    with open_instance(home):
        return home


@pytest.fixture
def instance(empty_instance: Path, tmp_path: Path) -> Generator[dg.DagsterInstance]:
    """An empty Dagster instance on SQLite."""
    shutil.copytree(empty_instance, tmp_path / "instance")
    with open_instance(tmp_path / "instance") as instance:
        yield instance


@pytest.fixture
def settings(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that names the pipeline, with runs that end as soon as nothing is left to do."""
    settings = pipeline.pipeline.settings
    monkeypatch.setenv("DBSYNC_SOURCE_URL", settings.source_url.get_secret_value())
    monkeypatch.setenv("DBSYNC_CLICKHOUSE_URL", settings.clickhouse_url.get_secret_value())
    monkeypatch.setenv("DBSYNC_CLICKHOUSE_DATABASE", settings.clickhouse_database)
    monkeypatch.setenv("DBSYNC_EXTERNAL_PRIVATE_ADDRESSES", "true")
    monkeypatch.setenv("DBSYNC_EXTERNAL_CONNECT_SECONDS", "2")
    monkeypatch.setenv("DBSYNC_IDLE_SECONDS", "0")
    monkeypatch.setenv("DBSYNC_RUN_SECONDS", "30")
    monkeypatch.setenv("DBSYNC_REPORT_SECONDS", "0.1")


@pytest.fixture
def mappings_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the built-in mappings not be read again by every job, which took a tenth of these tests' time."""

    def load(mappings: str) -> Catalog:
        return builtin_catalog() if mappings == BUILTIN_MAPPINGS else load_catalog(mappings)

    monkeypatch.setattr("dbsync_pipeline.pipeline.load_catalog", load)


@pytest.fixture
def deployment(instance: dg.DagsterInstance, pipeline: Harness, settings: None, mappings_read_once: None) -> Deployment:
    """Dagster on the pipeline."""
    urls = pipeline.pipeline.settings
    databases = Databases(
        source_url=urls.source_url.get_secret_value(), clickhouse_url=urls.clickhouse_url.get_secret_value()
    )
    return Deployment(instance, databases, build_defs({"databases": databases}))


@pytest.fixture
def resting(settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails rests until the end of the test."""
    monkeypatch.setenv("DBSYNC_RETRY_BASE_SECONDS", "1000")
    monkeypatch.setenv("DBSYNC_RETRY_MAX_SECONDS", "1000")


def unholdable_recording(pipeline: Harness, tenancy: UUID) -> Callable[[], int]:
    """Add a recording of a negative length, which ClickHouse's column cannot hold; return what mends it."""
    user = pipeline.app.user(tenancy)
    chunk = pipeline.app.chunk(tenancy, pipeline.app.replay(tenancy, user), size=-1)
    return lambda: pipeline.app.update("SessionReplayChunk", {"id": chunk}, byteLength=1)
