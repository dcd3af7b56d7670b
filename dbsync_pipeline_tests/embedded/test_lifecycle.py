"""Starting, stopping and crashing: what must stay, and what must not stay behind."""

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect
import psycopg
import pytest

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline.embedded.process import TiedProcess, reserve_port
from dbsync_pipeline.embedded.services import embedded_services
from dbsync_pipeline.errors import EmbeddedServiceError

Service = EmbeddedPostgres | EmbeddedClickHouse
Make = Callable[..., Service]


def make_postgres(home: Path, port: int | None = None) -> EmbeddedPostgres:
    return EmbeddedPostgres(home, port=port, durable=False)


BOTH = pytest.mark.parametrize("make", [make_postgres, EmbeddedClickHouse], ids=["postgres", "clickhouse"])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / f'it\'s a "home" & {"long" * 30}'


def execute(service: Service, statement: str) -> list[tuple[object, ...]]:
    if isinstance(service, EmbeddedPostgres):
        with psycopg.connect(service.url(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
    with clickhouse_connect.get_client(dsn=service.url) as client:
        if statement.startswith("select"):
            return [tuple(row) for row in client.query(statement).result_rows]
        client.command(statement)
        return []


def create_table(service: Service) -> None:
    engine = " engine = MergeTree order by a" if isinstance(service, EmbeddedClickHouse) else ""
    execute(service, f"create table t (a int){engine}")


def port_of(service: Service) -> int:
    assert service._port is not None
    return service._port


def processes_of(home: Path) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in command:
            found.append(command)
    return found


@BOTH
def test_stop_leaves_the_data_and_no_process(make: Make, home: Path) -> None:
    with make(home) as service:
        assert processes_of(home)
        create_table(service)
        execute(service, "insert into t values (1)")
    assert processes_of(home) == []

    service.start()
    try:
        service.start()
        assert execute(service, "select a from t") == [(1,)]
    finally:
        service.stop()
        service.stop()


@BOTH
def test_what_was_acknowledged_survives_kill(make: Make, home: Path) -> None:
    with make(home) as service:
        create_table(service)
        execute(service, "insert into t select 7")
        port = port_of(service)

        service.kill()

        assert processes_of(home) == []
        service.start()
        assert execute(service, "select a from t") == [(7,)]
        assert port_of(service) == port


@BOTH
def test_a_taken_port_is_replaced(make: Make, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, make(home, port=taken.getsockname()[1]) as service:
        assert port_of(service) != taken.getsockname()[1]
        assert execute(service, "select 1") == [(1,)]


@BOTH
def test_two_servers_beside_each_other(make: Make, tmp_path: Path) -> None:
    with make(tmp_path / "a") as first, make(tmp_path / "b") as second:
        create_table(first)
        create_table(second)
        execute(first, "insert into t values (1)")
        assert execute(second, "select count(*) from t") == [(0,)]


@BOTH
def test_one_directory_has_one_owner(make: Make, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbsync_pipeline.embedded.process._LOCK_SECONDS", 0.0)
    with make(home) as service:
        with pytest.raises(EmbeddedServiceError, match="is in use by another process"):
            make(home).start()
        assert execute(service, "select 1") == [(1,)]


@BOTH
def test_only_the_owner_can_read_the_password(make: Make, home: Path) -> None:
    with make(home):
        password = home / "password"
        assert stat.S_IMODE(password.stat().st_mode) == 0o600
        logs = b"".join(path.read_bytes() for path in home.glob("*.log"))
        assert password.read_bytes() not in logs
        assert not any(password.read_text() in command for command in processes_of(home))


@BOTH
def test_a_failed_start_says_why(make: Make, home: Path) -> None:
    with make(home):
        pass
    if make is make_postgres:
        (home / "pgdata/PG_VERSION").write_text("7\n")
    else:
        (home / "engine").rename(home / "aside")
        (home / "engine").write_text("no directory")
    with pytest.raises(EmbeddedServiceError, match=r"did not start: .*\. The whole log is in "):
        make(home).start()
    assert processes_of(home) == []


def test_a_pid_file_of_a_stranger_does_not_prevent_a_start(home: Path) -> None:
    with make_postgres(home):
        pass
    # As after the restart of a container: the number of the killed server is another process's by now.
    server_user = "nobody" if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=server_user) as stranger:
        (home / "pgdata/postmaster.pid").write_text(f"{stranger.pid}\n{home}/pgdata\n1\n1\n\n\n\nready\n")
        with make_postgres(home) as service:
            assert execute(service, "select 1") == [(1,)]


def test_an_interrupted_initdb_is_done_again(home: Path) -> None:
    (home / "pgdata.new").mkdir(parents=True)
    (home / "pgdata.new/PG_VERSION").write_text("18\n")
    with make_postgres(home) as service:
        assert execute(service, "select 1") == [(1,)]


def test_postgres_wants_its_password_and_speaks_utf8(postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.url().replace("postgres:", "postgres:x", 1).replace("postgresx", "postgres"))
    shown = "select current_setting('server_encoding'), current_setting('password_encryption')"
    assert execute(postgres_server, shown) == [("UTF8", "scram-sha-256")]


def test_databases_are_created_once(postgres_server: EmbeddedPostgres) -> None:
    name = 'odd "name"/?#'
    assert postgres_server.create_database(name) == postgres_server.create_database(name) == postgres_server.url(name)
    with psycopg.connect(postgres_server.url(name)) as connection:
        assert connection.execute("select current_database()").fetchone() == (name,)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clickhouse_ends_well_on_a_signal(home: Path, number: signal.Signals) -> None:
    with EmbeddedClickHouse(home) as service:
        create_table(service)
        execute(service, "insert into t values (1)")
        process = service._process
        assert isinstance(process, TiedProcess)
        process._process.send_signal(number)
        assert process._process.wait(60) == 0
        assert not process.alive
        service.start()
        assert execute(service, "select a from t") == [(1,)]


def test_clickhouse_does_not_linger_after_a_crash_of_the_engine(home: Path) -> None:
    with EmbeddedClickHouse(home) as service:
        process = service._process
        assert isinstance(process, TiedProcess)
        process._process.send_signal(signal.SIGSEGV)
        assert process._process.wait(60) == -signal.SIGSEGV
        assert "Segmentation fault" in (home / "clickhouse.log").read_text()
        service.start()
        assert execute(service, "select 1") == [(1,)]


@pytest.mark.parametrize("number", [None, signal.SIGTERM])
def test_clickhouse_ends_in_the_middle_of_an_endless_query(home: Path, number: signal.Signals | None) -> None:
    with EmbeddedClickHouse(home) as service:
        address = ("127.0.0.1", port_of(service))
        password = (home / "password").read_text()
        with socket.create_connection(address) as connection:
            query = "select count() from system.numbers"
            connection.sendall(
                f"POST /?password={password}&user=default HTTP/1.1\r\nHost: x\r\nContent-Length: {len(query)}\r\n\r\n"
                f"{query}".encode()
            )
            running = "select count() from system.processes where query like '%system.numbers%' and elapsed > 0"
            while execute(service, running) != [(2,)]:
                pass
            process = service._process
            assert isinstance(process, TiedProcess)
            if number is not None:
                process._process.send_signal(number)
                process._process.wait(60)
            service.stop()
            assert process._process.returncode == 0
            assert b"QUERY_WAS_CANCELLED" in connection.recv(65536)
    assert processes_of(home) == []


def test_services_start_and_stop_together(home: Path) -> None:
    with embedded_services(home, durable=False) as services:
        with psycopg.connect(services.source_url) as source:
            assert source.execute("select 1").fetchone() == (1,)
        with clickhouse_connect.get_client(dsn=services.clickhouse_url) as client:
            assert client.command("select 1") == 1
    assert processes_of(home) == []


def test_a_service_that_does_not_start_takes_the_other_with_it(home: Path) -> None:
    home.mkdir()
    (home / "clickhouse").write_text("in the way")
    with (
        pytest.raises(EmbeddedServiceError, match="cannot be used: File exists"),
        embedded_services(home, durable=False),
    ):
        pytest.fail("it cannot have started")
    assert processes_of(home) == []


def test_nothing_outlives_an_owner_that_is_killed(home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dbsync_pipeline.embedded.services import embedded_services\n"
        "with embedded_services(Path(sys.argv[1]), durable=False) as services: print('up', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        assert len(processes_of(home)) > 3

        owner.kill()

    for service in ("postgres", "clickhouse"):
        with (home / service / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # Its holders are the service's processes.
    assert processes_of(home) == []


def test_nothing_outlives_a_supervisor_that_is_killed(home: Path) -> None:
    with make_postgres(home) as service:
        assert service._supervisor is not None
        os.kill(service._supervisor.pid, signal.SIGKILL)
        service._supervisor._process.wait()

        service.start()

        assert execute(service, "select 1") == [(1,)]
    assert processes_of(home) == []


def test_two_servers_that_bind_later_get_two_ports() -> None:
    first, reservation = reserve_port(None)
    with reservation:
        second, other = reserve_port(first)
        other.close()
        assert second != first
    again, other = reserve_port(first)
    other.close()
    assert again == first
