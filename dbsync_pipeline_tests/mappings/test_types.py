"""Nasty values of every type, converted by a real Postgres, are the same in a real ClickHouse."""

from collections.abc import Iterator

import clickhouse_connect
import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.mappings.types import data_type
from dbsync_pipeline.source import connect

# The faster parser is one bit off for some doubles.
_INSERT = {"input_format_null_as_default": 0, "precise_float_parsing": 1}

_TIMESTAMPS = [
    "'1970-01-01'::timestamp",
    "'1969-12-31 23:59:59.999'::timestamp",
    "'1969-12-31 23:59:59.5'::timestamp",
    "'1969-12-31 23:59:59.0004'::timestamp",
    "'1901-02-03 04:05:06.007'::timestamp",
    "'1900-01-01'::timestamp",
    "'1899-12-31 23:59:59.999'::timestamp",
    "'0044-03-15 12:00:00 BC'::timestamp",
    "'-infinity'::timestamp",
    "'infinity'::timestamp",
    "'2024-02-29 23:59:59.999999'::timestamp",
    "'2024-02-29 23:59:59.123456'::timestamp",
    "'2299-12-31 23:59:59.999999'::timestamp",
    "'2300-01-01'::timestamp",
    "'9999-12-31 23:59:59.999'::timestamp",
    "'2024-06-01 12:00:00+05:30'::timestamptz",
    "'-infinity'::timestamptz",
]
_TEXTS = [
    "''",
    "' '",
    r"'\N'",
    r"'\\N'",
    r"'NULL'",
    r"E'tab\there'",
    r"E'line\nfeed\r\nand return\r'",
    r"E'back\\slash\\'",
    r"E'\b\f\x0b\x01\x1b\x7f'",
    "'quotes '' \" `'",
    "'Ünïcödé 漢字 🦆 \u202e\u0301'",
    "repeat('x', 100000)",
    r"'\.'",
]
_JSON = [
    "'null'::jsonb",
    "'{}'::jsonb",
    "'[]'::jsonb",
    "'\"text\"'::jsonb",
    "'\"null\"'::jsonb",
    "'true'::jsonb",
    "'0'::jsonb",
    "'-0.0'::jsonb",
    "'1e400'::jsonb",
    "'123456789012345678901234567890.123456789'::jsonb",
    r"""'{"tab": "\t", "back": "\\", "quote": "\"", "nl": "\n", "u": "\u00e9\ud83e\udd86"}'::jsonb""",
    '\'{"b": null, "a": [1, {"c": []}]}\'::json',
]
_DOUBLES = [
    *("0", "-0.0", "1", "-1", "0.1", "1e308", "-1.7976931348623157e308", "5e-324", "2.2250738585072014e-308"),
    *("123456789.123456789", "9007199254740993", "1e22", "1e23", "8.41e21", "NaN", "Infinity", "-Infinity"),
    *("5.0216813883093451e-24", "3.1415926535897932", "7.2057594037927933e16"),
]
_VALUES = {
    "timestamp": _TIMESTAMPS,
    "timestamp(0)": _TIMESTAMPS,
    "timestamp(6)": _TIMESTAMPS,
    "date": [*_TIMESTAMPS, "'4714-11-24 BC'::date", "'5874897-12-31'::date"],
    "text": _TEXTS,
    "label": [*_TEXTS, "'LABEL'"],
    "json": _JSON,
    "double": [f"'{value}'::double precision" for value in _DOUBLES],
    "numeric": ["0", "-0.5", "1.1", "1e-9", "-0.000000001", "9" * 29 + "." + "9" * 9, "-" + "9" * 29 + "." + "9" * 9],
    "numeric(5)": ["0", "-99999", "99999"],
    "numeric(76, 30)": ["9" * 46 + "." + "9" * 30, "-1e-30"],
    "boolean": ["true", "false"],
    "integer": ["0", "-2147483648", "2147483647"],
    "bigint": ["0", "'-9223372036854775808'::bigint", "9223372036854775807", "12345.0"],
    "count": ["0", "9223372036854775807"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'::uuid", "'FFFFFFFF-ffff-4fff-bfff-fffffffffff0'::uuid"],
}


@pytest.fixture
def postgres(source_url: str) -> Iterator[psycopg.Connection]:
    with connect(source_url) as connection:
        yield connection


@pytest.fixture
def clickhouse(clickhouse_server: EmbeddedClickHouse, clickhouse_database_prefix: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(dsn=clickhouse_server.url) as client:
        client.command(f"create database {clickhouse_database_prefix}")
        client.database = clickhouse_database_prefix
        yield client


def _carry(postgres: psycopg.Connection, clickhouse: Client, declaration: str, values: list[str], *, nullable: bool):
    """Take the values the way of a row, and return what each side says of them."""
    type_ = data_type(declaration)
    rows = " union all ".join(
        f"select {number} as n, {type_.convert(value)} as v" for number, value in enumerate(values)
    )
    clickhouse.command(
        f"create table carried (n Int32, v {type_.clickhouse_column(nullable=nullable)}) engine = Memory"
    )
    with postgres.cursor().copy(f"copy ({rows}) to stdout") as copy:
        rows_text = b"".join(bytes(block) for block in copy)
    clickhouse.raw_insert("carried", insert_block=rows_text, fmt="TabSeparated", settings=_INSERT)
    there = clickhouse.query(f"select {type_.clickhouse_checksum('v')} from carried order by n").result_columns[0]
    here = postgres.execute(f"select {type_.checksum('v')} from ({rows}) as rows order by n").fetchall()
    return [text for (text,) in here], list(there)


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("declaration", _VALUES)
def test_both_sides_agree(postgres, clickhouse, declaration, nullable):
    values = [*_VALUES[declaration], data_type(declaration).neutral]
    values = [value for value in values if nullable or value != "'null'::jsonb"]
    values += [f"null::{data_type(declaration).postgres}"] if nullable else []
    here, there = _carry(postgres, clickhouse, declaration, values, nullable=nullable)
    assert dict(zip(values, there, strict=True)) == dict(zip(values, here, strict=True))
    assert (here[-1] is None) == nullable


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("numeric", "'NaN'::numeric"),
        ("count", "-1"),
    ],
)
def test_clickhouse_refuses_what_it_would_have_to_change(postgres, clickhouse, declaration, value):
    with pytest.raises(DatabaseError):
        _carry(postgres, clickhouse, declaration, [value], nullable=False)


@pytest.mark.parametrize(
    ("declaration", "value"),
    [("integer", "2147483648"), ("numeric(5)", "100000"), ("numeric", "'Infinity'::numeric"), ("bigint", "1e19")],
)
def test_postgres_refuses_a_number_that_does_not_fit(postgres, declaration, value):
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        postgres.execute(f"select {data_type(declaration).convert(value)}")


@pytest.mark.parametrize("declaration", ["boolean", "bigint", "date", "double", "numeric", "timestamp", "uuid"])
def test_null_is_refused_by_a_column_that_has_none(postgres, clickhouse, declaration):
    with pytest.raises(DatabaseError):
        _carry(postgres, clickhouse, declaration, [f"null::{data_type(declaration).postgres}"], nullable=False)


def test_json_null_is_null(postgres, clickhouse):
    nulls = ["'null'::jsonb", "'null'::json", "null::jsonb"]
    assert _carry(postgres, clickhouse, "json", nulls, nullable=True) == ([None] * 3, [None] * 3)


@pytest.mark.parametrize("declaration", ["text", "label", "json"])
def test_null_in_a_string_column_is_seen_by_the_checksum(postgres, clickhouse, declaration):
    """ClickHouse reads it as the empty text, which is why a mapping whose column could get one is refused."""
    here, there = _carry(
        postgres, clickhouse, declaration, [f"null::{data_type(declaration).postgres}"], nullable=False
    )
    assert here == [None]
    assert there == [""]


@pytest.mark.parametrize(
    ("declaration", "value", "expected"),
    [
        ("timestamp", "'-infinity'::timestamp", "1900-01-01 00:00:00.000"),
        ("timestamp", "'infinity'::timestamp", "2299-12-31 23:59:59.999"),
        ("timestamp", "'2024-06-01 12:00:00+05:30'::timestamptz", "2024-06-01 06:30:00.000"),
        ("date", "'infinity'::date", "2299-12-31"),
        ("json", '\'{"b":1,"a":  2}\'::json', '{"a": 2, "b": 1}'),
        ("text", "E'\\t\\\\N'", "\t\\N"),
    ],
)
def test_what_arrives(postgres, clickhouse, declaration, value, expected):
    _carry(postgres, clickhouse, declaration, [value], nullable=False)
    assert clickhouse.query("select toString(v) from carried").result_columns[0] == [expected]


@pytest.mark.parametrize(
    "declaration", ["varchar", "timestamp(7)", "numeric(77)", "numeric(3, 4)", "text(3)", "Text", ""]
)
def test_unknown_types_are_refused(declaration):
    with pytest.raises(ValueError, match=r"no type|takes a precision|does not take"):
        data_type(declaration)
