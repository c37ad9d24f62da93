from __future__ import annotations

from .contract import Problem, ProblemCode


class GatewayError(Exception):
    """The base of the errors of this package."""


class ProblemError(GatewayError):
    """A problem document: the gateway refused the request, or the operation failed.

    retry_after is the number of seconds to wait before the next attempt, at most a day, or None. It is set for the statuses
    429 and 503.
    """

    document: Problem
    status: int
    code: ProblemCode
    retry_after: float | None

    def __init__(self, document: Problem, retry_after: float | None = None) -> None:
        super().__init__(f"{document['detail']} ({document['code']})")
        self.document = document
        self.status = document["status"]
        self.code = document["code"]
        self.retry_after = retry_after


class ReplyError(GatewayError):
    """A reply that a gateway does not send. status is its HTTP status, or None if that of a gateway would be the same."""

    status: int | None

    def __init__(self, reason: object, status: int | None = None) -> None:
        super().__init__(f"the reply is not from the gateway: {reason}")
        self.status = status


class CutOffError(GatewayError):
    """The stream ended without its last event, or was closed before. The outcome of the operation is unknown."""

    def __init__(self) -> None:
        super().__init__("the stream was cut off: the outcome is unknown")


class IncompleteError(GatewayError):
    """Instances are missing: the PACS did not send them, or the answer was broken off.

    What retrieve_instances has yielded before is valid, except for an instance that raised this error. received is the number
    of instances that arrived completely. missing_sop_instance_uids lists those that did not, if the gateway listed them; it does
    so with lenient=True. cause says what ended the answer; it is None if the answer was ended properly and says itself that it is
    incomplete.
    """

    received: int
    missing_sop_instance_uids: list[str]
    cause: BaseException | str | None

    def __init__(self, received: int, missing_sop_instance_uids: list[str], cause: BaseException | str | None) -> None:
        missing = f", missing: {len(missing_sop_instance_uids)}" if missing_sop_instance_uids else ""
        reason = "" if cause is None else f": {cause or type(cause).__name__}"
        super().__init__(f"the retrieval is incomplete (instances received: {received}{missing}){reason}")
        self.received = received
        self.missing_sop_instance_uids = missing_sop_instance_uids
        self.cause = cause
