#!/usr/bin/env python3
"""Retrieves a study and writes its instances to a folder. README.md in the parent folder describes the command line and
the exit statuses. Requires Python 3.10 and the client in client/python."""

from __future__ import annotations

import http.client
import os
import pathlib
import sys
import urllib.error

# A copy of this program needs no path: install the package.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[3] / "client/python"))

from dicom_qr_gateway import DICOMAttribute, Gateway, IncompleteError, Instance, ProblemError, ReplyError, Retry  # noqa: E402

USAGE = """\
usage: download http[s]://GATEWAY PACS STUDY FOLDER
PACS is the name of a PACS that the gateway knows, STUDY a Study Instance UID, FOLDER new or empty."""

EXIT_STATUS = {400: 5, 401: 5, 403: 5, 429: 7, 502: 6, 503: 7, 504: 6}


def complain(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


def download(gateway: Gateway, pacs: str, study: str, folder: pathlib.Path) -> None:
    expected = count(gateway, pacs, study)
    received = 0
    show(received, expected)
    try:
        with gateway.retrieve_instances(pacs, study, lenient=True) as instances:
            for instance in instances:
                # A number, because a name from another system is not safe as a name of a file.
                save(folder / f"{received + 1:06d}.dcm", instance)
                received += 1
                show(received, expected)
    finally:
        print()
    print(f"{received} instances in {folder}")


def count(gateway: Gateway, pacs: str, study: str) -> int | None:
    """Returns how many instances the PACS says the study has, or None if it does not say it."""
    for match in gateway.search(pacs, "studies", {"StudyInstanceUID": study}):
        for value in match.get("00201208", DICOMAttribute(vr="IS")).get("Value", []):
            if isinstance(value, int):
                return value
    return None


def show(received: int, expected: int | None) -> None:
    if not expected:
        print(f"\rinstances: {received}", end="", flush=True)
        return
    done = min(30 * received // expected, 30)
    print(f"\rinstances [{'#' * done:30}] {received}/{expected}", end="", flush=True)


def save(path: pathlib.Path, instance: Instance) -> None:
    """Writes the file. It removes what it has written if the rest does not arrive."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            for piece in instance.pieces():
                file.write(piece)
        except BaseException:
            path.unlink()
            raise


def prepare(folder: pathlib.Path) -> None:
    """Makes the folder. It refuses one that has files, because they would mix with those of the study."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")


def main(arguments: list[str]) -> int:
    if len(arguments) != 4 or not all(arguments):
        complain(USAGE)
        return 2
    url, pacs, study, folder = arguments
    retry = Retry(
        attempts=3,
        max_wait=60,
        on_retry=lambda refusal, seconds: complain(f"{refusal}; retrying in {seconds:g}s"),
    )
    try:
        gateway = Gateway(url, os.environ.get("GATEWAY_API_KEY") or None, retry=retry)
    except ValueError:
        complain(USAGE)
        return 2
    try:
        prepare(pathlib.Path(folder))
    except OSError as error:
        complain(error)
        return 1
    try:
        download(gateway, pacs, study, pathlib.Path(folder))
        return 0
    except IncompleteError as error:
        complain(error)
        for uid in error.missing_sop_instance_uids:
            complain("missing:", uid)
        return 3
    except ProblemError as problem:
        complain(problem)
        for fault in problem.document.get("errors", []):
            complain(" ", fault["pointer"], fault["detail"])
        if problem.code == "pacs_unknown":
            return 5
        if problem.code == "not_found":
            return 4
        return EXIT_STATUS.get(problem.status, 1)
    except ReplyError as error:
        complain(error)
        return 1
    except (urllib.error.URLError, ConnectionError, http.client.HTTPException) as error:
        complain(error)
        return 8
    except OSError as error:  # of a file
        complain(error)
        return 1
    except KeyboardInterrupt:
        complain("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
