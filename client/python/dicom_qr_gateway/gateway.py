from __future__ import annotations

import http.client
import itertools
import json
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, cast

from .contract import (
    DICOMObject,
    EchoRequest,
    EchoResponse,
    QueryRequest,
    QueryResponse,
    RetrieveRequest,
    RetrieveResponse,
)
from .errors import CutOffError
from .events import Event, Matched, Progress, Result, Retrieved
from .instances import Instances
from .jobs import Jobs
from .retry import Retry, retry_after
from .transport import Call, EventStream, StreamCall, decode, decode_list, failure, messages, problem_of, send

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

    jobs has the calls for batches.

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
        self.jobs = Jobs(self._send_until_accepted, retry)

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
        with self._send_until_accepted(route, None, correlation_id, "application/dicom+json", Call()) as response:
            return cast("list[DICOMObject]", decode_list(response.read()))

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
        call = StreamCall()
        return Instances(
            lambda: self._send_until_accepted(route, None, correlation_id, accept, call, prefer),
            call.cancel,
        )

    def follow(self, request: RetrieveRequest, correlation_id: str | None = None) -> Stream:
        """Does what retrieve does and reports progress. Use it in a with statement, which closes the stream."""
        return Stream(lambda call: self._post("/qr", request, correlation_id, "text/event-stream", call))

    def _call(self, route: str, request: Mapping[str, object], correlation_id: str | None) -> Any:
        with self._post(route, request, correlation_id, "application/json", Call()) as response:
            return decode(response.read(), _REQUIRED[route])

    def _post(
        self, route: str, request: Mapping[str, object], correlation_id: str | None, accept: str, call: Call
    ) -> http.client.HTTPResponse:
        return self._send_until_accepted(route, json.dumps(request).encode(), correlation_id, accept, call)

    def _send_until_accepted(
        self,
        route: str,
        body: bytes | None,
        correlation_id: str | None,
        accept: str,
        call: Call,
        more: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> http.client.HTTPResponse:
        headers = {"Accept": accept, **({} if body is None else {"Content-Type": "application/json"}), **(more or {})}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if correlation_id is not None:
            headers["X-Correlation-ID"] = correlation_id
        retry = self._retry or Retry(attempts=1, max_wait=1)
        waited = 0.0
        for attempt in itertools.count(1):
            request = urllib.request.Request(self._base_url + route, body, headers, method=method)
            response = send(request, call, self._ssl_context)
            content_type = response.headers.get_content_type()
            if response.status < 300 and content_type == accept.partition(";")[0] or response.status == 204:
                return response
            asked = retry_after(response.headers["Retry-After"], retry.now())
            refusal = failure(response, content_type, asked)
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


class Stream(EventStream[Event]):
    """The events of a retrieve: Matched, then Progress and Retrieved for each study, then Result.

    The first step of the iteration sends the request. If nothing was moved, it raises ProblemError. Closing the stream, by
    leaving its with statement or by calling close, cancels the operation at the PACS. close may be called by another thread:
    it ends a wait for an event, or for a retry, at once. The iteration of a stream that was closed before its last event
    raises an error, in most cases CutOffError.
    """

    def __init__(self, send: Callable[[Call], http.client.HTTPResponse]) -> None:
        call = StreamCall()
        # _read is no method: a cycle would keep the connection of a stream that is left.
        super().__init__(_read(send, call), call, Result)


def _read(send: Callable[[Call], http.client.HTTPResponse], call: Call) -> Generator[Event, None, None]:
    with send(call) as stream:
        for name, data, _ in messages(stream):
            if name == "error":
                raise problem_of(data)
            if name in _EVENTS:
                yield _EVENTS[name](decode(data, _REQUIRED.get(name, ())))
    raise CutOffError
