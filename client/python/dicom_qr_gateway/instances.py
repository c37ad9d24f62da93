from __future__ import annotations

import email.message
import http.client
import io
import json
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any

from .errors import IncompleteError, ReplyError

_PIECE = 256 << 10
_MAX_HEADER = 16 << 10
_MAX_EPILOGUE = 4 << 10
_MAX_MISSING = 16 << 20  # bytes of a list of missing instances


class Instance(io.RawIOBase):
    """One DICOM instance: a file of PS3.10, to read while it arrives. It is valid until the next one.

    transfer_syntax is the UID of the transfer syntax of the data set, or None if the gateway did not name it. Its methods raise
    IncompleteError if the rest does not arrive.
    """

    transfer_syntax: str | None

    def __init__(self, transfer_syntax: str | None, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self.transfer_syntax = transfer_syntax
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        piece = self._rest[: len(buffer)]
        self._rest = self._rest[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def pieces(self) -> Iterator[bytes]:
        """Yields the rest in pieces of up to 256 KiB."""
        if self._rest:
            piece, self._rest = bytes(self._rest), memoryview(b"")
            yield piece
        yield from self._pieces


class Instances(Iterator[Instance]):
    """The instances of an answer, one after the other; none is kept in memory.

    The first step of the iteration sends the request. If the iteration ends, all instances arrived; otherwise it raises
    IncompleteError, or ProblemError if there were none. Closing it, by leaving its with statement or by calling close, cancels
    the retrieval at the PACS. close may be called by another thread.
    """

    def __init__(self, send: Callable[[], http.client.HTTPResponse], cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._complete = False
        self._progress = _Progress()
        self._instances = _read(send, self._progress)  # no method: a cycle would keep the connection of an iteration that is left

    def __enter__(self) -> Instances:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Instances:
        return self

    def __next__(self) -> Instance:
        if self._complete:
            raise StopIteration
        for instance in self._instances:
            if instance is not None:
                return instance
            self._complete = True
            self._instances.close()
            raise StopIteration
        raise self._progress.incomplete("the iteration has ended")  # closed, or after an error

    def close(self) -> None:
        """Closes the connection. It may be called more than once."""
        self._cancel()
        try:
            self._instances.close()
        except ValueError:
            pass  # another thread is in __next__, which closes the connection now


class _Progress:
    """What has arrived."""

    received = 0  # instances

    def incomplete(self, cause: BaseException | str | None, missing: list[str] | None = None) -> IncompleteError:
        return IncompleteError(self.received, missing or [], cause)


def _read(
    send: Callable[[], http.client.HTTPResponse], progress: _Progress
) -> Generator[Instance | None, None, None]:
    """Yields the instances, and None behind the end of a complete answer."""
    with send() as response:
        boundary = response.headers.get_boundary()
        if not boundary:
            raise ReplyError("the answer has no boundary")
        parts = _Parts(response, boundary.encode("latin-1"), progress)
        for part in parts:
            kind = part.header.get_content_type()
            if kind == "application/problem+json":
                raise progress.incomplete(None, _missing(part.pieces))
            if kind != "application/dicom":
                raise ReplyError("a part of the answer is not a DICOM instance")
            parts.instance = True
            syntax = part.header.get_param("transfer-syntax")
            yield Instance(syntax if isinstance(syntax, str) else None, part.pieces)
        if progress.received == 0 or response.status == 206:
            raise progress.incomplete(None)
        yield None


class _Part:
    def __init__(self, header: email.message.Message, pieces: Iterator[bytes]) -> None:
        self.header = header
        self.pieces = pieces


class _Parts(Iterator[_Part]):
    """Reads the parts of a multipart body (RFC 2046 section 5.1). It keeps no more than a piece of the body.

    It ends only behind the closing boundary and at the proper end of the body; otherwise it raises IncompleteError.
    """

    def __init__(self, response: http.client.HTTPResponse, boundary: bytes, progress: _Progress) -> None:
        self._response = response
        self._progress = progress
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # the first boundary has no line break before it
        self._pieces = self._until_delimiter()  # what precedes the first boundary
        self._inside = True  # the delimiter is not found yet
        self.instance = False  # the part is an instance

    def __next__(self) -> _Part:
        self._skip(self._pieces)
        if self._inside:  # the consumer has closed the generator
            self._skip(self._until_delimiter())
        while len(self._buffer) < 2:
            self._fill()
        if self._buffer.startswith(b"--"):
            self._end(len(self._buffer) - 2)
            raise StopIteration
        header = self._header()
        self._inside = True
        self._pieces = self._until_delimiter()
        return _Part(header, self._pieces)

    @staticmethod
    def _skip(pieces: Iterator[bytes]) -> None:
        for _ in pieces:
            pass

    def _until_delimiter(self) -> Iterator[bytes]:
        """Yields the bytes up to the delimiter, and consumes it."""
        start = 0
        while True:
            at = self._buffer.find(self._delimiter, start)
            end = at + len(self._delimiter)
            if at < 0:
                start, safe = 0, len(self._buffer) - len(self._delimiter) + 1
                if safe > 0:
                    piece, self._buffer = self._buffer[:safe], self._buffer[safe:]
                    yield piece
                self._fill()
            elif len(self._buffer) < end + 2:
                start = at
                self._fill()
            elif self._buffer[end : end + 2] == b"--" or self._buffer[end] in b"\r \t":
                piece, self._buffer = self._buffer[:at], self._buffer[end:]
                self._inside = False
                self._progress.received += self.instance
                self.instance = False
                if piece:
                    yield piece
                return
            else:
                start = at + 1  # the beginning of a longer word

    def _header(self) -> email.message.Message:
        while (at := self._buffer.find(b"\r\n\r\n")) < 0 and len(self._buffer) <= _MAX_HEADER:
            self._fill()
        if not 0 <= at <= _MAX_HEADER:
            raise self._progress.incomplete("the header of a part is too long")
        lines, self._buffer = self._buffer[:at], self._buffer[at + 4 :]
        header = email.message.Message()
        for line in lines.split(b"\r\n")[1:]:
            name, _, value = line.decode("latin-1").partition(":")
            header[name.strip()] = value.strip()
        return header

    def _end(self, length: int) -> None:
        """Waits for the end of the body."""
        while piece := self._receive():
            length += len(piece)
            if length > _MAX_EPILOGUE:
                raise self._progress.incomplete("the answer goes on after its closing boundary")

    def _fill(self) -> None:
        piece = self._receive()
        if not piece:
            raise self._progress.incomplete("the answer lacks its closing boundary")
        self._buffer += piece

    def _receive(self) -> bytes:
        try:
            return self._response.read1(_PIECE)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # http.client raises ValueError, or AttributeError, if another thread closes the connection meanwhile.
            raise self._progress.incomplete(error) from error


def _missing(pieces: Iterator[bytes]) -> list[str]:
    """Reads the last part of an incomplete answer that the caller asked for with lenient."""
    text = b""
    for piece in pieces:
        text += piece
        if len(text) > _MAX_MISSING:
            return []
    try:
        missing = json.loads(text)["missing_sop_instance_uids"]
    except (ValueError, LookupError, TypeError):
        return []
    return [uid for uid in missing if isinstance(uid, str)] if isinstance(missing, list) else []
