"""`dbsync metrics`: lets a monitoring system read how far behind every copy is."""

from typing import Annotated

import typer
from prometheus_client import CollectorRegistry, start_http_server

from dbsync_pipeline.cli.local import ended_by_signal
from dbsync_pipeline.cli.output import console
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.metrics import PipelineCollector
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings


def metrics(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to answer at; 0 takes a free one.")] = 9464,
    host: Annotated[str, typer.Option(help="Address to answer at. There is no login.")] = "127.0.0.1",
) -> None:
    """Answer scrapes of Prometheus, in its own format or OpenMetrics, until Ctrl-C.

    Each scrape reads the databases. One that does not answer is shown as `dbsync_up 0`, and said on standard error.
    """
    registry = CollectorRegistry()
    registry.register(PipelineCollector(Pipeline(load_settings())))
    with ended_by_signal():
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            raise DbsyncError(f"cannot listen at {host}:{port}: {error.strerror}", "Choose another --port.") from None
        console.print(f"Metrics are at http://{host}:{server.server_port}/metrics; Ctrl-C ends it.")
        thread.join()
