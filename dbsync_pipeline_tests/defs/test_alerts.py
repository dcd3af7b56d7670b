"""What is told through a webhook, when, and what never is."""

import json
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import dagster as dg
import pytest
from pydantic import SecretStr

from dbsync_pipeline.controls import Part, retry
from dbsync_pipeline.definitions import build_defs
from dbsync_pipeline.defs import alerts
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.errors import SettingsError, UnreachableError
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.webhook import tell
from dbsync_pipeline_tests.defs.conftest import Deployment, unholdable_recording
from dbsync_pipeline_tests.harness import Harness

SECRET = "T0SECRET"


@dataclass
class Chat:
    """A webhook that keeps what it gets."""

    answer: int = 200
    said: list[str] = field(default_factory=list[str])
    url: str = ""


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Generator[Chat]:
    """A webhook that the settings name."""
    chat = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            chat.said.append(json.loads(body)["text"])
            self.send_response(chat.answer)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        chat.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
        monkeypatch.setenv("DBSYNC_ALERT_WEBHOOK_URL", chat.url)
        yield chat
        server.shutdown()
        thread.join()


@pytest.fixture
def watched(chat: Chat, deployment: Deployment) -> Deployment:
    """Dagster on the pipeline, with the sensors that tell."""
    return replace(deployment, defs=build_defs({"databases": deployment.databases}))


def failed(watched: Deployment, job_name: str) -> None:
    """Run a job that fails, and do with it what the daemon does."""
    result = watched.run(job_name)
    assert not result.success
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_alert_sensor",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=watched.instance,
        dagster_run=result.dagster_run,
        resources={"databases": watched.databases},
    )
    watched.defs.resolve_sensor_def("failure_alert_sensor")(context.for_run_failure())


def test_without_a_webhook_there_are_no_sensors_and_with_one_they_are_off(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alerting() -> dict[str, dg.DefaultSensorStatus]:
        return {
            sensor.name: sensor.default_status
            for sensor in build_defs().sensors or ()
            if isinstance(sensor, dg.SensorDefinition) and "alert" in sensor.name
        }

    off = dg.DefaultSensorStatus.STOPPED
    assert alerting() == {"failure_alert_sensor": off, "lag_alert_sensor": off}
    monkeypatch.delenv("DBSYNC_ALERT_WEBHOOK_URL")
    assert alerting() == {}


def test_a_job_that_fails_again_and_again_is_told_once(
    pipeline: Harness, chat: Chat, watched: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What has failed rests for as long as the test takes.
    monkeypatch.setenv("DBSYNC_RETRY_BASE_SECONDS", "3600")
    monkeypatch.setenv("DBSYNC_RETRY_MAX_SECONDS", "3600")
    tenancy = pipeline.app.tenancy()

    def fail() -> None:
        unholdable_recording(pipeline, tenancy)
        pipeline.sequence()
        retry(pipeline.admin, pipeline.catalog, Part())
        failed(watched, "sync_job")

    fail()
    # It rests, so that a run in between has nothing to complain of.
    assert watched.run("sync_job").success
    fail()
    (text,) = chat.said
    assert text.startswith("dbsync: a run of sync_job has failed (")
    assert text.endswith("1 of the deliveries failed; everything else was delivered.")
    assert str(tenancy) not in text
    monkeypatch.setattr(alerts, "_QUIET_SECONDS", 0)
    fail()
    assert len(chat.said) == 2


def test_a_failure_that_nobody_was_told_of_hides_no_later_one(
    chat: Chat, watched: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster shows each run to the sensor once, and never again when telling fails; nor those while it is off."""
    monkeypatch.setenv("DBSYNC_RUN_SECONDS", "0.1")
    silent = replace(
        watched,
        databases=Databases(source_url="postgresql://app:sesame@127.0.0.1:1/app", clickhouse_url="http://unused/"),
    )
    silent = replace(silent, defs=build_defs({"databases": silent.databases}))
    assert not silent.run("sequencer_job").success
    chat.answer = 500
    with pytest.raises(UnreachableError, match="the webhook"):
        failed(silent, "sequencer_job")
    chat.answer = 200
    for _ in range(3):
        failed(silent, "sequencer_job")
    assert len(chat.said) == 2, chat.said


def test_what_is_late_is_told_once_and_when_it_is_over(
    pipeline: Harness, chat: Chat, watched: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    assert watched.skipped("lag_alert_sensor") == "Nothing is late."
    monkeypatch.setenv("DBSYNC_LATE_SECONDS", "0.000001")
    for _ in range(2):
        watched.tick("lag_alert_sensor")
    (text,) = chat.said
    assert text.startswith("dbsync: late.\nusers in clickhouse is ")
    assert f"tenancy {tenancy} has waited longest" in text
    pipeline.drain()
    for _ in range(2):
        watched.tick("lag_alert_sensor")
    assert chat.said[1:] == ["dbsync: nothing is late any more."]


def test_a_customers_dead_database_makes_nobody_late(
    pipeline: Harness, chat: Chat, watched: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hide who else is; runs, status and checks tell of it."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.configure_external(tenancy, url="postgresql://nobody:hunter2@127.0.0.1:1/gone")
    pipeline.sequence()
    pipeline.sync()
    pipeline.sync_external(errors=True)
    monkeypatch.setenv("DBSYNC_LATE_SECONDS", "0.000001")
    assert watched.skipped("lag_alert_sensor") == "Nothing is late."
    pipeline.configure_external(tenancy, "living", mappings=["users"])
    pipeline.sequence()
    watched.tick("lag_alert_sensor")
    (text,) = chat.said
    assert text.startswith("dbsync: late.\nusers in postgres is ")


def test_a_source_that_stays_silent_is_told_and_what_was_not_taken_is_told_again(
    chat: Chat, watched: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = replace(
        watched,
        databases=Databases(source_url="postgresql://app:sesame@127.0.0.1:1/app", clickhouse_url="http://unused/"),
    )
    silent.tick("lag_alert_sensor")
    assert chat.said == []
    monkeypatch.setenv("DBSYNC_LATE_SECONDS", "0.000001")
    chat.answer = 500
    with pytest.raises(UnreachableError):
        silent.tick("lag_alert_sensor")
    chat.answer = 200
    silent.tick("lag_alert_sensor")
    assert chat.said[0] == chat.said[1]
    assert "127.0.0.1:1/app does not answer" in chat.said[1]
    assert "sesame" not in chat.said[1]
    watched.cursors |= silent.cursors
    watched.tick("lag_alert_sensor")
    assert chat.said[2:] == ["dbsync: nothing is late any more."]


@pytest.mark.parametrize("answer", [302, 404])
def test_an_address_is_in_no_error_and_nobody_is_sent_elsewhere(chat: Chat, answer: int) -> None:
    chat.answer = answer
    with pytest.raises(UnreachableError, match=f"the webhook at 127.0.0.1 .* it answers {answer}") as refused:
        tell(SecretStr(chat.url), "text")
    assert SECRET not in str(refused.value)
    for nobody in ("http://127.0.0.1:1/", "http://127.0.0.1:1/ "):
        with pytest.raises(UnreachableError) as unreachable:
            tell(SecretStr(f"{nobody}{SECRET}"), "text")
        assert SECRET not in str(unreachable.value)


def test_a_message_mentions_nobody(chat: Chat) -> None:
    tell(SecretStr(chat.url), "<!channel> & co")
    assert chat.said == ["&lt;!channel&gt; &amp; co"]


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://hooks.example.com/services/T0SECRET", True),
        ("http://[::1]:8080/T0SECRET", True),
        ("http://localhost/T0SECRET", True),
        ("http://hooks.example.com/T0SECRET", False),
        ("http://127.0.0.1.example.com/T0SECRET", False),
        ("file:///etc/T0SECRET", False),
        ("https:///T0SECRET", False),
    ],
)
def test_a_webhook_is_encrypted_or_on_this_machine(url: str, accepted: bool) -> None:
    given = {"source_url": "", "clickhouse_url": "", "alert_webhook_url": url}
    if accepted:
        assert SECRET not in repr(load_settings(**given))
        return
    with pytest.raises(SettingsError, match=r"DBSYNC_ALERT_WEBHOOK_URL .*is not an https URL") as refused:
        load_settings(**given)
    assert SECRET not in str(refused.value)
