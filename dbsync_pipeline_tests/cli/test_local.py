"""Dagster of `dbsync dev` and `dbsync demo`: what happens to the directory it keeps its things in."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from dbsync_pipeline.cli.local import local_dagster
from dbsync_pipeline.embedded import process
from dbsync_pipeline.errors import EmbeddedServiceError
from dbsync_pipeline.settings import Settings

ANOTHER = Settings(source_url=SecretStr("postgresql://another/"), clickhouse_url=SecretStr("http://another/"))


def test_who_comes_second_changes_nothing_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other terminals source `env`: it must not lead them to the databases of a command that did not even start."""
    monkeypatch.setattr(process, "_LOCK_SECONDS", 0)
    files = (tmp_path / "env", tmp_path / "dagster" / "dagster.yaml")
    with process.locked("Dagster", tmp_path / "dagster"):
        for file in files:
            file.write_text("of the first")
        with (
            pytest.raises(EmbeddedServiceError, match="is in use"),
            local_dagster(tmp_path, ANOTHER, None, embedded_postgres=False),
        ):
            pass
    assert [file.read_text() for file in files] == ["of the first"] * 2


def test_a_directory_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(EmbeddedServiceError, match="cannot be used"),
        local_dagster(tmp_path / "file", ANOTHER, None, embedded_postgres=False),
    ):
        pass
