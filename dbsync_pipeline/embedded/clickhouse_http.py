"""ClickHouse's HTTP interface over the embedded engine, as far as its clients use it.

A request carries a statement (in the URL, the body, or a form), settings and parameters (in the URL), and perhaps an
INSERT's data; the answer is the result, or ClickHouse's own error text, code and status. Statements come from whoever
holds the password and are as free as on a server; everything beside the statement is untrusted text, checked or quoted
before it reaches the engine. No session is kept: `session_id` is accepted, because clients send one by default, and a
statement that only a session would remember (SET, USE, CREATE TEMPORARY TABLE) is refused instead of being forgotten.
Results are not compressed, and `query_id` is echoed only: the engine numbers its statements itself.
"""

import base64
import binascii
import hmac
import json
import secrets
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Send

from dbsync_pipeline.embedded.clickhouse_body import decoded, form_fields
from dbsync_pipeline.embedded.clickhouse_engine import Engine, EngineError, Surroundings
from dbsync_pipeline.embedded.clickhouse_statement import Statement, read_statement

USER = "default"
# ClickHouse's own limit (max_query_size): a statement, without its data, is never longer.
_STATEMENT_BYTES = 256 * 1024
_INSERT_CHUNK_BYTES = 1024 * 1024
# Parameters of a request that ClickHouse does not hand to the statement as settings.
_TRANSPORT = {
    "query",
    "database",
    "default_format",
    "user",
    "password",
    "query_id",
    "quota_key",
    "session_id",
    "session_timeout",
    "session_check",
    "compress",
    "decompress",
    "buffer_size",
    "wait_end_of_query",
    "client_protocol_version",
}
# ClickHouse's own choice of status for a code; every other one is 500.
_STATUS = {
    400: {6, 26, 27, 36, 38, 41, 53, 62, 69, 70, 72, 117, 130},
    403: {516},
    404: {46, 47, 50, 60, 73, 81, 115},
    501: {48},
}


@dataclass(frozen=True)
class _Call:
    """A request, taken apart."""

    statement: Statement
    text: bytes
    data: AsyncIterator[bytes]
    answer_format: str
    surroundings: Surroundings


class ClickHouseHttp:
    """The handlers of the two paths that clients use."""

    def __init__(self, engine: Engine, password: str) -> None:
        self._engine = engine
        self._password = password

    async def ping(self, request: Request) -> Response:  # noqa: ARG002  # the handlers' signature.
        """Say that the server is up; needs no password, as on a server."""
        return PlainTextResponse("Ok.\n")

    async def query(self, request: Request) -> Response:
        """Run one statement."""
        headers = {
            "X-ClickHouse-Server-Display-Name": "dbsync-embedded",
            "X-ClickHouse-Query-Id": request.query_params.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": request.query_params.get("session_timezone") or self._engine.timezone,
        }
        try:
            self._authenticate(request)
            call = await _read(request)
            if call is None:
                return PlainTextResponse("Ok.\n", headers=headers)
            if call.statement.insert_head:
                summary = await self._insert(call)
                return Response(headers=headers | {"X-ClickHouse-Summary": _summary(summary)})
            return await self._run(call, headers)
        except ClientDisconnect:
            return Response(status_code=499)
        except EngineError as error:
            return PlainTextResponse(
                f"{error.message} (version {self._engine.version})\n",
                status_code=next((status for status, codes in _STATUS.items() if error.code in codes), 500),
                headers=headers | {"X-ClickHouse-Exception-Code": str(error.code)},
            )

    def _authenticate(self, request: Request) -> None:
        user = request.headers.get("X-ClickHouse-User") or request.query_params.get("user") or USER
        password = request.headers.get("X-ClickHouse-Key") or request.query_params.get("password") or ""
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                password = ""
        given, expected = f"{user}:{password}".encode(), f"{USER}:{self._password}".encode()
        if not hmac.compare_digest(given, expected):
            raise EngineError.named(
                516,
                f"{user}: Authentication failed: password is incorrect, or there is no user with such name",
                "AUTHENTICATION_FAILED",
            )

    async def _run(self, call: _Call, headers: dict[str, str]) -> Response:
        if call.statement.answers:
            headers = headers | {"X-ClickHouse-Format": call.answer_format}
        if not call.statement.selects:
            done = await run_in_threadpool(self._engine.run, call.text, call.answer_format, call.surroundings)
            return Response(done.body, headers=headers | {"X-ClickHouse-Summary": _summary(done.summary)})
        blocks = self._engine.stream(call.text, call.answer_format, call.surroundings)
        # The first block is awaited here, so that most failures still get a status and a code of their own.
        first = await run_in_threadpool(next, blocks, b"")
        tag = secrets.token_hex(8)
        return _StreamedAnswer(_answer(first, blocks, tag), headers=headers | {"X-ClickHouse-Exception-Tag": tag})

    async def _insert(self, call: _Call) -> Mapping[str, int]:
        head, data_format = call.statement.insert_head, call.statement.insert_format
        pieces = _joined(call.data, _INSERT_CHUNK_BYTES)
        first = await anext(pieces, b"")
        if len(first) < _INSERT_CHUNK_BYTES:
            return await run_in_threadpool(self._engine.insert_small, head, data_format, first, call.surroundings)
        insert = await run_in_threadpool(self._engine.insert, head, data_format, call.surroundings)
        try:
            await run_in_threadpool(insert.append, first)
            async for piece in pieces:
                await run_in_threadpool(insert.append, piece)
            return await run_in_threadpool(insert.finish)
        finally:
            # Also when the client went away or its data was cut short: what it did not finish is abandoned.
            insert.close()


class _StreamedAnswer(StreamingResponse):
    """A result on its way. After a failure the last chunk is left out, so that no client takes the result for whole."""

    async def stream_response(self, send: Send) -> None:
        with suppress(EngineError):
            await super().stream_response(send)


async def _read(request: Request) -> _Call | None:
    """Take `request` apart; `None` when it holds no statement."""
    arguments = dict(request.query_params)
    if arguments.get("compress", "0") != "0" or arguments.get("decompress", "0") != "0":
        raise EngineError.named(48, "This server has no block compression; use Content-Encoding", "NOT_IMPLEMENTED")
    body = decoded(request.stream(), request.headers.get("Content-Encoding", ""))
    content_type = request.headers.get("Content-Type", "")
    if content_type.startswith("multipart/form-data"):
        arguments |= form_fields(content_type, b"".join([chunk async for chunk in body]))
    head = arguments.get("query", "").encode()
    if head:
        head += b"\n"
    while len(head) < _STATEMENT_BYTES and (chunk := await anext(body, b"")):
        head += chunk
    if not head.strip():
        return None
    statement = read_statement(head)
    if not statement.insert_head and (rest := b"".join([chunk async for chunk in body])):
        # The client has raised the engine's limit, and an answer's format stands at the end.
        head += rest
        statement = read_statement(head)
    if statement.several:
        raise EngineError.named(62, "Syntax error: Multi-statements are not allowed", "SYNTAX_ERROR")
    if statement.for_session and "session_id" in arguments:
        raise EngineError.named(
            48, "This server keeps no sessions; give settings and database with each request", "NOT_IMPLEMENTED"
        )
    settings = {
        name: value for name, value in arguments.items() if name not in _TRANSPORT and not name.startswith("param_")
    }
    if request.method == "GET":
        # As on a server, so that following a link changes nothing.
        settings.setdefault("readonly", "2")
    return _Call(
        statement=statement,
        text=head,
        data=_prepended(head[statement.data_offset :], body),
        answer_format=statement.answer_format
        or arguments.get("default_format")
        or request.headers.get("X-ClickHouse-Format", "TabSeparated"),
        surroundings=Surroundings(
            database=arguments.get("database") or request.headers.get("X-ClickHouse-Database", ""),
            settings=settings,
            parameters={
                name.removeprefix("param_"): value for name, value in arguments.items() if name.startswith("param_")
            },
        ),
    )


async def _answer(first: bytes, blocks: Generator[bytes], tag: str) -> AsyncGenerator[bytes]:
    """Yield the result; a failure on the way is told as ClickHouse tells it, between marks that hold the tag."""
    try:
        block = first
        while block:
            yield block
            block = await run_in_threadpool(next, blocks, b"")
    except EngineError as error:
        text = error.message.encode()
        yield b"__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
        raise
    finally:
        blocks.close()


async def _prepended(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def _joined(chunks: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes]:
    """Yield the bytes of `chunks` in pieces of at least `size`, the last excepted: each costs a change of thread."""
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        if len(piece) >= size:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _summary(counts: Mapping[str, int]) -> str:
    return json.dumps({name: str(count) for name, count in counts.items()})
