#!/usr/bin/env python3
"""Moves the studies of a CSV file and writes a CSV file with the result. README.md in the parent folder describes the command line
and the exit statuses. Requires Python 3.10 and the client in client/python."""

from __future__ import annotations

import http.client
import os
import pathlib
import sys
import urllib.error

# A copy of this program needs no path: install the package.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[3] / "client/python"))

from dicom_qr_gateway import (  # noqa: E402
    CutOffError,
    Gateway,
    JobChanged,
    JobCounts,
    JobFinished,
    ProblemError,
    ReplyError,
    Retry,
)

USAGE = """\
usage: batch submit http[s]://GATEWAY PACS DESTINATION LIST RESULT
       batch follow http[s]://GATEWAY JOB RESULT
PACS is the name of a PACS that the gateway knows, LIST a CSV file, RESULT the CSV file to write."""

EXIT_STATUS = {400: 5, 401: 5, 403: 5, 413: 5, 429: 7, 501: 5, 503: 7}


def complain(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


def follow(gateway: Gateway, job: str) -> JobCounts:
    """Shows the progress of the job, and returns its counters when it has finished."""
    try:
        with gateway.jobs.follow(job) as events:
            for event in events:
                if isinstance(event, (JobChanged, JobFinished)):
                    counts = event.data["counts"]
                    show(counts)
                if isinstance(event, JobFinished):
                    return counts
    finally:
        print()
    raise CutOffError


def show(counts: JobCounts) -> None:
    done = counts["items"] - counts["queued"] - counts["running"] - counts["waiting"]
    print(f"\ritems [{'#' * (30 * done // counts['items']):30}] {done}/{counts['items']}", end="", flush=True)


def save(gateway: Gateway, job: str, path: pathlib.Path) -> None:
    path.write_text(gateway.jobs.csv(job), encoding="utf-8", newline="")


def finish(gateway: Gateway, job: str, result: pathlib.Path) -> int:
    counts = follow(gateway, job)
    save(gateway, job, result)
    print(f"{counts['moved']} of {counts['items']} items moved, see {result}")
    if counts["moved"] == counts["items"]:
        return 0
    others = (
        (counts["partial"], "in part"),
        (counts["failed"], "failed"),
        (counts["no_study_matched"], "matched no study"),
        (counts["cancelled"], "were cancelled"),
    )
    complain("not everything was moved:", ", ".join(f"{count} {what}" for count, what in others if count))
    return 3


def explain(problem: ProblemError) -> None:
    """Prints each fault of a list with its line and column."""
    complain(problem)
    for fault in problem.document.get("errors", []):
        place = f"line {fault['line']}" if "line" in fault else fault["pointer"]
        if "column" in fault:
            place += f", column {fault['column']}"
        complain(f"  {place}: {fault['detail']}")
    if hint := problem.document.get("hint"):
        complain(" ", hint)


def main(arguments: list[str]) -> int:
    retry = Retry(
        attempts=3,
        max_wait=60,
        on_retry=lambda refusal, seconds: complain(f"{refusal}; retrying in {seconds:g}s"),
    )
    try:
        gateway = Gateway(arguments[1], os.environ.get("GATEWAY_API_KEY") or None, retry=retry)
    except (IndexError, ValueError):
        complain(USAGE)
        return 2
    try:
        match arguments:
            case ["submit", _, pacs, destination, studies, result]:
                csv = pathlib.Path(studies).read_bytes()
                job = gateway.jobs.submit_csv(pacs, csv, {"c_move_ae_title": destination})["job"]
                print("job", job, flush=True)
                return finish(gateway, job, pathlib.Path(result))
            case ["follow", _, job, result]:
                return finish(gateway, job, pathlib.Path(result))
            case _:
                complain(USAGE)
                return 2
    except ProblemError as problem:
        explain(problem)
        return 4 if problem.code == "job_not_found" else EXIT_STATUS.get(problem.status, 1)
    except ReplyError as error:
        complain(error)
        return 1
    except (CutOffError, urllib.error.URLError, ConnectionError, http.client.HTTPException) as error:
        complain(error)
        return 8
    except OSError as error:  # of a file
        complain(error)
        return 1
    except KeyboardInterrupt:
        complain("stopped; a job that is filed goes on")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
