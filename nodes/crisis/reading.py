"""Reads what a message shows: by its meaning, or by the phrases alone where nothing can read it.

Torch is imported with the first message, not with this module.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache, partial
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from langgraph_cooper.nodes.crisis.course import Finding, Reader
from langgraph_cooper.nodes.crisis.foreign import foreign_phrase, language_books
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.nodes.language.spelling import is_known
from langgraph_cooper.prompts import CooperError, CrisisKind, GuardSettings
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.forking import wait_before_fork

if TYPE_CHECKING:
    from langgraph_cooper.nodes.crisis.classifier import CrisisClassifier
    from langgraph_cooper.nodes.crisis.context import ContextModel

LOG = logging.getLogger(__name__)
READ_OF_A_MESSAGE = 40_000
"""Characters: of a longer message, which is refused, its two ends are read."""
_loading = RLock()
wait_before_fork(_loading)


class _Reads(Protocol):
    def __call__(self, text: str, said: Sequence[str] = (), *, rarer: float = 0.0) -> Finding: ...


class Readers(NamedTuple):
    """What reads a message before and after a crisis was first feared in the conversation.

    From then on one is no longer as rare as the task's settings say, and each message is read by
    itself: what was said before neither explains it away nor makes it graver.
    """

    first: Reader
    later: Reader


def readers(settings: GuardSettings) -> Readers:
    """Return the readers for a task's guard, which load their models with the first message."""
    return Readers(partial(read_meaning, rarer=settings.rarer), _read_by_itself)


def _read_by_itself(text: str, said: Sequence[str] = ()) -> Finding:
    return read_meaning(text)


def read_phrases(text: str, said: Sequence[str] = (), *, rarer: float = 0.0) -> Finding:
    """Return what the phrases find, whatever was said before, and however rare a crisis is."""
    if kind := crisis_kind(text):
        return Finding("certain", kind)
    foreign = foreign_phrase(text)
    return Finding("concern", foreign.kind) if foreign else Finding()


def read_meaning(text: str, said: Sequence[str] = (), *, rarer: float = 0.0) -> Finding:
    """Return what the shipped classifier finds, or the phrases if it cannot be loaded.

    Args:
        text: The message.
        said: What the user said before it.
        rarer: The setting of `GuardSettings`.
    """
    return _shipped_reader()(ends(text), said, rarer=rarer)


def doubts(text: str, said: Sequence[str] = ()) -> CrisisKind | None:
    """Return the likeliest kind of crisis of a message at which a second reader should look.

    `said` is what the user said before it.

    None: a crisis is certain, or the message is too short. Without a classifier a message with a
    known phrase is certain.
    """
    if classifier := _classifier():
        return classifier.doubts(text, said)
    return None if crisis_kind(text) else "suicide"


def ends(text: str) -> str:
    """Return what is read of a message: all, or the two ends of one that is very long."""
    half = READ_OF_A_MESSAGE // 2
    return text if len(text) <= 2 * half else f"{text[:half]} … {text[-half:]}"


def _shipped_reader() -> _Reads:
    classifier = _classifier()
    return classifier.read if classifier else read_phrases


def _classifier() -> CrisisClassifier | None:
    with _loading:  # one load, however many threads ask
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> CrisisClassifier | None:
    from langgraph_cooper.nodes.crisis.classifier import SHIPPED, read_classifier

    # Here, in the guard's thread: an event loop must not wait for files.
    language_books()
    is_known(".")
    try:
        return compute(partial(read_classifier, SHIPPED, _context_model()))
    except CooperError as error:
        LOG.warning("the guard reads by its phrases alone: %s", error)
        return None


def _context_model() -> ContextModel | None:
    from langgraph_cooper.nodes.crisis.context import SHIPPED, read_context_model

    try:
        return read_context_model(SHIPPED)
    except CooperError as error:
        LOG.warning("the guard reads each message by itself: %s", error)
        return None
