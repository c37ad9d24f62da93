#!/usr/bin/env python3
"""Finds the studies of a patient, or moves them. README.md in the parent folder describes the command line and the
exit statuses. Requires Python 3.10 and the client in client/python."""

from __future__ import annotations

import http.client
import os
import pathlib
import re
import sys
from typing import cast

# A copy of this program needs no path: install the package.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[3] / "client/python"))

from dicom_qr_gateway import (  # noqa: E402
    CutOffError,
    Gateway,
    GatewayWarning,
    Matched,
    ProblemError,
    Progress,
    QueryRequest,
    ReplyError,
    Result,
    Retrieved,
    RetrieveRequest,
    Retry,
    Study,
)

USAGE = """\
usage: find     http[s]://GATEWAY PACS PATIENT
       retrieve http[s]://GATEWAY PACS PATIENT DESTINATION [STUDY...]
PACS is the name of a PACS that the gateway knows, or AETITLE@HOST:PORT."""

EXIT_STATUS = {400: 5, 401: 5, 403: 5, 429: 7, 502: 6, 503: 7}


def complain(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


def find(gateway: Gateway, request: QueryRequest) -> int:
    found = gateway.query(request)
    warn(found["warnings"])
    for study in found["study_details"]:
        print(f"{study['StudyInstanceUID']}  {describe(study)}")
    return 0


def describe(study: Study) -> str:
    return " ".join([study["StudyDate"], ",".join(study["ModalitiesInStudy"]), study["StudyDescription"]])


def warn(warnings: list[GatewayWarning]) -> None:
    for warning in warnings:
        complain(f"warning: {warning['message']} ({warning['code']})")


def retrieve(gateway: Gateway, request: RetrieveRequest) -> list[str]:
    """Prints the progress of each study and returns the studies to retry."""
    studies: dict[str, str] = {}
    retry: list[str] = []
    with gateway.follow(request) as events:
        for event in events:
            if isinstance(event, Matched):
                warn(event.data["warnings"])
                studies = {study["StudyInstanceUID"]: describe(study) for study in event.data["study_details"]}
            elif isinstance(event, Progress):
                # Each counter may be None, because a PACS need not send it.
                done = sum(count or 0 for count in (event.data["completed"], event.data["failed"], event.data["warning"]))
                remaining = event.data["remaining"]
                total = "" if remaining is None else f" of {done + remaining}"
                print(f"\r{studies[event.data['StudyInstanceUID']]}: {done}{total}", end="", flush=True)
            elif isinstance(event, Retrieved):
                print(f"\r{studies[event.data['StudyInstanceUID']]}: {event.data['status']}    ", flush=True)
                if event.data["status"] != "ok":
                    retry.append(event.data["StudyInstanceUID"])
            elif isinstance(event, Result):
                print(event.data["message"])
    return retry


def retrieve_twice(gateway: Gateway, request: RetrieveRequest) -> int:
    """Retries the studies that did not arrive completely, once."""
    retry = retrieve(gateway, request)
    if not retry:
        return 0
    complain("studies to retry:", len(retry))
    again = request.copy()
    again["study_instance_uids"] = retry
    retry = retrieve(gateway, again)
    if not retry:
        return 0
    complain("not everything was moved")
    return 3


def explain(problem: ProblemError) -> None:
    complain(problem)
    document = problem.document
    for fault in document.get("errors", []):
        complain(" ", fault["pointer"], fault["detail"])
    for warning in document.get("warnings", []):
        complain(" ", warning["message"], f"({warning['code']})")
    if dicom := document.get("dicom"):
        words = (dicom["step"], *(dicom.get(name) for name in ("status", "meaning", "result", "source", "reason")))
        complain(" ", *(word for word in words if word is not None))
    if hint := document.get("hint"):
        complain(" ", hint)
    if "correlation_id" in document:
        complain("  correlation ID", document["correlation_id"])


def choose_pacs(query: QueryRequest, pacs: str) -> None:
    """Fills in the name of the PACS, or its address."""
    if re.fullmatch("[a-z0-9][a-z0-9-]*", pacs):
        query["pacs"] = pacs
        return
    peer = re.fullmatch(r"(.+)@(.+):(\d+)", pacs)
    if not peer:
        raise ValueError("neither a name nor an address")
    query["pacs_ae_title"], query["pacs_ip"], query["pacs_port"] = peer[1], peer[2], int(peer[3])
    query["c_find_ae_title"] = os.environ.get("CALLING_AE_TITLE", "GATEWAY")


def main(arguments: list[str]) -> int:
    studies: list[str] = []
    destination: str | None = None
    match arguments:
        case ["find", url, pacs, patient]:
            pass
        case ["retrieve", url, pacs, patient, destination, *studies]:
            pass
        case _:
            complain(USAGE)
            return 2
    retry = Retry(
        attempts=3,
        max_wait=60,
        on_retry=lambda refusal, seconds: complain(f"{refusal}; retrying in {seconds:g}s"),
    )
    query: QueryRequest = {"patient_id": patient}
    try:
        gateway = Gateway(url, os.environ.get("GATEWAY_API_KEY") or None, retry=retry)
        choose_pacs(query, pacs)
    except ValueError:
        complain(USAGE)
        return 2
    try:
        if destination is None:
            return find(gateway, query)
        request = cast(RetrieveRequest, {**query, "c_move_ae_title": destination})
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
