from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from .contract import MatchedEvent, ProgressEvent, ResultEvent, Retrieval
from .contract_jobs import Job, JobItemReport


@dataclass(frozen=True)
class Matched:
    """The studies that matched. It comes first, before anything is moved."""

    data: MatchedEvent


@dataclass(frozen=True)
class Progress:
    """The counters of the study that is being moved."""

    data: ProgressEvent


@dataclass(frozen=True)
class Retrieved:
    """The outcome of one study."""

    data: Retrieval


@dataclass(frozen=True)
class Result:
    """What retrieve would have returned. It comes last."""

    data: ResultEvent


Event = Union[Matched, Progress, Retrieved, Result]


@dataclass(frozen=True)
class JobChanged:
    """State and counters of a job. It comes first, and when they have changed. id is its place in the history of the job."""

    data: Job
    id: str


@dataclass(frozen=True)
class ItemEnded:
    """The outcome of an item."""

    data: JobItemReport
    id: str


@dataclass(frozen=True)
class ItemWaiting:
    """An item that is tried again later."""

    data: JobItemReport
    id: str


@dataclass(frozen=True)
class JobFinished:
    """The job when all items have their outcomes. It comes last."""

    data: Job
    id: str


JobEvent = Union[JobChanged, ItemEnded, ItemWaiting, JobFinished]
