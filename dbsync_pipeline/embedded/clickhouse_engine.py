"""The one place that talks to `chdb`: runs statements, streams results out and inserts in, names errors.

A connection of `chdb` runs one statement at a time and keeps its own settings, and any number may be open on the one
directory a process can own; opening, using and closing one takes a millisecond. So every statement gets a fresh
connection: statements run beside each other (a SELECT beside two long INSERTs takes 5 ms), and no setting of one
reaches another. All methods block and may be called from any thread.
"""

import errno
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, cast

import chdb

_EXCEPTION = re.compile(r"Code: (?P<code>\d+)\. .*", re.DOTALL)
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Blocks of these formats may be written one after another; of others the engine repeats a header for every block.
_STREAMABLE = {"Native", "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "CSV", "RowBinary", "JSONEachRow"}

# A server's defaults gather a million rows before a block of an INSERT is made, which took 3 GB for rows of 1 kB.
_INSERT_SETTINGS = {"max_insert_block_size": "65536", "min_insert_block_size_bytes": str(64 * 1024 * 1024)}


# Of a small one, parsing and writing by several threads cost more than they gain: 12 ms of processor time instead of 9.
_SMALL_INSERT_SETTINGS = {"max_threads": "1", "max_insert_threads": "1", "input_format_parallel_parsing": "0"}
_LINES = {"TabSeparated", "TSV"}
# What the engine takes off the end of a statement.
_TRIMMED = b" \t\r\n\f\v;\0"

_PIPE_BYTES = 1 << 20


class EngineError(Exception):
    """A statement failed, in ClickHouse's own words.

    Attributes:
        code: ClickHouse's number for the kind of failure.
        message: `Code: N. DB::Exception: …`.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def of(cls, error: RuntimeError) -> "EngineError":
        """Return what `chdb` said as ClickHouse would have."""
        found = _EXCEPTION.search(str(error))
        return cls(int(found["code"]), found[0].strip()) if found else cls.named(1001, str(error), "STD_EXCEPTION")

    @classmethod
    def named(cls, code: int, text: str, name: str) -> "EngineError":
        """Return an error of this server's own, worded as the engine words its errors."""
        return cls(code, f"Code: {code}. DB::Exception: {text}. ({name})")


@dataclass(frozen=True)
class Surroundings:
    """What a statement runs with besides its text."""

    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Done:
    """A finished statement: its result, and the counts of ClickHouse's summary."""

    body: bytes
    summary: Mapping[str, int]


class Engine:
    """ClickHouse's engine on one directory.

    Raises:
        EngineError: the directory cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        self._location = str(directory)
        # Kept open, because the engine ends with its last connection.
        self._keeper = self._connect()
        # The engine's own handlers of a crash put the process to sleep for ever, with the directory locked.
        extension = cast("_Extension", vars(chdb)["_chdb"])
        extension.reset_signal_handlers()
        answer = self.run(b"select version(), timezone()", "TabSeparated", Surroundings()).body
        self.version, self.timezone = answer.decode().strip().split("\t")

    def run(self, statement: bytes, answer_format: str, surroundings: Surroundings) -> Done:
        """Run `statement` to its end and return its whole result."""
        with closing(self._open(surroundings)) as connection, _engine_errors():
            result = connection.query(statement, answer_format)
            return Done(
                body=bytes(result.bytes()),
                summary={
                    "read_rows": result.storage_rows_read(),
                    "read_bytes": result.storage_bytes_read(),
                    "written_rows": result.rows_written(),
                    "written_bytes": result.bytes_written(),
                    "result_rows": result.rows_read(),
                    "result_bytes": result.bytes_read(),
                    "elapsed_ns": int(result.elapsed() * 1e9),
                },
            )

    def stream(self, statement: bytes, answer_format: str, surroundings: Surroundings) -> Generator[bytes]:
        """Yield the result of a SELECT as it is made; closing the generator cancels the statement.

        A result in a format that cannot be cut into blocks comes whole.
        """
        if answer_format not in _STREAMABLE:
            yield self.run(statement, answer_format, surroundings).body
            return
        with closing(self._open(surroundings)) as connection, _engine_errors():
            for block in connection.send_query(statement, answer_format):
                yield bytes(block.bytes())

    def insert_small(self, head: bytes, data_format: str, data: bytes, surroundings: Surroundings) -> Mapping[str, int]:
        """Run an INSERT with all of its data, and return the counts; a pipe costs twice the processor time."""
        kept = data.rstrip(_TRIMMED)
        if data_format not in _LINES or not kept or data not in (kept, kept + b"\n"):
            with closing(self.insert(head, data_format, surroundings)) as insert:
                insert.append(data)
                return insert.finish()
        settings = _INSERT_SETTINGS | _SMALL_INSERT_SETTINGS | dict(surroundings.settings)
        statement = b"%b format %b\n%b" % (head, data_format.encode(), data)
        return self.run(statement, "Null", replace(surroundings, settings=settings)).summary

    def insert(self, head: bytes, data_format: str, surroundings: Surroundings) -> "Insert":
        """Begin an INSERT whose data will be appended."""
        connection = self._open(replace(surroundings, settings=_INSERT_SETTINGS | dict(surroundings.settings)))
        return Insert(self, connection, head, data_format)

    def kill(self, words: str) -> None:
        """Ask the statements whose text holds these words to end."""
        with suppress(EngineError):
            self.run(
                f"kill query where position(query, {_quoted(words, chr(39))}) > 0 "
                "and query not ilike 'kill query%'".encode(),
                "Null",
                Surroundings(),
            )

    def cancel_all(self) -> None:
        """Ask every statement that is running now to end."""
        with suppress(EngineError):
            self.run(b"kill query where query not ilike 'kill query%'", "Null", Surroundings())

    def close(self) -> None:
        """Close the engine; what was acknowledged is on disk since before its acknowledgement."""
        self._keeper.close()

    def _open(self, surroundings: Surroundings) -> "_Connection":
        connection = self._connect()
        try:
            with _engine_errors():
                for statement in _preparations(surroundings):
                    connection.query(statement.encode(), "Null")
        except EngineError:
            connection.close()
            raise
        return connection

    def _connect(self) -> "_Connection":
        with _engine_errors():
            return cast("_Connection", chdb.connect(self._location))  # pyright: ignore[reportUnknownMemberType]  # untyped.


class Insert:
    """An INSERT that is being fed, through a named pipe that the engine reads as a file.

    `chdb` has an interface of its own for this, but that swallows what goes wrong after parsing: a violated constraint
    or a full disk would be acknowledged. A statement that reads a file is answered as any other. Memory stays flat, as
    the engine parses and writes what comes.
    """

    def __init__(self, engine: Engine, connection: "_Connection", head: bytes, data_format: str) -> None:
        self._engine = engine
        self._connection = connection
        self._directory = tempfile.TemporaryDirectory(prefix="dbsync-insert-")
        self._pipe = Path(self._directory.name) / "data"
        os.mkfifo(self._pipe, 0o600)
        source = f" from infile {_quoted(str(self._pipe), chr(39))} compression 'none' format {data_format}"
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="insert")
        self._answer = self._threads.submit(self._connection.query, head + source.encode(), "Null")
        self._writer = self._open_writer()

    def append(self, data: bytes) -> None:
        """Hand over the next bytes of the data.

        Raises:
            EngineError: the engine has refused what came before.
        """
        rest = memoryview(data)
        try:
            while rest and self._writer is not None:
                rest = rest[os.write(self._writer, rest) :]
        except BrokenPipeError:
            self.finish()

    def finish(self) -> Mapping[str, int]:
        """Wait until all of it is stored, and return the counts."""
        self._end_of_data()
        with _engine_errors():
            done = self._answer.result()
        return {
            "written_rows": done.rows_written(),
            "written_bytes": done.bytes_written(),
            "elapsed_ns": int(done.elapsed() * 1e9),
        }

    def close(self) -> None:
        """Release everything; an INSERT that was not finished is killed, whole blocks stored before stay."""
        if self._writer is not None and not self._answer.done():
            self._engine.kill(str(self._pipe))
        self._end_of_data()
        self._threads.shutdown()
        self._connection.close()
        self._directory.cleanup()

    def _open_writer(self) -> int | None:
        """Open the pipe once the engine reads it; there is nothing to open when it refuses the statement outright."""
        while not self._answer.done():
            try:
                writer = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                time.sleep(0.0005)
            else:
                os.set_blocking(writer, True)
                fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
                return writer
        return None

    def _end_of_data(self) -> None:
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None


def _preparations(surroundings: Surroundings) -> Iterator[str]:
    if surroundings.database:
        yield f"use {_quoted(surroundings.database, '`')}"
    wanted = {f"param_{name}": value for name, value in surroundings.parameters.items()}
    # `readonly` comes last, as it forbids further settings.
    wanted |= sorted(surroundings.settings.items(), key=lambda setting: setting[0] == "readonly")
    for name in wanted:
        if not _SETTING_NAME.fullmatch(name):
            raise EngineError.named(115, f"Unknown setting {name!r}", "UNKNOWN_SETTING")
    if wanted:
        yield "set " + ", ".join(f"{name} = {_quoted(value, chr(39))}" for name, value in wanted.items())


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote


@contextmanager
def _engine_errors() -> Generator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EngineError.of(error) from error


class _Extension(Protocol):
    """The compiled part of `chdb`, which exports it under a private name; no part of `chdb` has types."""

    def reset_signal_handlers(self) -> None: ...


class _Result(Protocol):
    def bytes(self) -> bytes: ...
    def elapsed(self) -> float: ...
    def rows_read(self) -> int: ...
    def bytes_read(self) -> int: ...
    def storage_rows_read(self) -> int: ...
    def storage_bytes_read(self) -> int: ...
    def rows_written(self) -> int: ...
    def bytes_written(self) -> int: ...


class _Connection(Protocol):
    def query(self, query: bytes, format: str) -> _Result: ...  # noqa: A002  # chdb's name.
    def send_query(self, query: bytes, format: str) -> Iterator[_Result]: ...  # noqa: A002  # likewise.
    def close(self) -> None: ...
