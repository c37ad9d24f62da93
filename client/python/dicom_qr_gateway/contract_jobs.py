"""The requests and responses of /jobs in openapi.yaml, as contract.py has those of the other routes."""

from __future__ import annotations

from typing import Literal, TypedDict

from .contract import DICOMFault, GatewayWarning, ProblemCode, Retrieval

JobState = Literal["queued", "running", "waiting", "finished", "cancelled"]

JobItemState = Literal[
    "queued", "running", "waiting", "moved", "partial", "failed", "no_study_matched", "cancelled", "found"
]

JobPriority = Literal["low", "normal", "high"]


class JobItem(TypedDict, total=False):
    """What to find: at least one of patient_id, accession_number and study_instance_uid. A study must match all fields."""

    patient_id: str
    accession_number: str | None
    study_instance_uid: str | None
    issuer_of_patient_id: str | None
    modalities: list[str] | None
    max_years_old: int | None
    max_results: int | None
    study_instance_uids: list[str] | None
    study_date_from: str | None
    study_date_to: str | None


class JobParameters(TypedDict, total=False):
    """The fields of a JobRequest besides PACS and items."""

    c_move_ae_title: str
    dry_run: bool | None
    not_before: str | None
    window: str | None
    priority: JobPriority


class _JobRequest(TypedDict):
    pacs: str
    items: list[JobItem]


class JobRequest(_JobRequest, JobParameters):
    """A named PACS, what to find there and where to move it."""


class JobCounts(TypedDict):
    """How many items are in each state."""

    items: int
    queued: int
    running: int
    waiting: int
    moved: int
    partial: int
    failed: int
    no_study_matched: int
    cancelled: int
    found: int


class Job(TypedDict):
    """State and counters of a job."""

    job: str
    state: JobState
    pacs: str
    c_move_ae_title: str | None
    dry_run: bool
    not_before: str | None
    window: str | None
    priority: JobPriority
    filed_at: str
    filed_by: str
    finished_at: str | None
    expires_at: str
    run: int
    counts: JobCounts


class JobList(TypedDict):
    """A page of jobs, newest first."""

    jobs: list[Job]
    more: bool


class JobStudy(TypedDict):
    """A study that a dry run found."""

    StudyInstanceUID: str
    StudyDescription: str
    ModalitiesInStudy: list[str]
    StudyDate: str
    AccessionNumber: str


class _JobItemReport(TypedDict):
    item: int
    state: JobItemState
    attempts: int


class JobItemReport(_JobItemReport, total=False):
    """An item as it was filed, with its state, and its outcome when it has one."""

    patient_id: str
    accession_number: str
    study_instance_uid: str
    issuer_of_patient_id: str
    modalities: list[str]
    max_years_old: int
    max_results: int
    study_instance_uids: list[str]
    study_date_from: str
    study_date_to: str
    next_attempt_at: str
    code: ProblemCode
    detail: str
    hint: str
    dicom: DICOMFault
    warnings: list[GatewayWarning]
    retrievals: list[Retrieval]
    studies: list[JobStudy]


class JobPage(Job):
    """A job and a page of its items."""

    items: list[JobItemReport]
    total: int
