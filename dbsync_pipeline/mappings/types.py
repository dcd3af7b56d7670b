"""The value types a mapping may declare, and how each destination holds them.

One name stands for a pair of column types and for the rule that turns any Postgres value of that kind into something
both destinations can hold. The rules are the project's whole conversion policy:

* timestamps are UTC; what lies outside 1900-01-01 to 2299-12-31, infinities included, is moved to the nearest bound,
  because ClickHouse's DateTime64 ends there;
* JSON null is SQL NULL, so that a column's `default` and `is null` mean what they say;
* JSON travels to ClickHouse as Postgres's own canonical text of `jsonb`;
* numbers are rounded to the digits of the declared type and changed in no other way: one that does not fit fails its
  tenancy and mapping, with key and column named.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_ROOMY_NUMERIC = (38, 9)
"""Precision and scale of `numeric` where the mapping names none."""

_DECLARATION = re.compile(r"^(?P<name>[a-z]+)(?:\((?P<arguments>[0-9, ]+)\))?$")


@dataclass(frozen=True)
class DataType:
    """A value type as both destinations see it.

    Attributes:
        clickhouse: column type in ClickHouse, without `Nullable`.
        postgres: column type in Postgres; every extracted value is cast to it.
        neutral: SQL literal for the columns of a tombstone, which carries its key and nothing else.
        convert: wraps a SQL expression so that its value is one that both destinations hold.
        checksum: wraps a SQL expression of a converted value into the text that verification hashes; its twin for
            ClickHouse is `clickhouse_checksum`.
        clickhouse_checksum: the same text, computed from the column in ClickHouse.
    """

    clickhouse: str
    postgres: str
    neutral: str
    convert: Callable[[str], str]
    checksum: Callable[[str], str]
    clickhouse_checksum: Callable[[str], str]

    def clickhouse_column(self, *, nullable: bool) -> str:
        """Return the ClickHouse column type; LowCardinality wraps Nullable and not the other way round."""
        if not nullable:
            return self.clickhouse
        if self.clickhouse.startswith("LowCardinality("):
            return f"LowCardinality(Nullable({self.clickhouse.removeprefix('LowCardinality(').removesuffix(')')}))"
        return f"Nullable({self.clickhouse})"


def _same_text(expression: str) -> str:
    return f"({expression})::text"


def _to_string(column: str) -> str:
    return f"toString({column})"


def _plain(clickhouse: str, postgres: str, neutral: str) -> DataType:
    return DataType(
        clickhouse, postgres, neutral, lambda expression: f"({expression})::{postgres}", _same_text, _to_string
    )


def _timestamp(precision: int = 3) -> DataType:
    if not 0 <= precision <= 6:  # noqa: PLR2004 -- Postgres's own range
        raise ValueError("timestamp takes a precision of 0 to 6 digits")
    postgres = f"timestamp({precision})"
    highest = "2299-12-31 23:59:59" + ("." + "9" * precision if precision else "")

    def convert(expression: str) -> str:
        bounds = f"'1900-01-01'::{postgres}, least('{highest}'::{postgres}, ({expression})::{postgres})"
        # greatest and least skip NULL, which must stay NULL.
        return f"(case when ({expression}) is not null then greatest({bounds}) end)"

    return DataType(
        f"DateTime64({precision}, 'UTC')",
        postgres,
        f"'1970-01-01'::{postgres}",
        convert,
        lambda expression: f"trunc(extract(epoch from {expression}) * {10**precision})::bigint::text",
        lambda column: f"toString(reinterpretAsInt64({column}))",
    )


def _date() -> DataType:
    def convert(expression: str) -> str:
        bounds = f"'1900-01-01'::date, least('2299-12-31'::date, ({expression})::date)"
        return f"(case when ({expression}) is not null then greatest({bounds}) end)"

    return DataType("Date32", "date", "'1970-01-01'::date", convert, _same_text, _to_string)


def _json() -> DataType:
    return DataType(
        "String",
        "jsonb",
        "'{}'::jsonb",
        lambda expression: f"nullif(({expression})::jsonb, 'null'::jsonb)",
        _same_text,
        _to_string,
    )


def _numeric(precision: int | None = None, scale: int = 0) -> DataType:
    if precision is None:
        precision, scale = _ROOMY_NUMERIC
    if not (1 <= precision <= 76 and 0 <= scale <= precision):  # noqa: PLR2004 -- ClickHouse's Decimal range
        raise ValueError("numeric takes a precision of 1 to 76 and a scale of at most that")
    postgres = f"numeric({precision}, {scale})"
    return DataType(
        f"Decimal({precision}, {scale})",
        postgres,
        f"0::{postgres}",
        lambda expression: f"({expression})::{postgres}",
        _same_text,
        lambda column: f"toDecimalString({column}, {scale})",
    )


def _double() -> DataType:
    # Both sides print a text that reads back to the same number, but not the same one: the bits are compared. Adding
    # zero makes one zero of the two; of NaN there are many.
    return DataType(
        "Float64",
        "double precision",
        "0::double precision",
        lambda expression: f"({expression})::double precision",
        lambda expression: (
            f"(case when ({expression}) = 'NaN' then 'nan'"
            f" else ('x' || encode(float8send(({expression}) + 0), 'hex'))::bit(64)::bigint::text end)"
        ),
        lambda column: f"if(isNaN({column}), 'nan', toString(reinterpretAsInt64({column} + 0)))",
    )


_TYPES: dict[str, Callable[..., DataType]] = {
    "uuid": lambda: _plain("UUID", "uuid", "'00000000-0000-0000-0000-000000000000'::uuid"),
    "text": lambda: _plain("String", "text", "''::text"),
    "label": lambda: _plain("LowCardinality(String)", "text", "''::text"),
    "boolean": lambda: _plain("Bool", "boolean", "false"),
    "integer": lambda: _plain("Int32", "integer", "0"),
    "bigint": lambda: _plain("Int64", "bigint", "0::bigint"),
    "count": lambda: _plain("UInt64", "bigint", "0::bigint"),
    "double": _double,
    "numeric": _numeric,
    "date": _date,
    "timestamp": _timestamp,
    "json": _json,
}


def data_type(declaration: str) -> DataType:
    """Return the type that a mapping declares, such as `text` or `timestamp(6)`.

    Raises:
        ValueError: there is no such type, or its arguments are out of range.
    """
    match = _DECLARATION.match(declaration)
    if match is None or match["name"] not in _TYPES:
        raise ValueError(f"no type {declaration!r}; there are {', '.join(sorted(_TYPES))}")
    arguments = [int(argument) for argument in (match["arguments"] or "").split(",") if argument.strip()]
    try:
        return _TYPES[match["name"]](*arguments)
    except TypeError:
        raise ValueError(f"{match['name']} does not take {len(arguments)} arguments") from None
