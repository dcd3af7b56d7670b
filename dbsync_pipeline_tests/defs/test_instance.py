"""The instance's file is one that Dagster takes, with either storage."""

from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType

from dbsync_pipeline.defs.instance import write_dagster_home


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_an_instance_of_the_file_works(storage: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    home = tmp_path / "home"
    url = request.getfixturevalue("source_url") if storage == "postgres" else None
    write_dagster_home(home, url)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        (limit,) = instance.get_concurrency_config().run_queue_config.tag_concurrency_limits
        assert limit == {"key": "dbsync/singleton", "value": {"applyLimitPerUniqueValue": True}, "limit": 3}
        kept = [instance.get_tick_retention_settings(kind) for kind in (InstigatorType.SENSOR, InstigatorType.SCHEDULE)]
        assert -1 not in {days for of_kind in kept for days in of_kind.values()}
        instance.report_runless_asset_event(dg.AssetMaterialization("users", partition="t"))
        assert instance.get_materialized_partitions(dg.AssetKey("users")) == {"t"}
        assert type(instance.event_log_storage).__name__.lower().startswith(storage)


def test_the_file_is_for_its_owner_alone_and_can_be_written_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_dagster_home(home, "postgresql://dagster:sesame@db/dagster")
    written = home / "dagster.yaml"
    assert (home.stat().st_mode & 0o777, written.stat().st_mode & 0o777) == (0o700, 0o600)
    assert urlsplit(written.read_text().split("postgres_url: ")[1].strip()).scheme == "postgresql+psycopg2"
    write_dagster_home(home)
    assert "sesame" not in written.read_text()
