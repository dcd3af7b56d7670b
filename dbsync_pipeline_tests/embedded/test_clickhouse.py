"""What `clickhouse-connect` sees: the embedded server must look like an installed one."""

import datetime as dt
import decimal
import gzip
import ipaddress
import threading
import uuid
import zlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoneinfo import ZoneInfo

import clickhouse_connect
import lz4.frame
import pytest
from backports import zstd
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse

UTC = ZoneInfo("UTC")
PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "lz4": lz4.frame.compress, "zstd": zstd.compress}


@pytest.fixture
def database(clickhouse_server: EmbeddedClickHouse, clickhouse_database_prefix: str) -> str:
    with clickhouse_connect.get_client(dsn=clickhouse_server.url) as admin:
        admin.command(f"create database {clickhouse_database_prefix}")
    return clickhouse_database_prefix


@pytest.fixture
def client(clickhouse_server: EmbeddedClickHouse, database: str) -> Generator[Client]:
    with clickhouse_connect.get_client(dsn=clickhouse_server.url, database=database) as client:
        yield client


@pytest.mark.parametrize(
    ("type_name", "values"),
    [
        ("UInt64", [0, 2**64 - 1]),
        ("Int64", [-(2**63), 2**63 - 1]),
        ("Float64", [1.5, -0.1]),
        ("Bool", [True, False]),
        ("String", ["", "tab\t newline\n back\\slash 'quote' \x00 é \U0001f600"]),
        ("FixedString(3)", [b"abc", b"\x00\xff\x01"]),
        ("LowCardinality(String)", ["a", "b"]),
        ("Nullable(String)", [None, "x"]),
        ("UUID", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)]),
        ("Date32", [dt.date(1900, 1, 1), dt.date(2299, 12, 31)]),
        (
            "DateTime64(3, 'Asia/Tokyo')",
            [
                dt.datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
                dt.datetime(2024, 2, 29, 12, 0, 0, 1000, tzinfo=UTC),
            ],
        ),
        ("Decimal(38, 10)", [decimal.Decimal("-1.0000000001"), decimal.Decimal("12345678901234567890.5")]),
        ("Array(Nullable(Int32))", [[], [1, None, -1]]),
        ("Map(String, UInt8)", [{}, {"a": 1, "'": 2}]),
        ("Tuple(a String, b Int8)", [{"a": "x", "b": 1}, {"a": "", "b": -1}]),
        ("Enum8('a' = 1, 'b' = 2)", ["a", "b"]),
        ("IPv4", [ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv4Address("255.255.255.255")]),
        ("JSON", [{"a": {"b": [1, 2]}}, {"c": "x'\n"}]),
    ],
)
def test_values_come_back_as_they_went_in(client: Client, type_name: str, values: list[object]) -> None:
    client.command(f"create table t (n UInt8, v {type_name}) engine = MergeTree order by n")

    written = client.insert("t", list(enumerate(values)), column_names=["n", "v"])

    assert written.written_rows == len(values)
    assert [row[0] for row in client.query("select v from t order by n").result_rows] == values


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("String", "'; drop table t; -- \\ \n\t {x:String} $$ `"),
        ("String", "é\x00\U0001f600"),
        ("String", "x" * 200_000),
        ("Array(String)", ["a'", "b\\"]),
        ("Nullable(String)", None),
        ("Int64", -5),
    ],
)
def test_parameters_are_bound_and_never_read_as_sql(client: Client, type_name: str, value: object) -> None:
    assert client.query(f"select {{p:{type_name}}}", parameters={"p": value}).result_rows == [(value,)]


def test_parameters_reach_inserts_and_names(client: Client) -> None:
    client.command("create table t (a String) engine = MergeTree order by a")
    client.command("insert into {name:Identifier} (a) values ({a:String})", {"name": "t", "a": "it's"})
    assert client.query("select a from {name:Identifier}", {"name": "t"}).result_rows == [("it's",)]


def test_settings_hold_for_one_request_only(client: Client) -> None:
    statement = "select getSetting('max_block_size'), getSetting('log_comment')"
    changed = client.query(statement, settings={"max_block_size": 7, "log_comment": "it's, readonly = 1"})
    assert changed.result_rows == [(7, "it's, readonly = 1")]
    assert client.query(statement).result_rows != changed.result_rows


def test_readonly_forbids_writing(client: Client) -> None:
    with pytest.raises(DatabaseError, match="READONLY") as refused:
        client.command("create table t (a Int8) engine = Memory", settings={"readonly": 1})
    assert refused.value.code == 164
    assert client.query("select 1", settings={"readonly": 1}).result_rows == [(1,)]


@pytest.mark.parametrize(
    ("statement", "code", "name"),
    [
        ("select * from nope", 60, "UNKNOWN_TABLE"),
        ("selec 1", 62, "SYNTAX_ERROR"),
        ("select 1; select 2", 62, "SYNTAX_ERROR"),
        ("select nope", 47, "UNKNOWN_IDENTIFIER"),
        ("select * from nope.t", 81, "UNKNOWN_DATABASE"),
        ("select toUInt8('x')", 6, "CANNOT_PARSE_TEXT"),
        ("create user u", 497, "ACCESS_DENIED"),
        ("set max_threads = 1", 48, "NOT_IMPLEMENTED"),
        ("create temporary table t (a Int8)", 48, "NOT_IMPLEMENTED"),
    ],
)
def test_failures_carry_the_code_and_name_of_clickhouse(client: Client, statement: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError, match=rf"Code: {code}\. DB::Exception: .*\({name}\)") as failure:
        client.command(statement)
    assert (failure.value.code, failure.value.name) == (code, name)


def test_a_failure_in_the_middle_of_a_result_is_not_taken_for_its_end(
    client: Client, clickhouse_server: EmbeddedClickHouse
) -> None:
    with pytest.raises(StreamFailureError, match="FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"):
        _ = client.query("select throwIf(number = 3000000) from numbers(5000000)").result_rows
    assert "Traceback" not in clickhouse_server._log.read_text()


def test_wrong_password_is_refused(clickhouse_server: EmbeddedClickHouse) -> None:
    with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED") as refused:
        clickhouse_connect.get_client(dsn=clickhouse_server.url.replace("default:", "default:x"))
    assert refused.value.code == 516


def test_results_in_other_formats_are_whole(client: Client) -> None:
    numbers = "select number from numbers(200000)"
    assert client.raw_query(numbers, fmt="CSVWithNames").count(b"number") == 1
    assert client.query_df(numbers).number.sum() == 19_999_900_000
    assert client.query_arrow(numbers).num_rows == 200_000
    assert client.raw_query("select 1 as a where 0", fmt="CSVWithNames") == b'"a"\n'
    assert client.query("select number from numbers(3) limit 0").column_names == ("number",)


def test_commands_answer_as_a_server_does(client: Client) -> None:
    assert client.command("select 1") == 1
    assert client.command("select '' where 0") == ""
    client.command("create table t (a Int8) engine = MergeTree order by a")
    assert client.command("show tables") == "t"
    assert client.command("exists table t") == 1
    assert client.command("insert into t select number from numbers(5)").written_rows == 5
    client.command("alter table t delete where a < 3", settings={"mutations_sync": 2})
    assert client.command("select count() from t") == 2


@pytest.mark.parametrize("compression", [None, "gzip", "deflate", "lz4", "zstd"])
def test_raw_inserts_may_be_compressed(client: Client, compression: str | None) -> None:
    client.command("create table t (a UInt64) engine = MergeTree order by a")
    data = b"".join(b"%d\n" % number for number in range(100_000))
    # Two frames one after the other are one body, as with the command line tools.
    packed = data if compression is None else PACK[compression](data[:13]) + PACK[compression](data[13:])

    pieces = (packed[at : at + 999] for at in range(0, len(packed), 999))

    client.raw_insert("t", ["a"], pieces, fmt="TabSeparated", compression=compression)

    assert client.query("select count(), sum(a) from t").result_rows == [(100_000, 4_999_950_000)]


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd"])
def test_a_compressed_body_cut_short_inserts_nothing(client: Client, compression: str) -> None:
    client.command("create table t (a UInt64) engine = MergeTree order by a")
    packed = PACK[compression](b"".join(b"%d\n" % number for number in range(100_000)))
    with pytest.raises(DatabaseError, match="CANNOT_DECOMPRESS"):
        client.raw_insert("t", ["a"], packed[:-9], fmt="TabSeparated", compression=compression)
    assert client.command("select count() from t") == 0


def test_unknown_compression_is_refused(client: Client) -> None:
    with pytest.raises(DatabaseError, match="'br' is not supported; use gzip"):
        client.raw_insert("t", ["a"], b"x", compression="br")


def test_a_bad_row_fails_its_insert(client: Client) -> None:
    client.command("create table t (a UInt64) engine = MergeTree order by a")
    with pytest.raises(DatabaseError, match="Cannot parse input") as failure:
        client.raw_insert("t", ["a"], (b"1\n" if at < 900 else b"x\n" for at in range(1000)), fmt="TabSeparated")
    assert failure.value.code == 27
    assert client.command("select count() from t") == 0


def test_what_fails_after_parsing_is_not_acknowledged(client: Client) -> None:
    """A constraint stands for everything that can go wrong between a parsed row and the disk."""
    client.command("create table guarded (n Int64, constraint positive check n > 0) engine = MergeTree order by n")
    with pytest.raises(DatabaseError, match="VIOLATED_CONSTRAINT"):
        client.raw_insert("guarded", ["n"], b"1\n-1\n", fmt="TabSeparated")
    assert client.query("select count() from guarded").result_rows == [(0,)]


def test_memory_stays_flat_under_a_long_insert(tmp_path: Path) -> None:
    block = b"".join(b"%d\t%s\n" % (number, b"x" * 990) for number in range(1000))
    # A server of its own: what other tests left to be merged takes memory, too. Nothing is stored here, likewise.
    with EmbeddedClickHouse(tmp_path / "quiet") as server, clickhouse_connect.get_client(dsn=server.url) as client:
        client.command("create table t (a UInt64, b String) engine = Null")
        process = Path(f"/proc/{server._process.pid}")

        def peak_of(blocks: int) -> int:
            process.joinpath("clear_refs").write_text("5")  # The peak is counted from here.
            done = client.raw_insert("t", ["a", "b"], (block for _ in range(blocks)), fmt="TabSeparated")
            assert done.written_rows == blocks * 1000
            return _peak_kilobytes(process)

        # What is in memory between two blocks varies; how long the insert is makes no difference to it.
        short = peak_of(200)
        assert peak_of(1_000) - short < 800 * len(block) / 1024 / 4


def test_queries_are_answered_while_an_insert_streams(client: Client, clickhouse_server: EmbeddedClickHouse) -> None:
    client.command("create table t (a UInt64) engine = MergeTree order by a")
    answered = threading.Event()

    def rows() -> Generator[bytes]:
        for number in range(100):
            yield b"%d\n" % number * 50_000
        # The insert cannot end before the queries are answered: the queries do not wait for the insert.
        assert answered.wait(60)
        yield b"100\n"

    with ThreadPoolExecutor(1) as thread:
        insert = thread.submit(client.raw_insert, "t", ["a"], rows(), None, "TabSeparated")
        with clickhouse_connect.get_client(dsn=clickhouse_server.url, database=client.database) as other:
            for _ in range(20):
                assert other.query("select 1").result_rows == [(1,)]
                other.command("select count() from t")
        answered.set()
        assert insert.result().written_rows == 5_000_001


def test_many_clients_at_once(clickhouse_server: EmbeddedClickHouse, client: Client) -> None:
    client.command("create table t (worker UInt8, a UInt64) engine = MergeTree order by (worker, a)")

    def work(worker: int) -> list[int]:
        seen: list[int] = []
        with clickhouse_connect.get_client(dsn=clickhouse_server.url, database=client.database) as own:
            for number in range(10):
                own.insert("t", [[worker, number]], column_names=["worker", "a"])
                count = "select count() from t where worker = {w:UInt8}"
                seen.append(own.query(count, {"w": worker}).result_rows[0][0])
        return seen

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [list(range(1, 11))] * 8


def _peak_kilobytes(process: Path) -> int:
    lines = process.joinpath("status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
