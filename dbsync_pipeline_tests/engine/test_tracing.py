"""The spans of numbering and delivering, and what is not in them."""

from collections.abc import Generator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from dbsync_pipeline import tracing
from dbsync_pipeline_tests.harness import Harness


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Generator[InMemorySpanExporter]:
    """Collects the spans of the test."""
    provider, collected = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(collected))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("test"))
    yield collected
    provider.shutdown()


def path(span: ReadableSpan, spans: list[ReadableSpan]) -> str:
    """Name a span and those that it is below."""
    parent = None if span.parent is None else next(p for p in spans if p.context.span_id == span.parent.span_id)
    return span.name if parent is None else f"{path(parent, spans)} > {span.name}"


def named(collected: InMemorySpanExporter, name: str, **attributes: object) -> ReadableSpan:
    wanted = {f"dbsync.{attribute}": value for attribute, value in attributes.items()}
    (span,) = [s for s in collected.get_finished_spans() if s.name == name and wanted.items() <= s.attributes.items()]
    return span


def test_a_change_is_followed_from_numbering_to_checkpoint(pipeline: Harness, spans: InMemorySpanExporter) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.app.team(tenancy)
    pipeline.sequence()
    assert named(spans, "number", table="ProjectUser", rows=1).status.status_code == StatusCode.UNSET
    spans.clear()
    pipeline.sync()
    finished = list(spans.get_finished_spans())
    assert {path(span, finished) for span in finished} == {
        "sync",
        "sync > extract",
        # In threads of their own, while the next mapping is extracted.
        "sync > load",
        "sync > checkpoint",
    }
    turn = named(spans, "sync")
    assert turn.attributes == {
        "dbsync.destination": "clickhouse",
        "dbsync.pairs": 2,
        "dbsync.rows": 2,
        "dbsync.failed": 0,
    }
    assert named(spans, "load", mapping="users").attributes["dbsync.bytes"] > 0
    assert named(spans, "checkpoint").attributes["dbsync.pairs"] == 2


def test_what_fails_is_named_and_not_quoted(pipeline: Harness, spans: InMemorySpanExporter) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.chunk(tenancy, pipeline.app.replay(tenancy, pipeline.app.user(tenancy)), size=-1)
    pipeline.sequence()
    assert [result for result in pipeline._worker.run_once() if result.delivery.error]
    loads = [span for span in spans.get_finished_spans() if span.attributes.get("dbsync.mapping") == "session_replays"]
    (failed,) = [span for span in loads if span.name == "load"]
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "BadRowError")
    assert all(not span.events for span in spans.get_finished_spans())
