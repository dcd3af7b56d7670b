"""Spans around what the sequencer and the workers do, for whoever collects traces.

The stages know OpenTelemetry's API alone, which does next to nothing until an SDK is set up; that is done where the
deployment asks for it, or by whoever starts the process. Spans name tables, mappings, destinations and amounts. What
failed is named by its kind and not by its message, which may quote a row (I10).
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

from opentelemetry import trace
from opentelemetry.trace import StatusCode

from dbsync_pipeline.errors import SettingsError

_TRACER = trace.get_tracer("dbsync_pipeline")


@contextmanager
def span(name: str, **attributes: str | int) -> Generator[trace.Span]:
    """Make a span of what happens in the context, below the one that is current."""
    with _TRACER.start_as_current_span(
        name,
        attributes={f"dbsync.{attribute}": value for attribute, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except Exception as error:
            current.set_status(StatusCode.ERROR, type(error).__name__)
            raise


@cache
def send_spans() -> None:
    """Have spans sent by OTLP, where and how the standard OTEL_* variables say; done once in a process.

    Raises:
        SettingsError: the packages for it are not installed.
    """
    try:
        # Those of an extra.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "DBSYNC_TRACES is on, and OpenTelemetry's SDK is not installed", "pip install 'dbsync-pipeline[tracing]'"
        ) from None
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
