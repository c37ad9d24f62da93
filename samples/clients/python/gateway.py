#!/usr/bin/env python3
"""Finds the studies of a patient, or has them moved. README.md beside the folder
tells the command line and the exit statuses. Needs Python 3.10 and nothing else."""

import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request

USAGE = """\
usage: find     http[s]://GATEWAY AETITLE@HOST:PORT PATIENT
       retrieve http[s]://GATEWAY AETITLE@HOST:PORT PATIENT DESTINATION [STUDY...]"""

EXIT_STATUS = {400: 5, 401: 5, 403: 5, 429: 7, 502: 6, 503: 7}


class Problem(Exception):
    """A problem document of the gateway."""

    def __init__(self, document, retry_after=None):
        super().__init__(f"{document['detail']} ({document['code']})")
        self.document = document
        self.status = document["status"]
        self.retry_after = int(retry_after or 5)


class NotTheGateway(Exception):
    """An answer of something else, a proxy for example."""


class CutOff(Exception):
    """The stream ended without its last event."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would hand the API key on to whatever host a redirect names."""

    def redirect_request(self, *_):
        return None


open_directly = urllib.request.build_opener(NoRedirect).open


def complain(*words):
    print(*words, file=sys.stderr, flush=True)


def post(url, request, accept="application/json"):
    headers = {"Content-Type": "application/json", "Accept": accept}
    if key := os.environ.get("GATEWAY_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    try:
        response = open_directly(urllib.request.Request(url, json.dumps(request).encode(), headers))
    except urllib.error.HTTPError as error:
        response = error
    content_type = response.headers.get_content_type()
    if content_type == "application/problem+json":
        with response:
            raise Problem(json.load(response), response.headers["Retry-After"])
    if response.status >= 300 or content_type != accept:
        response.close()
        raise NotTheGateway(f"status {response.status}, {content_type}")
    return response


def patiently(attempt):
    """Tries three times where the gateway has its hands full."""
    for last in (False, False, True):
        try:
            return attempt()
        except Problem as problem:
            if problem.status not in (429, 503) or last:
                raise
            complain(f"{problem}; again in {problem.retry_after}s")
            time.sleep(problem.retry_after)


def find(gateway, request):
    with post(gateway + "/q", request) as response:
        found = json.load(response)
    warn(found["warnings"])
    for study in found["study_details"]:
        print(f"{study['StudyInstanceUID']}  {about(study)}")


def about(study):
    return " ".join([study["StudyDate"], ",".join(study["ModalitiesInStudy"]), study["StudyDescription"]])


def warn(warnings):
    for warning in warnings:
        complain(f"warning: {warning['message']} ({warning['code']})")


def events(stream):
    """Reads server-sent events as the gateway writes them: one line of data each."""
    name = data = ""
    for line in stream:
        line = line.decode().rstrip("\r\n")
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data = value.removeprefix(" ")
        elif not line and data:
            yield name, json.loads(data)
            name = data = ""


def retrieve(gateway, request):
    """Shows the progress of each study; returns those to ask for again."""
    studies, again = {}, []
    with post(gateway + "/qr", request, "text/event-stream") as stream:
        for name, data in events(stream):
            match name:
                case "matched":
                    warn(data["warnings"])
                    studies = {study["StudyInstanceUID"]: about(study) for study in data["study_details"]}
                case "progress":
                    # Each counter may be null: the PACS need not count.
                    done = sum(data[counter] or 0 for counter in ("completed", "failed", "warning"))
                    total = "" if data["remaining"] is None else f" of {done + data['remaining']}"
                    print(f"\r{studies[data['StudyInstanceUID']]}: {done}{total}", end="", flush=True)
                case "retrieved":
                    print(f"\r{studies[data['StudyInstanceUID']]}: {data['status']}    ", flush=True)
                    if data["status"] != "ok":
                        again.append(data["StudyInstanceUID"])
                case "result":
                    print(data["message"])
                    return again
                case "error":
                    raise Problem(data)
    raise CutOff


def retrieve_twice(gateway, request):
    """Asks once more for the studies that did not arrive as a whole."""
    again = patiently(lambda: retrieve(gateway, request))
    if not again:
        return 0
    complain("once more:", len(again))
    again = patiently(lambda: retrieve(gateway, request | {"study_instance_uids": again}))
    if not again:
        return 0
    complain("not everything was moved")
    return 3


def explain(problem):
    complain(problem)
    document = problem.document
    for fault in document.get("errors", []):
        complain(" ", fault["pointer"], fault["detail"])
    for warning in document.get("warnings", []):
        complain(" ", warning["message"], f"({warning['code']})")
    if dicom := document.get("dicom"):
        complain(" ", *(dicom[name] for name in ("step", "status", "meaning", "result", "source", "reason") if name in dicom))
    if "correlation_id" in document:
        complain("  correlation ID", document["correlation_id"])


def main(arguments):
    match arguments:
        case ["find", gateway, pacs, patient]:
            destination, studies = None, []
        case ["retrieve", gateway, pacs, patient, destination, *studies]:
            pass
        case _:
            gateway = pacs = ""
    if not re.match(r"https?://[^/]", gateway) or not (peer := re.fullmatch(r"(.+)@(.+):(\d+)", pacs)):
        complain(USAGE)
        return 2
    request = {
        "pacs_ip": peer[2],
        "pacs_port": int(peer[3]),
        "pacs_ae_title": peer[1],
        "c_find_ae_title": os.environ.get("CALLING_AE_TITLE", "GATEWAY"),
        "patient_id": patient,
    }
    gateway = gateway.rstrip("/")
    try:
        if destination is None:
            return patiently(lambda: find(gateway, request)) or 0
        request["c_move_ae_title"] = destination
        if studies:
            request["study_instance_uids"] = studies
        return retrieve_twice(gateway, request)
    except Problem as problem:
        explain(problem)
        if problem.document["code"] == "no_study_matched":
            return 4  # the other 404 is of a wrong path
        return EXIT_STATUS.get(problem.status, 1)
    except NotTheGateway as error:
        complain("the reply is not from the gateway:", error)
        return 1
    except http.client.InvalidURL:
        complain(USAGE)
        return 2
    except (CutOff, http.client.HTTPException):
        complain("the stream was cut off: the outcome is unknown")
        return 8
    except OSError as error:
        complain(error)
        return 8
    except (ValueError, LookupError, TypeError) as error:  # of JSON that is broken, or lacks what the contract requires
        complain("the reply is not from the gateway:", repr(error))
        return 1
    except KeyboardInterrupt:
        complain("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
