"""Client of a DICOM Query/Retrieve gateway. Requires Python 3.10 and no other package.

Requests and responses are dicts with the fields of openapi.yaml. A result is complete, with one exception: a retrieve
whose status is "partial". A call that fails raises one of these:

ProblemError  the gateway refused the request, or the operation failed; branch on error.code
ReplyError    the reply did not come from the gateway but, for example, from a proxy; redirects are not followed
CutOffError   the stream of follow ended early: the outcome is unknown, and retrying is safe
OSError, http.client.HTTPException
              the connection failed: the request was not sent, or its response was not received
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request

EVENTS = ("matched", "progress", "retrieved", "result")

# The lists that the contract requires. Without this check, the {} of another server would pass for a result.
REQUIRED = {
    "/q": ("study_details", "warnings"),
    "/qr": ("study_details", "warnings", "retrievals"),
    "/echo": ("steps",),
    "matched": ("study_details", "warnings"),
    "result": ("study_details", "warnings", "retrievals"),
}


class ProblemError(Exception):
    """A problem document (RFC 9457). It contains neither submitted values nor patient data.

    document is the whole document. retry_after is the number of seconds to wait before the next attempt, or None; it is
    set for the statuses 429 and 503.
    """

    def __init__(self, document, retry_after=None):
        super().__init__(f"{document['detail']} ({document['code']})")
        self.document = document
        self.status = document["status"]
        self.code = document["code"]
        self.retry_after = retry_after


class ReplyError(Exception):
    """A reply that a gateway does not send."""

    def __init__(self, reason):
        super().__init__(f"the reply is not from the gateway: {reason}")


class CutOffError(Exception):
    """The stream ended without its last event."""

    def __init__(self):
        super().__init__("the stream was cut off: the outcome is unknown")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keeps urllib from sending the API key to the host that a redirect names."""

    def redirect_request(self, *_):
        return None


_open = urllib.request.build_opener(_NoRedirect).open


class Gateway:
    """Calls one gateway, for example Gateway("http://localhost:8888"). It raises ValueError for a malformed base URL.

    correlation_id is the ID of the request in the gateway's log and audit trail: 1 to 128 visible ASCII characters.
    """

    def __init__(self, base_url, api_key=None):
        address = urllib.parse.urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("the base URL is not of the form http://host:port or https://host:port")
        _ = address.port  # raises ValueError
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key

    def query(self, request, correlation_id=None):
        """Finds the studies of a patient that match all filters, newest first."""
        return self._call("/q", request, correlation_id)

    def retrieve(self, request, correlation_id=None):
        """Finds the studies and asks the PACS to move them to c_move_ae_title."""
        return self._call("/qr", request, correlation_id)

    def echo(self, request, correlation_id=None):
        """Tests the connection to a PACS step by step."""
        return self._call("/echo", request, correlation_id)

    def follow(self, request, correlation_id=None):
        """Does what retrieve does and reports progress. It yields the name and the data of each event.

        The events are "matched", then "progress" and "retrieved" for each study, then "result". If nothing was moved,
        it raises ProblemError. Closing the generator cancels the operation at the PACS.
        """
        with self._post("/qr", request, correlation_id, "text/event-stream") as stream:
            for name, data in _messages(stream):
                if name == "error":
                    raise _problem(data)
                if name in EVENTS:
                    yield name, _decode(data, REQUIRED.get(name, ()))
                if name == "result":
                    return
        raise CutOffError

    def _call(self, route, request, correlation_id):
        with self._post(route, request, correlation_id, "application/json") as response:
            return _decode(response.read(), REQUIRED[route])

    def _post(self, route, request, correlation_id, accept):
        headers = {"Content-Type": "application/json", "Accept": accept}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if correlation_id is not None:
            headers["X-Correlation-ID"] = correlation_id
        try:
            response = _open(urllib.request.Request(self._base_url + route, json.dumps(request).encode(), headers))
        except urllib.error.HTTPError as error:
            response = error
        content_type = response.headers.get_content_type()
        if content_type == "application/problem+json":
            with response:
                raise _problem(response.read(), response.headers["Retry-After"])
        if response.status >= 300 or content_type != accept:
            response.close()
            raise ReplyError(f"status {response.status}, content type {content_type}")
        return response


def _decode(data, required):
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise ReplyError(error) from error
    if not isinstance(answer, dict) or not all(isinstance(answer.get(name), list) for name in required):
        raise ReplyError("the JSON lacks required fields")
    return answer


def _problem(data, retry_after=None):
    document = _decode(data, ())
    if not {"code", "detail", "status"} <= document.keys():
        return ReplyError("the JSON lacks required fields")
    return ProblemError(document, int(retry_after) if (retry_after or "").isdecimal() else None)


def _messages(stream):
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
