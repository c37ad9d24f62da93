"""Client of a DICOM Query/Retrieve gateway. It requires Python 3.10 and no other package.

Gateway has the calls. Their requests and responses are dicts with the fields of openapi.yaml, typed by the TypedDicts of
this package. A result is complete, with one exception: a retrieve whose status is "partial". A call that fails raises one of
these; the first four are GatewayErrors:

ProblemError  the gateway refused the request, or the operation failed; branch on error.code
ReplyError    the reply did not come from the gateway but, for example, from a proxy; redirects are not followed
CutOffError   the stream of follow ended early: the outcome is unknown, and retrying is safe; jobs.follow connects again first
IncompleteError
              instances are missing in the answer to retrieve_instances
OSError, http.client.HTTPException
              the connection failed: the request was not sent, or its response was not received
"""

from .contract import (
    DICOMAttribute,
    DICOMFault,
    DICOMObject,
    EchoContext,
    EchoProfile,
    EchoRequest,
    EchoResponse,
    EchoRetrieval,
    EchoStep,
    EchoStorage,
    Fault,
    GatewayWarning,
    MatchedEvent,
    Problem,
    ProblemCode,
    ProgressEvent,
    QueryRequest,
    QueryResponse,
    ResultEvent,
    Retrieval,
    RetrieveRequest,
    RetrieveResponse,
    Study,
    WarningCode,
)
from .contract_jobs import (
    Job,
    JobCounts,
    JobItem,
    JobItemReport,
    JobItemState,
    JobList,
    JobPage,
    JobParameters,
    JobPriority,
    JobRequest,
    JobState,
    JobStudy,
)
from .errors import CutOffError, GatewayError, IncompleteError, ProblemError, ReplyError
from .events import (
    Event,
    ItemEnded,
    ItemWaiting,
    JobChanged,
    JobEvent,
    JobFinished,
    Matched,
    Progress,
    Result,
    Retrieved,
)
from .gateway import Gateway, Stream
from .instances import Instance, Instances
from .jobs import Jobs, JobStream
from .retry import Retry

__all__ = [
    "CutOffError",
    "DICOMAttribute",
    "DICOMFault",
    "DICOMObject",
    "EchoContext",
    "EchoProfile",
    "EchoRequest",
    "EchoResponse",
    "EchoRetrieval",
    "EchoStep",
    "EchoStorage",
    "Event",
    "Fault",
    "Gateway",
    "GatewayError",
    "GatewayWarning",
    "IncompleteError",
    "Instance",
    "Instances",
    "ItemEnded",
    "ItemWaiting",
    "Job",
    "JobChanged",
    "JobCounts",
    "JobEvent",
    "JobFinished",
    "JobItem",
    "JobItemReport",
    "JobItemState",
    "JobList",
    "JobPage",
    "JobParameters",
    "JobPriority",
    "JobRequest",
    "Jobs",
    "JobState",
    "JobStream",
    "JobStudy",
    "Matched",
    "MatchedEvent",
    "Problem",
    "ProblemCode",
    "ProblemError",
    "Progress",
    "ProgressEvent",
    "QueryRequest",
    "QueryResponse",
    "ReplyError",
    "Result",
    "ResultEvent",
    "Retrieval",
    "Retrieved",
    "RetrieveRequest",
    "RetrieveResponse",
    "Retry",
    "Stream",
    "Study",
    "WarningCode",
]
