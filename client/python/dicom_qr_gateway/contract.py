"""The requests and responses of openapi.yaml, which describes their fields. A test compares the two.

A later gateway can send fields and codes that are not listed here.
"""

from __future__ import annotations

from typing import Literal, TypedDict

WarningCode = Literal[
    "other_patient_dropped",
    "patient_identity_ambiguous",
    "no_study_instance_uid_dropped",
    "optional_keys_unsupported",
    "character_set_assumed",
    "character_set_unknown",
    "text_undecodable",
    "value_malformed",
    "match_undecodable",
    "duplicates_merged",
    "modalities_unknown",
    "undated_dropped",
    "accession_number_unknown",
    "transfer_syntax_assumed",
    "data_set_missing",
    "text_cut",
    "failed_instances_cut",
]

ProblemCode = Literal[
    "invalid_request",
    "pacs_unknown",
    "unauthorized",
    "pacs_not_allowed",
    "no_study_matched",
    "not_found",
    "job_not_found",
    "route_not_found",
    "method_not_allowed",
    "not_acceptable",
    "transfer_syntax_unavailable",
    "idempotency_key_reused",
    "job_not_finished",
    "job_finished",
    "nothing_to_retry",
    "events_gone",
    "payload_too_large",
    "search_too_broad",
    "unsupported_media_type",
    "range_not_satisfiable",
    "host_not_allowed",
    "too_many_requests",
    "too_many_jobs",
    "internal_error",
    "audit_failed",
    "jobs_disabled",
    "modality_unknown",
    "relational_query_unsupported",
    "rendering_unsupported",
    "name_resolution_failed",
    "connection_refused",
    "pacs_unreachable",
    "connection_timeout",
    "connection_lost",
    "tls_failed",
    "tls_expected",
    "not_a_dicom_peer",
    "association_rejected",
    "association_aborted",
    "association_released",
    "association_timeout",
    "no_presentation_context",
    "echo_failed",
    "find_failed",
    "get_failed",
    "retrieval_unsupported",
    "retrieve_incomplete",
    "dimse_timeout",
    "move_failed",
    "move_destination_unknown",
    "move_timeout",
    "network_timeout",
    "too_many_matches",
    "answer_too_large",
    "limit_exceeded",
    "protocol_error",
    "cancelled",
    "operation_timeout",
    "audit_unavailable",
    "jobs_unavailable",
    "draining",
    "pacs_busy",
    "too_many_operations",
    "memory_busy",
    "spool_full",
    "too_many_open_files",
    "http_version_unsupported",
]


class _PACS(TypedDict, total=False):
    """Either the name of a configured PACS, or its address and the AE titles."""

    pacs: str
    pacs_ip: str
    pacs_port: int
    pacs_ae_title: str
    c_find_ae_title: str


class _Patient(TypedDict):
    patient_id: str


class _Filters(_PACS, total=False):
    issuer_of_patient_id: str | None
    modalities: list[str] | None
    max_years_old: int | None
    max_results: int | None
    study_instance_uids: list[str] | None
    accession_number: str | None
    study_date_from: str | None
    study_date_to: str | None
    pacs_tls: bool | None


class _Destination(TypedDict):
    c_move_ae_title: str


class QueryRequest(_Patient, _Filters):
    """PACS, patient and filters. A study must match all filters; a filter that is left out or None restricts nothing."""


class RetrieveRequest(_Patient, _Destination, _Filters):
    """QueryRequest and the AE title to which the matching studies are moved."""


class EchoRequest(_PACS, total=False):
    """The PACS. The other fields may be those of QueryRequest and RetrieveRequest."""

    pacs_tls: bool | None
    probe: bool
    c_move_ae_title: object
    patient_id: object
    issuer_of_patient_id: object
    modalities: object
    max_years_old: object
    max_results: object
    study_instance_uids: object
    accession_number: object
    study_date_from: object
    study_date_to: object


class Study(TypedDict):
    """A study with its DICOM attributes. A value that the PACS did not return is an empty string or list, never absent."""

    PatientName: str
    PatientID: str
    DateOfBirth: str
    StudyInstanceUID: str
    StudyDescription: str
    ModalitiesInStudy: list[str]
    StudyDate: str
    StudyTime: str
    AccessionNumber: str
    ReferringPhysicianName: str
    PerformingPhysicianName: str
    InstitutionName: str


class GatewayWarning(TypedDict):
    """A remark on a response."""

    code: WarningCode
    message: str


class QueryResponse(TypedDict):
    """All studies that match, at least one."""

    operation: Literal["C-FIND"]
    status: Literal["ok"]
    patient_id: str
    study_details: list[Study]
    warnings: list[GatewayWarning]


class Retrieval(TypedDict):
    """The outcome of the C-MOVE of one study. Counters are None if the PACS sent none."""

    StudyInstanceUID: str
    status: Literal["ok", "partial", "failed", "cancelled", "not_attempted"]
    dicom_status: str
    completed: int | None
    failed: int | None
    warning: int | None
    failed_sop_instance_uids: list[str]


class RetrieveResponse(TypedDict):
    """What was moved and what was not. If only some of it was moved, the status is "partial"."""

    operation: Literal["C-MOVE"]
    status: Literal["ok", "partial"]
    message: str
    success_count: int
    total_count: int
    patient_id: str
    study_details: list[Study]
    warnings: list[GatewayWarning]
    retrievals: list[Retrieval]


class MatchedEvent(TypedDict):
    """The studies to move."""

    operation: Literal["C-MOVE"]
    total_count: int
    patient_id: str
    study_details: list[Study]
    warnings: list[GatewayWarning]


class ProgressEvent(TypedDict):
    """The counters of the study that is being moved, None if the PACS sent none, and the totals so far."""

    StudyInstanceUID: str
    study_index: int
    study_count: int
    remaining: int | None
    completed: int | None
    failed: int | None
    warning: int | None
    completed_total: int
    failed_total: int


class ResultEvent(RetrieveResponse):
    """The response of a retrieve, and its HTTP status."""

    http_status: Literal[200, 207]


class EchoContext(TypedDict):
    """The answer to the presentation context that was proposed for a service."""

    service: Literal["C-ECHO", "C-FIND", "C-MOVE"]
    abstract_syntax: str
    transfer_syntax: str
    result: str


class _EchoStep(TypedDict):
    step: Literal["resolve", "connect", "tls", "associate", "echo"]
    status: Literal["ok", "failed", "skipped"]
    duration_ms: float


class EchoStep(_EchoStep, total=False):
    """The outcome of one step of the connection test."""

    hint: str
    addresses: list[str]
    address: str
    tls_version: str
    cipher_suite: str
    certificate_subject: str
    certificate_issuer: str
    certificate_expiry: str
    implementation_class_uid: str
    implementation_version_name: str
    max_pdu_length: int
    contexts: list[EchoContext]


class EchoStorage(TypedDict):
    """The answer for a storage SOP class, for which the gateway proposed to act as SCP."""

    abstract_syntax: str
    result: str
    scp: bool


class _EchoRetrieval(TypedDict):
    ready: bool
    method: Literal["get", "move"]
    c_get: str
    storage: list[EchoStorage]
    store_scp: Literal["running", "not_configured"]


class EchoRetrieval(_EchoRetrieval, total=False):
    """Whether instances can be retrieved from a named PACS."""

    hint: str


class EchoProfile(TypedDict):
    """What the PACS accepts."""

    relational_queries: bool
    image_level_find: bool
    uid_lists: bool
    study_keys: list[str]


class _EchoResponse(TypedDict):
    operation: Literal["C-ECHO"]
    status: Literal["ok"]
    steps: list[EchoStep]


class EchoResponse(_EchoResponse, total=False):
    """Every step passed."""

    retrieval: EchoRetrieval
    profile: EchoProfile
    pacs_entry: str
    at_the_pacs: list[str]


class _DICOMAttribute(TypedDict):
    vr: str


class DICOMAttribute(_DICOMAttribute, total=False):
    """An attribute of the DICOM JSON Model. One without Value, InlineBinary and BulkDataURI is empty."""

    Value: list[object]
    InlineBinary: str
    BulkDataURI: str


DICOMObject = dict[str, DICOMAttribute]
"""A data set of the DICOM JSON Model. The names are tags, eight upper-case hexadecimal digits."""


class _Fault(TypedDict):
    pointer: str
    detail: str


class Fault(_Fault, total=False):
    """A fault of an invalid request. Those of a CSV file have the line and the column, counted from 1."""

    line: int
    column: int


class _DICOMFault(TypedDict):
    step: Literal["resolve", "connect", "tls", "associate", "echo", "find", "move", "get"]


class DICOMFault(_DICOMFault, total=False):
    """The DICOM cause of a failed operation."""

    status: str
    meaning: str
    result: str
    source: str
    reason: str


class _Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    code: ProblemCode


class Problem(_Problem, total=False):
    """A problem document (RFC 9457). It contains neither submitted values nor patient data."""

    hint: str
    correlation_id: str
    errors: list[Fault]
    dicom: DICOMFault
    warnings: list[GatewayWarning]
    steps: list[EchoStep]
    missing_sop_instance_uids: list[str]
