from __future__ import annotations

import http.client
import itertools
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

from .contract import (
    DICOMObject,
    EchoRequest,
    EchoResponse,
    Problem,
    QueryRequest,
    QueryResponse,
    RetrieveRequest,
    RetrieveResponse,
)
from .errors import CutOffError, GatewayError, ProblemError, ReplyError
from .events import Event, Matched, Progress, Result, Retrieved
from .instances import Instances
from .retry import Retry, retry_after

_EVENTS: dict[str, Callable[[Any], Event]] = {
    "matched": Matched,
    "progress": Progress,
    "retrieved": Retrieved,
    "result": Result,
}

# The lists that the contract requires. Without this check, the {} of another server would pass for a result.
_REQUIRED = {
    "/q": ("study_details", "warnings"),
    "/qr": ("study_details", "warnings", "retrievals"),
    "/echo": ("steps",),
    "matched": ("study_details", "warnings"),
    "result": ("study_details", "warnings", "retrievals"),
}


class Gateway:
    """Calls one gateway, for example Gateway("http://localhost:8888"). It raises ValueError for a malformed base URL.

    Without retry, each call sends one request. ssl_context replaces the default one, for example to present a client
    certificate. Calls have no time limit, because a retrieve can take hours. A Gateway may be used by several threads.

    correlation_id is the ID of the request in the gateway's log and audit trail: 1 to 128 visible ASCII characters.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        retry: Retry | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        address = urllib.parse.urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("the base URL is not of the form http://host:port or https://host:port")
        _ = address.port  # raises ValueError
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._retry = retry
        self._ssl_context = ssl_context

    def query(self, request: QueryRequest, correlation_id: str | None = None) -> QueryResponse:
        """Finds the studies of a patient that match all filters, newest first."""
        return cast(QueryResponse, self._call("/q", request, correlation_id))

    def retrieve(self, request: RetrieveRequest, correlation_id: str | None = None) -> RetrieveResponse:
        """Finds the studies and asks the PACS to move them to c_move_ae_title."""
        return cast(RetrieveResponse, self._call("/qr", request, correlation_id))

    def echo(self, request: EchoRequest, correlation_id: str | None = None) -> EchoResponse:
        """Tests the connection to a PACS step by step."""
        return cast(EchoResponse, self._call("/echo", request, correlation_id))

    def search(
        self,
        pacs: str,
        resource: str = "studies",
        parameters: Mapping[str, str | int | Sequence[str]] | None = None,
        correlation_id: str | None = None,
    ) -> list[DICOMObject]:
        """Searches with DICOMweb (QIDO-RS), for example the resource "studies/1.2.3/series", and returns the matches.

        The parameters are attributes, includefield, limit and offset. Those with several values are repeated.
        """
        route = f"/dicomweb/{urllib.parse.quote(pacs, safe='')}/{resource}"
        if parameters:
            route += "?" + urllib.parse.urlencode(parameters, doseq=True)
        with self._send_until_accepted(route, None, correlation_id, "application/dicom+json", _Call()) as response:
            return cast("list[DICOMObject]", _decode_list(response.read()))

    def retrieve_instances(
        self,
        pacs: str,
        study: str,
        series: str | None = None,
        instance: str | None = None,
        *,
        transfer_syntax: str = "*",
        lenient: bool = False,
        correlation_id: str | None = None,
    ) -> Instances:
        """Yields the instances of a study, of one of its series, or one of these, at a named PACS, while they arrive.

        Use it in a with statement, which closes the connection. transfer_syntax is a UID; without it instances come as the PACS
        has them. With lenient, the gateway sends what it can although instances are missing. The iteration still raises
        IncompleteError at the end, which then lists the missing instances.
        """
        path = ["studies", study]
        if series is not None:
            path += ["series", series]
        if instance is not None:
            path += ["instances", instance]
        route = "/".join(["/dicomweb", *(urllib.parse.quote(part, safe="") for part in [pacs, *path])])
        accept = f'multipart/related; type="application/dicom"; transfer-syntax={transfer_syntax}'
        prefer = {"Prefer": "handling=lenient"} if lenient else {}
        call = _StreamCall()
        return Instances(
            lambda: self._send_until_accepted(route, None, correlation_id, accept, call, prefer),
            call.cancel,
        )

    def follow(self, request: RetrieveRequest, correlation_id: str | None = None) -> Stream:
        """Does what retrieve does and reports progress. Use it in a with statement, which closes the stream."""
        return Stream(lambda call: self._post("/qr", request, correlation_id, "text/event-stream", call))

    def _call(self, route: str, request: Mapping[str, object], correlation_id: str | None) -> Any:
        with self._post(route, request, correlation_id, "application/json", _Call()) as response:
            return _decode(response.read(), _REQUIRED[route])

    def _post(
        self, route: str, request: Mapping[str, object], correlation_id: str | None, accept: str, call: _Call
    ) -> http.client.HTTPResponse:
        return self._send_until_accepted(route, json.dumps(request).encode(), correlation_id, accept, call)

    def _send_until_accepted(
        self,
        route: str,
        body: bytes | None,
        correlation_id: str | None,
        accept: str,
        call: _Call,
        more: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        headers = {"Accept": accept, **(more or {})}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if correlation_id is not None:
            headers["X-Correlation-ID"] = correlation_id
        retry = self._retry or Retry(attempts=1, max_wait=1)
        waited = 0.0
        for attempt in itertools.count(1):
            response = self._send(urllib.request.Request(self._base_url + route, body, headers), call)
            content_type = response.headers.get_content_type()
            if response.status < 300 and content_type == accept.partition(";")[0]:
                return response
            asked = retry_after(response.headers["Retry-After"], retry.now())
            refusal = _failure(response, content_type, asked)
            if response.status not in (429, 503) or attempt >= retry.attempts:
                raise refusal
            wait = 2.0 ** (attempt - 1) if asked is None else asked
            waited += wait
            if waited > retry.max_wait:
                raise refusal
            if retry.on_retry is not None:
                retry.on_retry(refusal, wait)
            if (retry.sleep or call.sleep)(wait):
                raise refusal
        raise AssertionError

    def _send(self, request: urllib.request.Request, call: _Call) -> http.client.HTTPResponse:
        opener = urllib.request.build_opener(_NoRedirect, _HTTP(call), _HTTPS(call, self._ssl_context))
        try:
            return cast(http.client.HTTPResponse, opener.open(request))
        except urllib.error.HTTPError as error:
            return cast(http.client.HTTPResponse, error)


class Stream(Iterator[Event]):
    """The events of a retrieve: Matched, then Progress and Retrieved for each study, then Result.

    The first step of the iteration sends the request. If nothing was moved, it raises ProblemError. Closing the stream, by
    leaving its with statement or by calling close, cancels the operation at the PACS. close may be called by another thread:
    it ends a wait for an event, or for a retry, at once. The iteration of a stream that was closed before its last event
    raises an error, in most cases CutOffError.
    """

    def __init__(self, send: Callable[[_Call], http.client.HTTPResponse]) -> None:
        self._call = _StreamCall()
        self._complete = False
        self._events = _read(send, self._call)  # no method: a cycle would keep the connection of a stream that is left

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Event:
        for event in self._events:
            if isinstance(event, Result):
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


def _read(send: Callable[[_Call], http.client.HTTPResponse], call: _Call) -> Generator[Event, None, None]:
    with send(call) as stream:
        for name, data in _messages(stream):
            if name == "error":
                raise _problem(data)
            if name in _EVENTS:
                yield _EVENTS[name](_decode(data, _REQUIRED.get(name, ())))
    raise CutOffError


class _Call:
    """What a call needs of the thread that runs it."""

    def opened(self, connection: socket.socket) -> None:
        pass

    def sleep(self, seconds: float) -> bool:
        time.sleep(seconds)
        return False


class _StreamCall(_Call):
    """A call that another thread can cancel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._connection: socket.socket | None = None

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


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keeps urllib from sending the API key to the host that a redirect names."""

    def redirect_request(self, *_: object) -> None:
        return None


class _HTTP(urllib.request.HTTPHandler):
    def __init__(self, call: _Call) -> None:
        super().__init__()
        self._call = call

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> http.client.HTTPConnection:
            return _reporting(http.client.HTTPConnection(host, **options), self._call)

        return self.do_open(cast(Any, connection), request)


class _HTTPS(urllib.request.HTTPSHandler):
    def __init__(self, call: _Call, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._call = call
        self._ssl_context = context

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> http.client.HTTPConnection:
            return _reporting(http.client.HTTPSConnection(host, context=self._ssl_context, **options), self._call)

        return self.do_open(cast(Any, connection), request)


def _reporting(connection: http.client.HTTPConnection, call: _Call) -> http.client.HTTPConnection:
    """Makes the connection report its socket to the call: urllib returns a response without it."""
    connect = connection.connect

    def connect_and_report() -> None:
        connect()
        call.opened(connection.sock)

    setattr(connection, "connect", connect_and_report)
    return connection


def _failure(response: http.client.HTTPResponse, content_type: str, asked: float | None) -> GatewayError:
    with response:
        if content_type == "application/problem+json":
            try:
                return _problem(response.read(), asked)
            except ReplyError as error:
                return error
    return ReplyError(f"status {response.status}, content type {content_type}")


def _decode(data: bytes, required: tuple[str, ...]) -> Any:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise ReplyError(error) from error
    if not isinstance(answer, dict) or not all(isinstance(answer.get(name), list) for name in required):
        raise ReplyError("the JSON lacks required fields")
    return answer


def _decode_list(data: bytes) -> list[Any]:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise ReplyError(error) from error
    if not isinstance(answer, list):
        raise ReplyError("the JSON is not a list")
    return answer


def _problem(data: bytes, asked: float | None = None) -> GatewayError:
    document = _decode(data, ())
    if not {"code", "detail", "status"} <= document.keys():
        return ReplyError("the JSON lacks required fields")
    return ProblemError(cast(Problem, document), asked)


def _messages(stream: http.client.HTTPResponse) -> Iterator[tuple[str, bytes]]:
    """Reads server-sent events as the gateway writes them, each with one line of data."""
    name = data = b""
    lines = iter(stream)
    while True:
        try:
            line = next(lines).rstrip(b"\r\n")
        except StopIteration:
            return
        except (OSError, http.client.HTTPException) as error:
            raise CutOffError from error
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.removeprefix(b" ")
        elif field == b"data":
            data = value.removeprefix(b" ")
        elif not line:
            if data:
                yield name.decode(errors="replace"), data
            name = data = b""
