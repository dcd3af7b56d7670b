"""Rows in the form of a binary COPY, out of the result of a query and into arrays, without a value being looked at.

COPY plans anew each time, which takes longer than to read or to write a few rows; queries that are prepared do not. All
three send a value as the same bytes, its length before it, and for NULL a length of -1. So what the source has sent is
put together as if it had come by COPY, and cut again into an array for each column, the parameters of a statement.
The formats are those of PostgreSQL's manual (COPY, "Binary Format") and of its `array_recv`.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.adapt import Dumper, Transformer
from psycopg.pq import Format
from psycopg.pq.abc import PGresult

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = _SIGNATURE + bytes(8)
_LENGTH = struct.Struct(">i")
_FIELDS = struct.Struct(">h")
_END = -1
_TRAILER = _FIELDS.pack(_END)
_NULL = _LENGTH.pack(-1)
_ARRAY = struct.Struct(">iiIii")


def written(result: PGresult, size: int) -> Iterator[bytes]:
    """Give the rows of a query's result, which is in binary, as COPY would have sent them.

    Each block is of whole rows, and but for the last of so many bytes at least.
    """
    block = bytearray(_HEADER)
    fields = range(result.nfields)
    for row in range(result.ntuples):
        block += _FIELDS.pack(result.nfields)
        for field in fields:
            value = result.get_value(row, field)
            block += _with_length(value)
        if len(block) >= size:
            yield bytes(block)
            block.clear()
    yield bytes(block + _TRAILER)


def pieces(blocks: Iterator[bytes], size: int) -> Iterator[Iterator[bytes]]:
    """Cut a binary COPY that comes in blocks of whole rows into several, each to be read to its end before the next.

    No block is asked for until a piece is read.

    Args:
        blocks: the COPY; no block is cut.
        size: bytes of each piece but the last, at least.
    """
    following: bytes | None = None

    def piece() -> Iterator[bytes]:
        nonlocal following
        block = next(blocks, None) if following is None else _HEADER + following
        left, following = size, None
        while block is not None:
            yield block
            left -= len(block)
            block = next(blocks, None)
            # The last piece ends as the COPY does.
            if left <= 0 and block is not None:
                following = block
                yield _TRAILER
                return

    yield piece()
    while following is not None:
        yield piece()


Columns = list[list[bytes]]
"""Rows by column, each value as COPY and arrays have it, with its length before it; empty where there are no rows."""


def columns(block: bytes) -> Columns:
    """Return the columns of a whole binary COPY without extensions, each value with its length before it.

    Raises:
        ValueError: it is none.
    """
    if not block.startswith(_SIGNATURE):
        raise ValueError("not a binary COPY")
    found: Columns = []
    at = len(_HEADER)
    while (count := _FIELDS.unpack_from(block, at)[0]) != _END:
        at += _FIELDS.size
        if not found:
            found = [[] for _ in range(count)]
        for column in found:
            end = at + _LENGTH.size + max(_LENGTH.unpack_from(block, at)[0], 0)
            column.append(block[at:end])
            at = end
    return found


def by_first_column(cursor: psycopg.RawCursor[Any]) -> dict[Any, Columns]:
    """Return the rows of a query that was executed in binary, for each value of its first column, which is not null."""
    result = cursor.pgresult
    assert result is not None
    load = Transformer(cursor).get_loader(result.ftype(0), Format.BINARY).load
    found: dict[Any, Columns] = {}
    fields = range(result.nfields)
    for row in range(result.ntuples):
        key = load(result.get_value(row, 0) or b"")
        columns = found.get(key)
        if columns is None:
            columns = found[key] = [[] for _ in fields]
        for field in fields:
            value = result.get_value(row, field)
            columns[field].append(_with_length(value))
    return found


def _with_length(value: bytes | None) -> bytes:
    return _NULL if value is None else _LENGTH.pack(len(value)) + value


def size(columns: Columns) -> int:
    """Return how many bytes rows take."""
    return sum(len(value) for values in columns for value in values)


def value(sent: bytes, type_name: str) -> object:
    """Return what a value is, as `columns` returns it, by the name of its type; None for NULL."""
    if sent == _NULL:
        return None
    loader = Transformer().get_loader(psycopg.postgres.types[type_name].oid, Format.BINARY)
    return loader.load(sent[_LENGTH.size :])


def is_negative(integer: bytes) -> bool:
    """Tell whether a value of an integer column, as `columns` returns it, is below zero."""
    return integer[_LENGTH.size] >= 0x80  # noqa: PLR2004 -- the sign's bit


class Array(bytes):
    """An array in PostgreSQL's binary form; its type is what the statement casts it to."""

    __slots__ = ()

    @classmethod
    def of(cls, values: Sequence[bytes], type_name: str) -> "Array":
        """Make an array of the values of a column, by the name of its type, which is one of PostgreSQL's own."""
        return cls(b"".join(_parts(values, psycopg.postgres.types[type_name].oid)))


def _parts(values: Sequence[bytes], type_oid: int) -> Iterable[bytes]:
    one_dimension, may_hold_nulls, first_subscript = 1, 1, 1
    yield _ARRAY.pack(one_dimension, may_hold_nulls, type_oid, len(values), first_subscript)
    yield from values


class _ArrayDumper(Dumper):
    format = Format.BINARY
    oid = 0

    def dump(self, obj: Array) -> bytes:
        return bytes(obj)


psycopg.adapters.register_dumper(Array, _ArrayDumper)
