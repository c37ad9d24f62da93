from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any, TypeVar, cast

from .contract import Problem
from .errors import CutOffError, GatewayError, ProblemError, ReplyError


class Call:
    """What a call needs of the thread that runs it."""

    def opened(self, connection: socket.socket) -> None:
        pass

    def sleep(self, seconds: float) -> bool:
        time.sleep(seconds)
        return False


class StreamCall(Call):
    """A call that another thread can cancel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._connection: socket.socket | None = None

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connection = connection
        if self._cancelled.is_set():
            self.cancel()

    def sleep(self, seconds: float) -> bool:
        return self._cancelled.wait(seconds)

    def cancel(self) -> None:
        self._cancelled.set()
        with self._lock:
            if self._connection is not None:
                try:
                    self._connection.shutdown(socket.SHUT_RDWR)  # close would not end a read of another thread
                except OSError:
                    pass  # the connection is closed


E = TypeVar("E")
S = TypeVar("S", bound="EventStream[Any]")


class EventStream(Iterator[E]):
    """The events of a call up to the last one, which is of a class of its own. A stream that ends before it raises CutOffError."""

    def __init__(self, events: Generator[E, None, None], call: StreamCall, last: type[Any]) -> None:
        self._events = events
        self._call = call
        self._last = last
        self._complete = False

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self: S) -> S:
        return self

    def __next__(self) -> E:
        for event in self._events:
            if isinstance(event, self._last):
                self._complete = True
                self._events.close()
            return event
        if self._complete:
            raise StopIteration
        raise CutOffError

    def close(self) -> None:
        """Closes the connection. It may be called more than once."""
        self._call.cancel()
        try:
            self._events.close()
        except ValueError:
            pass  # another thread is in __next__, which closes the connection now


def send(request: urllib.request.Request, call: Call, context: ssl.SSLContext | None) -> http.client.HTTPResponse:
    """Sends the request once, and returns the response whatever its status is."""
    opener = urllib.request.build_opener(_NoRedirect, _HTTP(call), _HTTPS(call, context))
    try:
        return cast(http.client.HTTPResponse, opener.open(request))
    except urllib.error.HTTPError as error:
        return cast(http.client.HTTPResponse, error)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keeps urllib from sending the API key to the host that a redirect names."""

    def redirect_request(self, *_: object) -> None:
        return None


class _HTTP(urllib.request.HTTPHandler):
    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> http.client.HTTPConnection:
            return _reporting(http.client.HTTPConnection(host, **options), self._call)

        return self.do_open(cast(Any, connection), request)


class _HTTPS(urllib.request.HTTPSHandler):
    def __init__(self, call: Call, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._call = call
        self._ssl_context = context

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> http.client.HTTPConnection:
            return _reporting(http.client.HTTPSConnection(host, context=self._ssl_context, **options), self._call)

        return self.do_open(cast(Any, connection), request)


def _reporting(connection: http.client.HTTPConnection, call: Call) -> http.client.HTTPConnection:
    """Makes the connection report its socket to the call: urllib returns a response without it."""
    connect = connection.connect

    def connect_and_report() -> None:
        connect()
        call.opened(connection.sock)

    setattr(connection, "connect", connect_and_report)
    return connection


def failure(response: http.client.HTTPResponse, content_type: str, asked: float | None) -> GatewayError:
    with response:
        if content_type == "application/problem+json":
            try:
                return problem_of(response.read(), asked)
            except ReplyError as error:
                return error
    return ReplyError(f"status {response.status}, content type {content_type}", response.status)


def decode(data: bytes, required: tuple[str, ...]) -> Any:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise ReplyError(error) from error
    if not isinstance(answer, dict) or not all(isinstance(answer.get(name), list) for name in required):
        raise ReplyError("the JSON lacks required fields")
    return answer


def decode_list(data: bytes) -> list[Any]:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise ReplyError(error) from error
    if not isinstance(answer, list):
        raise ReplyError("the JSON is not a list")
    return answer


def problem_of(data: bytes, asked: float | None = None) -> GatewayError:
    document = decode(data, ())
    if not {"code", "detail", "status"} <= document.keys():
        return ReplyError("the JSON lacks required fields")
    return ProblemError(cast(Problem, document), asked)


def messages(
    stream: http.client.HTTPResponse, on_line: Callable[[], object] = lambda: None
) -> Iterator[tuple[str, bytes, str]]:
    """Reads server-sent events as the gateway writes them, each with one line of data: their names, data and IDs."""
    name = data = event_id = b""
    lines = iter(stream)
    while True:
        try:
            line = next(lines).rstrip(b"\r\n")
        except StopIteration:
            return
        except (OSError, http.client.HTTPException) as error:
            raise CutOffError from error
        on_line()
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.removeprefix(b" ")
        elif field == b"data":
            data = value.removeprefix(b" ")
        elif field == b"id":
            event_id = value.removeprefix(b" ")
        elif not line:
            if data:
                yield name.decode(errors="replace"), data, event_id.decode(errors="replace")
            name = data = event_id = b""
