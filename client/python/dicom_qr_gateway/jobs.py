from __future__ import annotations

import http.client
import itertools
import json
import secrets
import socket
import urllib.parse
from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol, cast

from .contract_jobs import Job, JobItemState, JobList, JobPage, JobParameters, JobRequest
from .errors import CutOffError, ProblemError, ReplyError
from .events import ItemEnded, ItemWaiting, JobChanged, JobEvent, JobFinished
from .retry import Retry
from .transport import Call, EventStream, StreamCall, decode, messages, problem_of

_EVENTS: dict[str, Callable[[Any, str], JobEvent]] = {
    "job": JobChanged,
    "item": ItemEnded,
    "waiting": ItemWaiting,
    "finished": JobFinished,
}
_ATTEMPTS = 24  # about ten minutes
_LONGEST_WAIT = 30.0
_SILENCE = 60.0  # the gateway sends a comment every 15 s


class _Send(Protocol):
    """Gateway._send_until_accepted, which explains the parameters."""

    def __call__(
        self,
        route: str,
        body: bytes | None,
        correlation_id: str | None,
        accept: str,
        call: Call,
        more: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> http.client.HTTPResponse: ...


class Jobs:
    """Batches: lists of studies that the gateway moves in the background. The errors are those of Gateway."""

    def __init__(self, send: _Send, retry: Retry | None) -> None:
        self._send = send
        self._retry = retry

    def submit(
        self, request: JobRequest, *, idempotency_key: str | None = None, correlation_id: str | None = None
    ) -> Job:
        """Files a job. It returns as soon as the job is filed; follow reports its progress.

        idempotency_key names what is filed, so that the gateway files it once however often it is sent, also by another process;
        without it a random one is used. With a Retry, it is also sent again if the connection failed.
        """
        body = json.dumps(request).encode()
        return self._submit("/jobs", body, "application/json", idempotency_key, correlation_id)

    def submit_csv(
        self,
        pacs: str,
        csv: str | bytes,
        parameters: JobParameters | None = None,
        *,
        idempotency_key: str | None = None,
        correlation_id: str | None = None,
    ) -> Job:
        """Does what submit does with the items as a CSV file: a line with the names of the columns, then a line for each item.

        If the gateway refuses it, the errors of the problem have the lines and columns of all faults.
        """
        query: dict[str, object] = {"pacs": pacs}
        for name, value in (parameters or {}).items():
            query[name] = str(value).lower() if isinstance(value, bool) else value
        route = "/jobs" + _query(query)
        body = csv.encode() if isinstance(csv, str) else csv
        return self._submit(route, body, "text/csv", idempotency_key, correlation_id)

    def list(self, offset: int = 0, limit: int | None = None, correlation_id: str | None = None) -> JobList:
        """Lists the jobs of the caller, newest first."""
        route = "/jobs" + _query({"offset": offset or None, "limit": limit})
        return cast(JobList, self._call(route, ("jobs",), correlation_id))

    def get(
        self,
        job: str,
        *,
        state: JobItemState | None = None,
        offset: int = 0,
        limit: int | None = None,
        correlation_id: str | None = None,
    ) -> JobPage:
        """Returns a job with a page of its items, of all or of those in one state."""
        route = _route(job) + _query({"state": state, "offset": offset or None, "limit": limit})
        return cast(JobPage, self._call(route, ("items",), correlation_id))

    def csv(self, job: str, *, state: JobItemState | None = None, correlation_id: str | None = None) -> str:
        """Returns all items of a job as CSV, or those in one state, with their outcomes."""
        route = _route(job) + _query({"state": state})
        with self._send(route, None, correlation_id, "text/csv", Call()) as response:
            return response.read().decode()

    def follow(self, job: str, last_event_id: str | None = None, correlation_id: str | None = None) -> JobStream:
        """Yields what happens to a job until it has finished. Use it in a with statement, which closes the stream.

        last_event_id goes on after the event with that ID; "0" begins with the first event of the job.
        """
        call = _FollowCall()
        sleep = self._retry.sleep if self._retry is not None and self._retry.sleep is not None else call.sleep

        def connect(last: str | None) -> http.client.HTTPResponse:
            more = {} if last is None else {"Last-Event-ID": last}
            return self._send(_route(job) + "/events", None, correlation_id, "text/event-stream", call, more)

        return JobStream(_follow(connect, call, sleep, last_event_id), call)

    def cancel(self, job: str, correlation_id: str | None = None) -> Job:
        """Ends a job. What was moved by then stays moved."""
        return cast(Job, self._call(_route(job) + "/cancel", (), correlation_id, "POST"))

    def retry(self, job: str, correlation_id: str | None = None) -> Job:
        """Does again what failed in a finished job."""
        return cast(Job, self._call(_route(job) + "/retry", (), correlation_id, "POST"))

    def delete(self, job: str, correlation_id: str | None = None) -> None:
        """Deletes a finished job."""
        with self._send(_route(job), None, correlation_id, "application/json", Call(), None, "DELETE") as response:
            if response.status != 204:
                raise ReplyError(f"status {response.status}", response.status)

    def _submit(
        self, route: str, body: bytes, content_type: str, idempotency_key: str | None, correlation_id: str | None
    ) -> Job:
        more = {"Content-Type": content_type, "Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        waited = 0.0
        for attempt in itertools.count(1):
            call = Call()
            try:
                with self._send(route, body, correlation_id, "application/json", call, more) as response:
                    return _job(response.read())
            except (OSError, http.client.HTTPException):
                # The key makes it safe to send it again: the gateway files it once.
                wait = 2.0 ** (attempt - 1)
                waited += wait
                retry = self._retry
                if retry is None or attempt >= retry.attempts or waited > retry.max_wait:
                    raise
                if (retry.sleep or call.sleep)(wait):
                    raise
        raise AssertionError

    def _call(self, route: str, lists: tuple[str, ...], correlation_id: str | None, method: str | None = None) -> Any:
        with self._send(route, None, correlation_id, "application/json", Call(), None, method) as response:
            data = response.read()
        return decode(data, lists) if lists else _job(data)


class JobStream(EventStream[JobEvent]):
    """What happens to a job: JobChanged first, with its counters, and JobFinished last.

    If the connection fails, or the gateway is not ready, it connects again and goes on after the last event, for about ten
    minutes; then it raises CutOffError. If the gateway no longer has the next event, JobChanged says where the job is now.

    Closing the stream, by leaving its with statement or by calling close, does not change the job. close may be called by
    another thread: it ends a wait at once. The iteration of a stream that was closed before its last event raises CutOffError.
    """

    def __init__(self, events: Generator[JobEvent, None, None], call: StreamCall) -> None:
        super().__init__(events, call, JobFinished)


class _FollowCall(StreamCall):
    """A call whose connection fails if it is silent, as one does that a network has lost without a word."""

    def opened(self, connection: socket.socket) -> None:
        connection.settimeout(_SILENCE)
        super().opened(connection)


def _follow(
    connect: Callable[[str | None], http.client.HTTPResponse],
    call: StreamCall,
    sleep: Callable[[float], object],
    last: str | None,
) -> Generator[JobEvent, None, None]:
    failed = 0

    def alive() -> None:
        nonlocal failed
        failed = 0

    while True:
        wait = 0.0
        try:
            with connect(last) as stream:
                for name, data, event_id in messages(stream, alive):
                    if name == "error":
                        raise problem_of(data)
                    if name in _EVENTS:
                        last = event_id or last
                        yield _EVENTS[name](_event(name, data), event_id)
            raise CutOffError
        except ProblemError as error:
            if error.code == "events_gone" and last is not None:
                last = None
                continue
            if error.status not in (429, 503):
                raise
            cause: Exception = error
            wait = error.retry_after or 0.0
        except ReplyError as error:
            if error.status not in (429, 502, 503, 504):
                raise
            cause = error
        except (CutOffError, OSError, http.client.HTTPException) as error:
            cause = error
        if call.cancelled or failed >= _ATTEMPTS or sleep(max(wait, min(2.0**failed, _LONGEST_WAIT))):
            raise CutOffError from cause
        failed += 1


def _event(name: str, data: bytes) -> Any:
    if name in ("job", "finished"):
        return _job(data)
    item = decode(data, ())
    if not isinstance(item.get("item"), int):
        raise ReplyError("the JSON lacks required fields")
    return item


def _job(data: bytes) -> Job:
    job = decode(data, ())
    if not isinstance(job.get("job"), str) or not isinstance(job.get("counts"), dict):
        raise ReplyError("the JSON lacks required fields")
    return cast(Job, job)


def _route(job: str) -> str:
    return "/jobs/" + urllib.parse.quote(job, safe="")


def _query(values: Mapping[str, object]) -> str:
    """Returns the query of a URL, without the values that are None."""
    given = {name: value for name, value in values.items() if value is not None}
    return "?" + urllib.parse.urlencode(given) if given else ""
