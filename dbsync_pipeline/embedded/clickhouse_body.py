"""Request bodies: undoes a Content-Encoding while the bytes come in, and takes forms apart."""

import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from email import policy
from email.parser import BytesParser
from typing import Protocol, cast

import lz4.frame  # pyright: ignore[reportMissingTypeStubs]  # it has none.

from dbsync_pipeline.embedded.clickhouse_engine import EngineError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, /) -> bytes: ...


async def decoded(body: AsyncIterator[bytes], encoding: str) -> AsyncGenerator[bytes]:
    """Yield the bytes of `body` with `encoding` undone.

    Raises:
        EngineError: the encoding is unknown here, or the bytes are damaged or cut short.
    """
    if encoding in ("", "identity"):
        async for chunk in body:
            if chunk:
                yield chunk
        return
    decoder = _decoder(encoding)
    started = False
    async for chunk in body:
        rest = chunk
        while rest:
            if decoder.eof:
                # Frames may follow one another.
                decoder = _decoder(encoding)
            started = True
            try:
                plain = decoder.decompress(rest)
            except (zlib.error, zstd.ZstdError, RuntimeError) as error:
                raise _damaged(encoding, str(error)) from error
            if plain:
                yield plain
            rest = (decoder.unused_data or b"") if decoder.eof else b""
    if started and not decoder.eof:
        raise _damaged(encoding, "it ends too early")


def form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """Return the fields of a `multipart/form-data` body.

    Raises:
        EngineError: the form brings a file, which would be an external table.
    """
    message = BytesParser(policy=policy.HTTP).parsebytes(b"Content-Type: %b\r\n\r\n%b" % (content_type.encode(), body))
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        if part.get_filename() is not None:
            raise EngineError.named(48, "This server takes no external tables", "NOT_IMPLEMENTED")
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = payload.decode()
    return fields


def _decoder(encoding: str) -> _Decoder:
    match encoding:
        case "gzip":
            return zlib.decompressobj(wbits=31)
        case "deflate":
            return zlib.decompressobj()
        case "zstd":
            return zstd.ZstdDecompressor()
        case "lz4":
            return cast("_Decoder", lz4.frame.LZ4FrameDecompressor())
        case _:
            raise EngineError.named(
                48, f"Content-Encoding {encoding!r} is not supported; use gzip, deflate, lz4 or zstd", "NOT_IMPLEMENTED"
            )


def _damaged(encoding: str, why: str) -> EngineError:
    return EngineError.named(271, f"Cannot decompress the body ({encoding}): {why}", "CANNOT_DECOMPRESS")
