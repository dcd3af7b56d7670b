"""What a monitoring system gets at a scrape, and whether the files that read it know its names."""

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from dbsync_pipeline.metrics import PipelineCollector
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline_tests.docs.pages import code, table
from dbsync_pipeline_tests.harness import Harness

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "dbsync.json"


@contextmanager
def served(pipeline: Pipeline) -> Generator[str]:
    registry = CollectorRegistry()
    registry.register(PipelineCollector(pipeline))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read(url: str, accept: str = "*/*") -> str:
    with urlopen(Request(url, headers={"Accept": accept}), timeout=60) as answer:  # noqa: S310 -- of this process
        return answer.read().decode()


def scrape(pipeline: Pipeline) -> dict[str, Metric]:
    with served(pipeline) as url:
        return {family.name: family for family in text_string_to_metric_families(read(url))}


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    (sample,) = [sample for sample in found[name].samples if sample.labels == labels]
    return sample.value


def test_a_scrape_says_what_waits_where(pipeline: Harness) -> None:
    ours = pipeline.app.tenancy()
    pipeline.app.user(ours)
    pipeline.configure_external(ours, "gone", url="postgresql://nobody:hunter2@127.0.0.1:1/gone", mappings=["users"])
    pipeline.configure(retry_base_seconds=60, retry_max_seconds=60)
    # The user, and the touch that a new user leaves.
    assert value(scrape(pipeline.pipeline), "dbsync_unnumbered_rows", mapping="users") == 2
    pipeline.sequence()
    pipeline.sync_external(errors=True)
    pipeline.admin.execute("update dbsync.sequencer set paused = true")
    with served(pipeline.pipeline) as url:
        text = read(url, "application/openmetrics-text")
    found = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}
    (ids,) = [sample.value for sample in found["dbsync_sequence_ids"].samples]
    assert (value(found, "dbsync_up"), value(found, "dbsync_clickhouse_up")) == (1, 1)
    assert ids == pipeline.value("select last_sequence_id from dbsync.sequencer")
    assert value(found, "dbsync_numbering_paused") == 1
    assert value(found, "dbsync_unnumbered_rows", mapping="users") == 0
    for kind, failing in (("clickhouse", 0), ("postgres", 1)):
        assert value(found, "dbsync_undelivered_rows", mapping="users", kind=kind) == 1
        assert value(found, "dbsync_pending_pairs", mapping="users", kind=kind) == 1
        assert value(found, "dbsync_failing_pairs", mapping="users", kind=kind) == failing
        assert value(found, "dbsync_lag_seconds", mapping="users", kind=kind) > 0
        assert value(found, "dbsync_delivery_failures", mapping="users", kind=kind) == failing
        assert value(found, "dbsync_delivered_rows", mapping="users", kind=kind) == 0
    # However many tenancies and databases there are, the series stay those of the mappings.
    assert {label for family in found.values() for sample in family.samples for label in sample.labels} == {
        "mapping",
        "kind",
    }
    assert str(ours) not in text
    assert "hunter2" not in text
    pipeline.sync()
    after = scrape(pipeline.pipeline)
    assert value(after, "dbsync_clickhouse_parts", mapping="users") == 1
    assert value(after, "dbsync_clickhouse_rows", mapping="users") == 1
    assert value(after, "dbsync_clickhouse_bytes", mapping="users") > 0
    assert value(after, "dbsync_clickhouse_bytes", mapping="teams") == 0
    assert value(after, "dbsync_delivered_rows", mapping="users", kind="clickhouse") == 1


def test_a_source_without_our_objects_is_not_up(pipeline: Harness) -> None:
    pipeline.admin.execute("drop schema dbsync cascade")
    found = scrape(pipeline.pipeline)
    assert value(found, "dbsync_up") == 0
    assert value(found, "dbsync_clickhouse_up") == 1
    assert "dbsync_lag_seconds" not in found


def test_dashboard_alerts_and_page_know_the_names(pipeline: Harness) -> None:
    known = {sample.name for family in scrape(pipeline.pipeline).values() for sample in family.samples}
    alerts = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    queried = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    used = {name for text in [*queried, *(rule["expr"] for rule in rules)] for name in re.findall(r"dbsync_\w+", text)}
    assert used <= known
    # A metric that nobody looks at is one too many.
    assert known - used == set()
    assert {code(row["metric"]) for row in table("observability.md", "Metrics")} == known
    assert {code(row["alert"]) for row in table("observability.md", "Alerts")} == {rule["alert"] for rule in rules}
    for rule in rules:
        assert _complete(rule), rule


def _complete(rule: dict[str, Any]) -> bool:
    return bool(rule["for"] and rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"])
