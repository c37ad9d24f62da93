from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from .contract import MatchedEvent, ProgressEvent, ResultEvent, Retrieval


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
