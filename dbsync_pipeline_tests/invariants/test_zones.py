"""Hosts and sessions in a zone, a date style and a locale other than the pipeline's own change no delivered value."""

import os
import subprocess
import sys

import pytest

from dbsync_pipeline_tests.harness import Harness

_DRAIN = """
import sys
from pydantic import SecretStr
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings
source, clickhouse, database = sys.argv[1:]
pipeline = Pipeline(Settings(source_url=SecretStr(source), clickhouse_url=SecretStr(clickhouse),
    clickhouse_database=database))
with pipeline.sequencer() as sequencer, pipeline.clickhouse_worker() as worker:
    while sequencer.run_pass().handled or worker.run_once():
        pass
"""

_HOSTS = {
    "half an hour off": {"TZ": "America/St_Johns"},
    "date line": {"TZ": "Pacific/Kiritimati", "PGTZ": "Pacific/Kiritimati", "PGDATESTYLE": "SQL, DMY"},
    "libpq options": {"TZ": ":Europe/Berlin", "PGOPTIONS": "-c timezone=Asia/Kolkata -c datestyle=German"},
}


@pytest.mark.parametrize("host", _HOSTS)
@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_a_process_on_a_host_elsewhere(pipeline: Harness, host: str, isolation: str) -> None:
    """The database has traps of its own; day and month of the first time can be taken for each other."""
    pipeline.admin.execute(
        f"alter database {pipeline.database} set default_transaction_isolation = '{isolation}'"  # of the list above.
    )
    tenancy = pipeline.app.tenancy()
    times = ("2024-04-05 02:30:00.001", "1969-12-31 23:59:59.999", "1900-01-01 00:00:00", "infinity", "-infinity")
    for time in times:
        user = pipeline.app.user(tenancy, signedUpAt=time, lastActiveAt=time)
        pipeline.app.session(tenancy, user, createdAt=time, lastActiveAt=time, expiresAt=time)
        pipeline.app.invitation(tenancy, pipeline.app.team(tenancy, createdAt=time), expiresAt=time, usedAt=time)
    pipeline.app.delete("ProjectUserRefreshToken", projectUserId=user)
    urls = [pipeline.url, pipeline.server.clickhouse.url, pipeline.server.clickhouse_database]
    subprocess.run([sys.executable, "-c", _DRAIN, *urls], env={**os.environ, **_HOSTS[host]}, check=True, timeout=60)
    assert pipeline.pending() == []
    pipeline.assert_equal()
    shown = {str(row["signed_up_at"]) for row in pipeline.view("users")}
    assert shown >= {"2024-04-05 02:30:00.001000", "1969-12-31 23:59:59.999000", "1900-01-01 00:00:00"}
