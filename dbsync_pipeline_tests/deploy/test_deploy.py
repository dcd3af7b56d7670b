"""The files of deploy/: what Dagster takes, in step with the rest of the project, and without a variable too many."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dagster._core.instance.config import dagster_instance_config

from dbsync_pipeline.cli.main import app
from dbsync_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.name != ".env")
OWN = {"DBSYNC_DAGSTER_PASSWORD"}
"""Of Dagster's storage; no setting of the pipeline."""


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def containers(name: str) -> list[dict[str, Any]]:
    return load(name)["spec"]["template"]["spec"]["containers"]


@pytest.fixture
def compose() -> dict[str, Any]:
    return load("compose.yaml")


@pytest.fixture
def values() -> dict[str, Any]:
    return load("kubernetes/values.yaml")


@pytest.fixture
def instance() -> dict[str, Any]:
    """The root's own instance, which both others are to be like."""
    return yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_variable_is_a_setting(path: Path) -> None:
    known = {f"DBSYNC_{name.upper()}" for name in Settings.model_fields} | OWN
    assert set(re.findall(r"\bDBSYNC_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))) <= known


def test_dagster_takes_the_instance_of_compose(tmp_path: Path, instance: dict[str, Any]) -> None:
    shutil.copy(DEPLOY / "compose" / "dagster.yaml", tmp_path)
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["storage"]["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    own = {
        name: value for name, value in load("compose/dagster.yaml").items() if name not in ("storage", "run_launcher")
    }
    assert own == instance


def test_a_run_in_docker_gets_what_the_daemon_knows(compose: dict[str, Any]) -> None:
    launcher = load("compose/dagster.yaml")["run_launcher"]["config"]
    environment = compose["services"]["daemon"]["environment"]
    assert set(launcher["env_vars"]) == {name for name in environment if name.startswith("DBSYNC_")}
    assert launcher["network"] == compose["networks"]["dbsync"]["name"]
    assert set(launcher["env_vars"]) >= required()


def test_a_run_in_kubernetes_gets_what_the_code_server_knows(values: dict[str, Any]) -> None:
    (location,) = values["dagster-user-deployments"]["deployments"]
    assert location["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert {entry["name"] for entry in location["envSecrets"]} == {"dbsync"}
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    secret = readme.split("create secret generic dbsync ")[1].split("kubectl create")[0]
    assert set(re.findall(r"--from-literal=(DBSYNC_\w+)=", secret)) == required()
    for entry in location["env"]:
        Settings.model_validate(
            {"source_url": "x", "clickhouse_url": "x", entry["name"].removeprefix("DBSYNC_").lower(): entry["value"]}
        )


def test_what_a_run_in_kubernetes_asks_for_is_said_once(values: dict[str, Any]) -> None:
    # The code location's go before the launcher's, key by key.
    (location,) = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    assert location["resources"]["requests"]["cpu"] == "1"
    assert "resources" not in launcher
    assert "resources" not in launcher["runK8sConfig"].get("containerConfig", {})


def test_who_starts_and_who_terminates_runs_reaches_docker(compose: dict[str, Any]) -> None:
    socket = "/var/run/docker.sock"
    reaching = {
        name
        for name, service in compose["services"].items()
        if f"{socket}:{socket}" in service["volumes"] and service.get("user") == "root"
    }
    # The UI's button that terminates a run asks the launcher within the webserver.
    assert reaching == {"daemon", "webserver"}


def test_metrics_are_asked_where_they_are_answered(compose: dict[str, Any]) -> None:
    (container,) = containers("kubernetes/metrics.yaml")
    assert container["command"] == compose["services"]["metrics"]["command"]
    port = container["command"][-1]
    assert compose["services"]["metrics"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert container["ports"] == [{"name": "metrics", "containerPort": int(port)}]
    assert container["readinessProbe"] == {"tcpSocket": {"port": "metrics"}}
    template = load("kubernetes/metrics.yaml")["spec"]["template"]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == port
    assert template["metadata"]["labels"] == load("kubernetes/metrics.yaml")["spec"]["selector"]["matchLabels"]
    answer = typer.main.get_command(app).commands["metrics"]
    assert answer.make_context("metrics", container["command"][2:]).params["port"] == int(port)


def test_the_image_is_built_from_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for name in line.split()]
    assert {"pyproject.toml", "constraints.txt", "dbsync_pipeline"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    # Where a link of the package leads is not in the package's folder.
    links = [path.resolve() for path in (ROOT / "dbsync_pipeline").rglob("*") if path.is_symlink()]
    assert {str(path.relative_to(ROOT.resolve())) for path in links} <= set(copied)
    # Kubernetes refuses a name where it is told to run nothing as root.
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == re.findall(r"useradd --uid (\d+)", text)


def test_the_limits_are_the_same_everywhere(values: dict[str, Any], instance: dict[str, Any]) -> None:
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    runs = instance["concurrency"]["runs"]
    assert queue["maxConcurrentRuns"] == runs["max_concurrent_runs"]
    assert queue["tagConcurrencyLimits"] == runs["tag_concurrency_limits"]
    assert queue["dequeueIntervalSeconds"] == instance["run_queue"]["dequeue_interval_seconds"]
    for kind, kept in instance["retention"].items():
        assert values["retention"][kind]["purgeAfterDays"] == kept["purge_after_days"]
    (location,) = values["dagster-user-deployments"]["deployments"]
    wanted = {entry["name"]: int(entry["value"]) for entry in location["env"]}
    places = 1 + wanted["DBSYNC_SYNC_WORKERS"] + wanted["DBSYNC_EXTERNAL_SYNC_WORKERS"]
    (limit,) = queue["tagConcurrencyLimits"]
    assert limit["limit"] * places < queue["maxConcurrentRuns"]


def test_there_is_one_image(compose: dict[str, Any], values: dict[str, Any]) -> None:
    (location,) = values["dagster-user-deployments"]["deployments"]
    image = f"{location['image']['repository']}:{location['image']['tag']}"
    ours = [service for name, service in compose["services"].items() if name != "dagster-storage"]
    assert {service["image"] for service in ours} == {image}
    assert {service["environment"]["DAGSTER_CURRENT_IMAGE"] for service in ours} == {image}
    for name in ("init", "metrics"):
        (container,) = containers(f"kubernetes/{name}.yaml")
        assert container["image"] == image
        assert container["envFrom"] == [{"secretRef": {"name": "dbsync"}}]
    port = load("compose/workspace.yaml")["load_from"][0]["grpc_server"]["port"]
    assert f'"-p", "{port}"' in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def required() -> set[str]:
    return {f"DBSYNC_{name.upper()}" for name, field in Settings.model_fields.items() if field.is_required()}
