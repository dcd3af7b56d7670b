"""What a command sends to a collector of traces, and writes for a collector of logs."""

import json
import logging
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dbsync_pipeline import tracing
from dbsync_pipeline.cli.logs import JsonLines
from dbsync_pipeline.errors import SettingsError
from dbsync_pipeline_tests.cli.commands import Command, run, sign_up
from dbsync_pipeline_tests.harness import Harness


def test_a_sync_sends_its_spans_and_logs_in_json(pipeline: Harness, dbsync: Command) -> None:
    sign_up(pipeline, ["Ada"])
    assert dbsync("init").returncode == 0
    sent: list[tuple[str, str]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                (service,) = [
                    entry.value.string_value for entry in of_resource.resource.attributes if entry.key == "service.name"
                ]
                sent.extend((service, span.name) for scope in of_resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = Thread(target=collector.serve_forever)
        thread.start()
        synced = dbsync(
            "sync",
            DBSYNC_TRACES="true",
            DBSYNC_LOG_FORMAT="json",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
            OTEL_SERVICE_NAME="dbsync",
        )
        collector.shutdown()
        thread.join()
    assert synced.returncode == 0, synced.stderr
    assert {("dbsync", name) for name in ("number", "sync", "extract", "load", "checkpoint")} == set(sent)
    lines = [json.loads(line) for line in synced.stderr.splitlines()]
    assert {"table": "ProjectUser", "rows": 1, "message": "numbered"}.items() <= {
        name: value for line in lines if line.get("table") == "ProjectUser" for name, value in line.items()
    }.items()
    delivered = [line for line in lines if line["message"] == "delivered"]
    assert sum(line["rows"] for line in delivered) == 1


def test_an_error_is_a_line_too() -> None:
    refused = run("status", DBSYNC_LOG_FORMAT="json")
    (line,) = [json.loads(line) for line in refused.stderr.splitlines()]
    assert (refused.returncode, line["exit_code"], line["level"]) == (2, 2, "error")
    assert "DBSYNC_SOURCE_URL is not set" in line["message"]
    assert "DBSYNC_LOG_FORMAT" in run("status", DBSYNC_LOG_FORMAT="xml").stderr


def test_a_line_stays_one_and_keeps_secrets() -> None:
    error = ValueError("password=sesame")
    arguments = ("postgresql://a:sesame@b/c",)
    record = logging.LogRecord("dbsync", logging.ERROR, "", 0, "at %s", arguments, (ValueError, error, None))
    record.rows = 3
    text = JsonLines().format(record)
    line = json.loads(text)
    assert (line["message"], line["rows"], "\n" in text) == ("at postgresql://a:***@b/c", 3, False)
    assert "ValueError: password=***" in line["exception"]
    assert "sesame" not in text


def test_traces_without_the_packages_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match="DBSYNC_TRACES"):
        tracing.send_spans.__wrapped__()
