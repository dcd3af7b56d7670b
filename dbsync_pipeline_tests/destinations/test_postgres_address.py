"""What a connection string from a stranger may ask for, and where it may lead."""

import os
import socket
from pathlib import Path

import psycopg
import pytest

from dbsync_pipeline.destinations.postgres.address import Policy, look_up
from dbsync_pipeline.errors import ConnectionStringError, DbsyncError, UnreachableError
from dbsync_pipeline_tests.harness import Harness

ANYWHERE = Policy(private_addresses=True, require_tls=False, secrets=None)
PUBLIC = Policy(private_addresses=False, require_tls=False, secrets=None)
GOOD = "postgresql://me:s3cret@192.0.2.1:6543/shop"


def said(failure: pytest.ExceptionInfo[DbsyncError]) -> str:
    return f"{failure.value!s} {failure.value!r} {failure.value.__cause__!r}"


def test_an_address_shows_its_place_and_no_password() -> None:
    address = look_up(GOOD, ANYWHERE)
    assert address.place == "192.0.2.1:6543/shop"
    assert address.parameters["password"] == "s3cret"
    assert address.parameters["hostaddr"] == "192.0.2.1"
    assert "cret" not in repr(address)


@pytest.mark.parametrize(
    "asked",
    [
        "service=other", "passfile=/etc/passwd", "sslkey=/root/key", "sslcert=/root/crt", "options=-csearch_path=x",
        "hostaddr=127.0.0.1", "sslcrl=/x", "sslkeylogfile=/x", "require_auth=none", "application_name=x",
        "krbsrvname=x", "requirepeer=root", "sslpassword=s3cret", "oauth_issuer=http://127.0.0.1", "replication=true",
    ],
)  # fmt: skip
def test_other_keywords_are_refused(asked: str) -> None:
    """They could read a file here, run something, or lead elsewhere."""
    with pytest.raises(ConnectionStringError) as failure:
        look_up(f"host=192.0.2.1 user=me password=s3cret dbname=shop {asked}", ANYWHERE)
    assert asked.partition("=")[0] in said(failure) or "cannot be read" in said(failure)
    assert "cret" not in said(failure)


@pytest.mark.parametrize(
    "connection",
    [
        "host=/tmp user=me password=s3cret dbname=shop",
        "host=@abstract user=me password=s3cret dbname=shop",
        "host=192.0.2.1,/tmp user=me password=s3cret dbname=shop",
        "host=192.0.2.1, user=me password=s3cret dbname=shop",
        "postgresql://me:s3cret@%2Ftmp/shop",
        "postgresql:///shop?user=me&password=s3cret",
        "postgresql://me:pas@s3cret@192.0.2.1/shop",
        "postgresql://me:pa/s3cret@192.0.2.1/shop",
        "postgresql://me:s3cret%zz@192.0.2.1/shop",
        "postgresql://me:s3cret@[192.0.2.1/shop",
        "host=192.0.2.1 user=me password=my s3cret dbname=shop",
        "host=192.0.2.1 user=me password='s3cret dbname=shop",
        "host=192.0.2.1 user=me password=s3cret",
        "host=192.0.2.1 dbname=shop password=s3cret",
        "host=192.0.2.1 user=me dbname=shop password=s3cret port=70000",
        "host=192.0.2.1 user=me dbname=shop password=s3cret port=1,2",
        "mysql://me:s3cret@192.0.2.1/shop",
        "s3cret",
        "",
    ],
)
def test_what_cannot_be_used_is_refused_without_being_shown(connection: str) -> None:
    """I10: whichever part of it libpq takes for the password."""
    with pytest.raises(ConnectionStringError) as failure:
        look_up(connection, ANYWHERE)
    assert "cret" not in said(failure)


def test_a_worker_is_not_held_by_many_hosts_or_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """I8: each address may take as long as a connection may take."""
    hosts = [f"192.0.2.{number}" for number in range(1, 6)]
    four = look_up(f"host={','.join(hosts[:4])} user=me dbname=shop", ANYWHERE)
    assert four.parameters["hostaddr"] == ",".join(hosts[:4])
    with pytest.raises(ConnectionStringError, match="names 5 hosts"):
        look_up(f"host={','.join(hosts)} user=me dbname=shop", ANYWHERE)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 5432)) for host in hosts]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    address = look_up("host=many.example,more.example user=me dbname=shop", ANYWHERE)
    assert address.parameters["hostaddr"] == ",".join(hosts[:2] * 2)
    assert address.parameters["host"] == "many.example,many.example,more.example,more.example"
    found[-1] = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 5432))
    with pytest.raises(ConnectionStringError, match="not a public address"):
        look_up("host=many.example user=me dbname=shop", PUBLIC)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",  # noqa: S104
        "169.254.169.254", "100.64.0.1", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1",
        "2002:a00:1::", "2001::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "localhost",
    ],
)  # fmt: skip
def test_addresses_of_ones_own_networks_are_refused(host: str) -> None:
    """D26: in every way of writing them, and behind a name."""
    with pytest.raises(ConnectionStringError, match="not a public address"):
        look_up(f"host={host} user=me password=s3cret dbname=shop", PUBLIC)
    assert look_up(f"host={host} user=me password=s3cret dbname=shop", ANYWHERE).parameters["hostaddr"]


@pytest.mark.parametrize("host", ["8.8.8.8", "2600::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"])
def test_public_addresses_are_not(host: str) -> None:
    assert look_up(f"host={host} user=me dbname=shop", PUBLIC).parameters["host"] == host


def test_a_name_is_connected_to_where_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """D26: asked once, every answer checked; a name that answers differently the second time gains nothing."""
    answers = [["8.8.8.8", "8.8.4.4"], ["8.8.8.8", "10.0.0.1"]]

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    parameters = look_up("host=db.example.com port=6543 user=me dbname=shop", PUBLIC).parameters
    assert (parameters["host"], parameters["hostaddr"]) == ("db.example.com,db.example.com", "8.8.8.8,8.8.4.4")
    assert parameters["port"] == "6543,6543"
    with pytest.raises(ConnectionStringError, match="10\\.0\\.0\\.1, which is not a public"):
        look_up("host=db.example.com user=me dbname=shop", PUBLIC)


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(UnreachableError, match=r"host nowhere\.invalid is not known"):
        look_up("host=nowhere.invalid user=me dbname=shop", ANYWHERE)


def test_tls_can_be_required(pipeline: Harness) -> None:
    """Where the server has none, nothing is sent to it but the question."""
    policy = Policy(private_addresses=True, require_tls=True, secrets=None)
    assert look_up(GOOD, policy).parameters["sslmode"] == "require"
    assert look_up(f"{GOOD}?sslmode=verify-full", policy).parameters["sslmode"] == "verify-full"
    for mode in ("disable", "allow", "prefer"):
        with pytest.raises(ConnectionStringError, match=f"sslmode={mode}"):
            look_up(f"{GOOD}?sslmode={mode}", policy)
    with pytest.raises(ConnectionStringError, match="sslrootcert"):
        look_up(f"{GOOD}?sslrootcert=/etc/passwd", policy)
    pipeline.configure(external_require_tls=True)
    with pytest.raises(UnreachableError, match="SSL") as failure:
        pipeline.pipeline.external_session(pipeline.url)
    assert psycopg.conninfo.conninfo_to_dict(pipeline.url)["password"] not in said(failure)


def test_references(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To variables of one prefix, and to files of one directory, if there is one."""
    (tmp_path / "shop").write_text(f"{GOOD}\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path.parent / "outside").write_text(GOOD)
    monkeypatch.setenv("DBSYNC_EXTERNAL_SHOP", GOOD)
    monkeypatch.setenv("OTHER", GOOD)
    policy = Policy(private_addresses=True, require_tls=False, secrets=tmp_path)
    for reference in ("env:DBSYNC_EXTERNAL_SHOP", "file:shop"):
        assert look_up(reference, policy).place == "192.0.2.1:6543/shop"
    for reference in (
        *("env:OTHER", "env:DBSYNC_EXTERNAL_NONE", "env:DBSYNC_SOURCE_URL", "env:", "file:", "file:none", "file:inner"),
        *("file:..", "file:../outside", f"file:{tmp_path.parent}/outside", "file:binary", "file:inner/../shop"),
    ):
        with pytest.raises(ConnectionStringError) as failure:
            look_up(reference, policy)
        assert "cret" not in said(failure)
    with pytest.raises(ConnectionStringError, match="DBSYNC_EXTERNAL_SECRETS"):
        look_up("file:shop", ANYWHERE)
    monkeypatch.setenv("DBSYNC_EXTERNAL_LOOP", "env:DBSYNC_EXTERNAL_SHOP")
    with pytest.raises(ConnectionStringError):
        look_up("env:DBSYNC_EXTERNAL_LOOP", policy)


def test_nothing_of_the_workers_own_surroundings_is_sent(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its libpq variables and password file are the operator's, and the server is a stranger's."""
    parts = psycopg.conninfo.conninfo_to_dict(pipeline.url)
    file = tmp_path / "passwords"
    file.write_text(f"*:*:*:*:{parts['password']}\n")
    file.chmod(0o600)
    bare = f"host={parts['host']} port={parts['port']} user={parts['user']} dbname={parts['dbname']}"
    for variable, value in (("PGPASSFILE", str(file)), ("PGPASSWORD", str(parts["password"]))):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            psycopg.connect(bare).close()
            with pytest.raises(UnreachableError, match="no password supplied"):
                pipeline.pipeline.external_session(bare)
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=12MB")
    session = pipeline.pipeline.external_session(pipeline.url)
    assert session.connection.execute("show work_mem").fetchone() != ("12MB",)
    session.close()
    assert "PGOPTIONS" in os.environ
