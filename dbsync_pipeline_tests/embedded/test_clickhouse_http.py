"""What a client without a library sees: raw requests, some of them rude."""

import base64
import http.client
import json
import socket
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import pytest

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse


class Wire:
    """Raw requests to one server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.password is not None
        self.address = (parts.hostname, parts.port)
        self.password = parts.password
        token = base64.b64encode(f"default:{parts.password}".encode()).decode()
        self.authorization = {"Authorization": f"Basic {token}"}

    def send(
        self,
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        **arguments: str,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(*self.address)
        try:
            target = f"{path}?{urlencode(arguments)}" if arguments else path
            connection.request(method, target, body, dict(self.authorization if headers is None else headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def ask(self, statement: str) -> bytes:
        status, _, body = self.send(statement.encode())
        assert status == 200, body
        return body


@pytest.fixture
def wire(clickhouse_server: EmbeddedClickHouse) -> Wire:
    return Wire(clickhouse_server.url)


@pytest.fixture
def table(wire: Wire, clickhouse_database_prefix: str) -> str:
    wire.ask(f"create database {clickhouse_database_prefix}")
    wire.ask(f"create table {clickhouse_database_prefix}.t (a UInt64, b String) engine = MergeTree order by a")
    return f"{clickhouse_database_prefix}.t"


def test_ping_needs_no_password(wire: Wire) -> None:
    assert wire.send(method="GET", path="/ping", headers={})[::2] == (200, b"Ok.\n")


def test_nothing_asked_is_answered_like_ping(wire: Wire) -> None:
    assert wire.send(method="GET")[::2] == (200, b"Ok.\n")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic " + base64.b64encode(b"default:").decode()},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "wrong"},
        {"X-ClickHouse-User": "défaut", "X-ClickHouse-Key": "ünïcode"},
    ],
)
def test_who_does_not_know_the_password_gets_nothing(wire: Wire, headers: dict[str, str]) -> None:
    encoded = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    status, answered, body = wire.send(b"select 1", headers=encoded)
    assert (status, answered["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert b"AUTHENTICATION_FAILED" in body
    assert wire.password.encode() not in body


def test_the_password_is_taken_from_headers_and_url_too(wire: Wire) -> None:
    keys = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": wire.password}
    assert wire.send(b"select 1", headers=keys)[::2] == (200, b"1\n")
    assert wire.send(b"select 1", headers={}, user="default", password=wire.password)[::2] == (200, b"1\n")


def test_answers_carry_the_headers_of_clickhouse(wire: Wire) -> None:
    status, headers, body = wire.send(
        b"show databases like 'default'", query_id="mine", default_format="JSONEachRow", session_timezone="Asia/Tokyo"
    )
    assert (status, body) == (200, b'{"name":"default"}\n')
    assert headers["X-ClickHouse-Query-Id"] == "mine"
    assert headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert headers["X-ClickHouse-Timezone"] == "Asia/Tokyo"
    assert json.loads(headers["X-ClickHouse-Summary"])["result_rows"] == "1"
    assert wire.send(b"select 1 format CSV")[1]["X-ClickHouse-Format"] == "CSV"


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [("select * from nope", 404, "60"), ("selec 1", 400, "62"), ("drop user u", 500, "497")],
)
def test_failures_have_a_status_and_a_code(wire: Wire, statement: str, status: int, code: str) -> None:
    answered, headers, body = wire.send(statement.encode())
    assert (answered, headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert b"(version " in body


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("no_such_setting", "1", 115),
        ("max_threads = 1, readonly", "0", 115),
        ("max_threads", "1, readonly = 2", 27),
        ("compress", "1", 48),
        ("decompress", "1", 48),
    ],
)
def test_settings_are_untrusted_text(wire: Wire, name: str, value: str, code: int) -> None:
    assert wire.send(b"select 1", **{name: value})[1]["X-ClickHouse-Exception-Code"] == str(code)


def test_get_changes_nothing(wire: Wire, table: str) -> None:
    status, headers, _ = wire.send(method="GET", query=f"insert into {table} (a) values (1)")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert wire.send(method="GET", query="select 1")[::2] == (200, b"1\n")


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("insert into {} format TabSeparated", b"1\tx\n2\ty\n"),
        ("insert into {} format TabSeparated\n1\tx", b"2\ty\n"),
        ("", b"insert into {} format TabSeparated\n1\tx\n2\ty\n"),
        ("insert into {}", b"values (1, 'x'), (2, lower('Y'))"),
        ("", b"insert into {} (b, a) values ('x', 1), ('y', 2)"),
        ("insert into {} format JSONEachRow", b'{"a": 1, "b": "x"} {"b": "y", "a": 2}'),
        ("", b"insert into {} select 1, 'x' union all select 2, 'y'"),
    ],
)
def test_an_insert_is_split_between_url_and_body_anywhere(wire: Wire, table: str, query: str, body: bytes) -> None:
    status, headers, answer = wire.send(body.replace(b"{}", table.encode()), query=query.replace("{}", table))
    assert (status, answer) == (200, b"")
    assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert wire.ask(f"select * from {table} order by a") == b"1\tx\n2\ty\n"


@pytest.mark.parametrize("rows", [b"", b"1\t\n", b"1\t;\n", b"1\tx;\n", b"1\t--\n2\t'\n", b"1\tx\n2\t \n"])
def test_a_small_insert_is_whole_however_it_ends(wire: Wire, table: str, rows: bytes) -> None:
    assert wire.send(rows, query=f"insert into {table} format TabSeparated")[::2] == (200, b"")
    assert wire.ask(f"select * from {table} order by a format TSVRaw") == rows


def test_bytes_that_are_no_text_are_kept(wire: Wire, table: str) -> None:
    assert wire.send(b"insert into %b values (1, '\xff\xfe')" % table.encode())[0] == 200
    assert wire.send(b"select '\xff', b from %b" % table.encode())[2] == b"\xff\t\xff\xfe\n"


def test_a_statement_may_be_long_and_its_format_at_its_end(wire: Wire) -> None:
    numbers = ",".join(["1"] * 300_000)
    statement = f"select number in ({numbers}) as found from numbers(2) format CSVWithNames"
    status, headers, body = wire.send(statement.encode(), max_query_size="10000000", max_ast_elements="1000000")
    assert (status, headers["X-ClickHouse-Format"], body) == (200, "CSVWithNames", b'"found"\n0\n1\n')


def test_a_form_with_a_file_is_refused(wire: Wire) -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nselect 1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="t"; filename="t"\r\n\r\n1\r\n--b--\r\n'
    )
    headers = wire.authorization | {"Content-Type": "multipart/form-data; boundary=b"}
    assert wire.send(form, headers=headers)[1]["X-ClickHouse-Exception-Code"] == "48"


def test_a_reader_that_goes_away_ends_its_query(wire: Wire, table: str) -> None:
    wire.ask(f"insert into {table} values (1, 'x')")
    connection = http.client.HTTPConnection(*wire.address)
    connection.request("POST", "/", f"select b, number from system.numbers cross join {table}", wire.authorization)
    response = connection.getresponse()
    assert response.read(4) == b"x\t0\n"
    response.close()
    connection.close()

    # This waits for every query on the table, and that one has no end.
    wire.ask(f"drop table {table} sync")


@pytest.mark.parametrize("length", ["Transfer-Encoding: chunked", "Content-Length: 1000000"])
def test_a_client_that_goes_away_leaves_nothing_behind(wire: Wire, table: str, length: str) -> None:
    with socket.create_connection(wire.address) as connection:
        target = f"/?{urlencode({'query': f'insert into {table} format TabSeparated'})}"
        token = wire.authorization["Authorization"]
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n{length}\r\n\r\n"
        row = b"6\r\n1\tabc\n\r\n" if "chunked" in length else b"1\tabc\n"
        connection.sendall(head.encode() + row)

    # An insert that was left open would hold this up for ever.
    wire.ask(f"drop table {table} sync")


def test_a_client_that_goes_away_in_the_middle_of_blocks_has_inserted_whole_blocks(wire: Wire, table: str) -> None:
    with socket.create_connection(wire.address) as connection:
        arguments = {
            "query": f"insert into {table} format TabSeparated",
            "min_insert_block_size_rows": "1000",
            "min_insert_block_size_bytes": "0",
            "max_insert_block_size": "1000",
        }
        connection.sendall(
            f"POST /?{urlencode(arguments)} HTTP/1.1\r\nHost: x\r\nAuthorization: "
            f"{wire.authorization['Authorization']}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        rows = b"1\tabc\n" * 10_000
        for _ in range(50):
            connection.sendall(b"%x\r\n%b\r\n" % (len(rows), rows))
        connection.sendall(b"ffff\r\n1\tcut of")

    assert int(wire.ask(f"select countIf(b != 'abc') from {table}")) == 0
    wire.ask(f"drop table {table} sync")
