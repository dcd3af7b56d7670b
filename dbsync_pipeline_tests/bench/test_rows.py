"""Every benchmark runs through the real code, at a size at which its numbers mean nothing, and gives its rows."""

import math
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import external_load
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.bench import Bench
from benchmarks.picture import draw
from benchmarks.probes import Lag
from benchmarks.report import Measurement, document_of, measurement, save, table_of
from benchmarks.row import Row, Target
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres

_ROWS = {
    "first_load_clickhouse": ["first_load_clickhouse", "memory_worker"],
    "first_load_postgres": [
        "first_load_postgres_statement_per_row",
        "first_load_postgres_bare",
        "memory_external_worker",
    ],
    "incremental_postgres": ["incremental_postgres_statement_per_row", "incremental_postgres_bare"],
    "sequencer": ["sequencer"],
    "capture_overhead": [
        "capture_overhead_mix",
        "capture_overhead_update",
        "capture_overhead_unseen",
        "capture_overhead_insert",
        "capture_overhead_delete",
        "capture_overhead_bulk_insert",
    ],
    "commit_to_clickhouse": [
        "commit_to_clickhouse_p50",
        "commit_to_clickhouse_p95",
        "commit_to_clickhouse_p99",
        "commit_to_clickhouse_processor",
    ],
    "commit_to_clickhouse_dagster": [
        "commit_to_clickhouse_dagster_p50",
        "commit_to_clickhouse_dagster_p95",
        "commit_to_clickhouse_dagster_p99",
    ],
    "commit_to_postgres": [
        "commit_to_postgres_p50",
        "commit_to_postgres_p95",
        "commit_to_postgres_p99",
        "commit_to_postgres_processor",
        "commit_to_postgres_turns",
    ],
    "sweep_ten_thousand_tenancies": ["sweep_ten_thousand_tenancies", "sweep_inserts_per_batch", "sweep_parts"],
    "fairness": ["fairness_p99", "memory_worker_5m"],
    "takeover": ["takeover_longest_lag"],
    "scaling": [
        "scaling_external_2_workers",
        "scaling_external_4_workers",
        "scaling_clickhouse_2_workers",
        "scaling_clickhouse_4_workers",
    ],
    "idle": [
        "idle_sequencer_statements",
        "idle_sequencer_tick",
        "idle_worker_statements",
        "idle_worker_tick",
    ],
    "verify": ["verify", "verify_one_altered"],
}
_SLOW = Row(name="slow", value=2.5, unit="s", contains="A row.", target=Target("value", "<=", 1))
_FAST = Row(
    name="fast",
    value=3_000,
    unit="rows/s",
    contains="Another.",
    rival="the usual way",
    rival_value=2_000,
    ratio=1.5,
    target=Target("ratio", ">=", 1.3),
)


@pytest.fixture
def bench(postgres_server: EmbeddedPostgres, clickhouse_server: EmbeddedClickHouse) -> Generator[Bench]:
    yield Bench(postgres_server, clickhouse_server.url, scale=0.0005, say=lambda _text: None)
    with ClickHouse(clickhouse_server.url) as clickhouse:
        for (name,) in clickhouse.query("select name from system.databases where startsWith(name, 'bench')"):
            clickhouse.execute(f"drop database `{name}` sync")


def test_every_benchmark_is_listed() -> None:
    assert list(BENCHMARKS) == list(_ROWS)


@pytest.mark.parametrize("name", _ROWS)
def test_benchmark_gives_its_rows(name: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # An installation takes a network; without one, a benchmark goes on without these rivals.
    monkeypatch.setattr(external_load, "installed_rivals", lambda _say: None)

    rows = list(BENCHMARKS[name](bench))

    assert [row.name for row in rows] == _ROWS[name]
    for row in rows:
        assert math.isfinite(row.value)
        assert row.contains.endswith(".")
        assert (row.rival is None) == (row.rival_value is None)
        assert row.rival_value is None or row.rival_value > 0


def test_lag_is_drawn(tmp_path: Path) -> None:
    draw(tmp_path / "lag.png", [Lag(1.0, 0.2), Lag(2.0, 1.4)], started=0.0, killed_at=1.5)

    assert (tmp_path / "lag.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (_SLOW, False),
        (_FAST, True),
        (Row(name="free", value=1, unit="s", contains="No target."), None),
        (Row(name="same", value=1, unit="x", contains="On it.", ratio=1.3, target=Target("ratio", ">=", 1.3)), True),
        (Row(name="worse", value=9, unit="x", contains="Below.", ratio=1.2, target=Target("ratio", ">=", 1.3)), False),
    ],
)
def test_target_is_held_against_the_number_it_is_about(row: Row, met: bool | None) -> None:
    assert row.met is met


def test_document_says_all_there_is() -> None:
    assert _FAST.document() == {
        "name": "fast",
        "value": 3_000,
        "unit": "rows/s",
        "rival": "the usual way",
        "rival_value": 2_000,
        "ratio": 1.5,
        "target": "ratio >= 1.3",
        "met": True,
        "contains": "Another.",
    }


def test_table_shows_misses() -> None:
    table = table_of([_SLOW, _FAST])

    assert "| `slow` | 2.5 s |  |  |  | value <= 1 | no |" in table
    assert "| `fast` | 3,000 rows/s | the usual way | 2,000 | 1.50 | ratio >= 1.3 | yes |" in table
    assert "- `slow`: A row." in table


def test_results_name_the_machine_but_not_where_it_is() -> None:
    text = document_of([measurement("idle", [_SLOW], scale=1)])

    assert "cores" in text
    assert "GB memory" in text
    assert "/" not in text.replace("rows/s", "")


def test_results_measured_again_take_the_place_of_the_last_ones(tmp_path: Path) -> None:
    again = replace(_SLOW, value=0.5)
    save(
        [Measurement("verify", "Monday", "A", [_FAST]), Measurement("idle", "Monday", "A", [_SLOW])], ["idle"], tmp_path
    )
    save([Measurement("verify", "Monday", "A", [_FAST])], ["idle", "verify"], tmp_path)

    save([Measurement("idle", "Tuesday", "B", [again])], ["idle", "verify"], tmp_path)

    text = (tmp_path / "results.md").read_text()
    assert text.index("`slow` | 0.5 s") < text.index("`fast` | 3,000 rows/s")
    assert "2.5 s" not in text
    assert "- B; Tuesday: `idle`." in text
    assert "- A; Monday: `verify`." in text


def test_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--only", "sequencer,nonsense"])

    assert refused.value.code == 2
    assert "no benchmark nonsense" in capsys.readouterr().err
