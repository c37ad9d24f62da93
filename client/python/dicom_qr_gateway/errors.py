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
    """A reply that a gateway does not send."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"the reply is not from the gateway: {reason}")


class CutOffError(GatewayError):
    """The stream ended without its last event, or was closed before. The outcome of the operation is unknown."""

    def __init__(self) -> None:
        super().__init__("the stream was cut off: the outcome is unknown")
