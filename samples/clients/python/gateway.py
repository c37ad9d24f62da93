#!/usr/bin/env python3
"""Finds the studies of a patient, or moves them. README.md in the parent folder describes the command line and the
exit statuses. Requires Python 3.10 and the client in client/python."""

import http.client
import os
import pathlib
import re
import sys
import time

# In a copy of this program, put dicom_qr_gateway.py beside it instead.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[3] / "client/python"))

from dicom_qr_gateway import CutOffError, Gateway, ProblemError, ReplyError  # noqa: E402

USAGE = """\
usage: find     http[s]://GATEWAY AETITLE@HOST:PORT PATIENT
       retrieve http[s]://GATEWAY AETITLE@HOST:PORT PATIENT DESTINATION [STUDY...]"""

EXIT_STATUS = {400: 5, 401: 5, 403: 5, 429: 7, 502: 6, 503: 7}


def complain(*words):
    print(*words, file=sys.stderr, flush=True)


def with_retries(attempt):
    """Makes up to three attempts while the gateway is busy."""
    for last in (False, False, True):
        try:
            return attempt()
        except ProblemError as problem:
            if problem.status not in (429, 503) or last:
                raise
            wait = problem.retry_after or 5  # events have no Retry-After
            complain(f"{problem}; retrying in {wait}s")
            time.sleep(wait)


def find(gateway, request):
    found = gateway.query(request)
    warn(found["warnings"])
    for study in found["study_details"]:
        print(f"{study['StudyInstanceUID']}  {describe(study)}")


def describe(study):
    return " ".join([study["StudyDate"], ",".join(study["ModalitiesInStudy"]), study["StudyDescription"]])


def warn(warnings):
    for warning in warnings:
        complain(f"warning: {warning['message']} ({warning['code']})")


def retrieve(gateway, request):
    """Prints the progress of each study and returns the studies to retry."""
    studies, retry = {}, []
    for name, data in gateway.follow(request):
        match name:
            case "matched":
                warn(data["warnings"])
                studies = {study["StudyInstanceUID"]: describe(study) for study in data["study_details"]}
            case "progress":
                # Each counter may be null, because a PACS need not send it.
                done = sum(data[counter] or 0 for counter in ("completed", "failed", "warning"))
                total = "" if data["remaining"] is None else f" of {done + data['remaining']}"
                print(f"\r{studies[data['StudyInstanceUID']]}: {done}{total}", end="", flush=True)
            case "retrieved":
                print(f"\r{studies[data['StudyInstanceUID']]}: {data['status']}    ", flush=True)
                if data["status"] != "ok":
                    retry.append(data["StudyInstanceUID"])
            case "result":
                print(data["message"])
    return retry


def retrieve_twice(gateway, request):
    """Retries the studies that did not arrive completely, once."""
    retry = with_retries(lambda: retrieve(gateway, request))
    if not retry:
        return 0
    complain("studies to retry:", len(retry))
    retry = with_retries(lambda: retrieve(gateway, request | {"study_instance_uids": retry}))
    if not retry:
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
        case ["find", url, pacs, patient]:
            destination, studies = None, []
        case ["retrieve", url, pacs, patient, destination, *studies]:
            pass
        case _:
            complain(USAGE)
            return 2
    peer = re.fullmatch(r"(.+)@(.+):(\d+)", pacs)
    try:
        gateway = Gateway(url, os.environ.get("GATEWAY_API_KEY") or None)
    except ValueError:
        gateway = None
    if not gateway or not peer:
        complain(USAGE)
        return 2
    request = {
        "pacs_ip": peer[2],
        "pacs_port": int(peer[3]),
        "pacs_ae_title": peer[1],
        "c_find_ae_title": os.environ.get("CALLING_AE_TITLE", "GATEWAY"),
        "patient_id": patient,
    }
    try:
        if destination is None:
            return with_retries(lambda: find(gateway, request)) or 0
        request["c_move_ae_title"] = destination
        if studies:
            request["study_instance_uids"] = studies
        return retrieve_twice(gateway, request)
    except ProblemError as problem:
        explain(problem)
        if problem.code == "no_study_matched":
            return 4  # another 404 is a wrong path
        return EXIT_STATUS.get(problem.status, 1)
    except ReplyError as error:
        complain(error)
        return 1
    except http.client.InvalidURL:
        complain(USAGE)
        return 2
    except (CutOffError, OSError, http.client.HTTPException) as error:
        complain(error)
        return 8
    except (LookupError, TypeError) as error:  # the response lacks required fields
        complain("the reply is not from the gateway:", repr(error))
        return 1
    except KeyboardInterrupt:
        complain("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
