"""Reads what one message shows: by its meaning, or by the phrases alone where nothing can read it.

Torch is imported with the first message, not with this module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from threading import RLock
from typing import TYPE_CHECKING

from langgraph_cooper.nodes.crisis.course import Finding, Reader
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.prompts import CooperError, CrisisKind, GuardSettings
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.forking import wait_before_fork

if TYPE_CHECKING:
    from langgraph_cooper.nodes.crisis.classifier import CrisisClassifier

LOG = logging.getLogger(__name__)
LONGEST = 40_000
"""Characters that are read of a message: of a longer one, which is refused, its two ends."""
_loading = RLock()
wait_before_fork(_loading)


def reader(settings: GuardSettings) -> Reader:
    """Return the reader for a task's guard, which loads the classifier with its first message."""
    return partial(read_meaning, rarer=settings.rarer)


def read_phrases(text: str, rarer: float = 0.0) -> Finding:
    """Return what the phrases find, however rare a crisis is."""
    kind = crisis_kind(text)
    return Finding("certain", kind) if kind else Finding()


def read_meaning(text: str, rarer: float = 0.0) -> Finding:
    """Return what the shipped classifier finds, or the phrases if it cannot be loaded.

    Args:
        text: The message.
        rarer: The setting of `GuardSettings`.
    """
    return _shipped_reader()(_ends(text), rarer)


def doubts(text: str) -> CrisisKind | None:
    """Return the likeliest kind of crisis of a message at which a second reader should look.

    None: a crisis is certain, or the message is too short. Without a classifier a message with a
    known phrase is certain.
    """
    if classifier := _classifier():
        return classifier.doubts(text)
    return None if crisis_kind(text) else "suicide"


def _ends(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def _shipped_reader() -> Callable[[str, float], Finding]:
    classifier = _classifier()
    return classifier.read if classifier else read_phrases


def _classifier() -> CrisisClassifier | None:
    with _loading:  # one load, however many threads ask
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> CrisisClassifier | None:
    from langgraph_cooper.nodes.crisis.classifier import SHIPPED, read_classifier

    try:
        return compute(partial(read_classifier, SHIPPED))
    except CooperError as error:
        LOG.warning("the guard reads by its phrases alone: %s", error)
        return None
