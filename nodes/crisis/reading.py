"""Reads what a message shows: by its meaning, or by the phrases alone where nothing can read it.

Torch is imported with the first message, not with this module.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from langgraph_cooper.nodes.crisis.course import Finding, Reader
from langgraph_cooper.nodes.crisis.foreign import foreign_phrase, language_books
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.nodes.language.loading import once
from langgraph_cooper.nodes.language.spelling import is_known
from langgraph_cooper.prompts import CooperError, CrisisKind, GuardSettings
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.model.encoder import WEIGHTS, EncoderError

if TYPE_CHECKING:
    from langgraph_cooper.nodes.crisis.classifier import CrisisClassifier
    from langgraph_cooper.nodes.crisis.context import ContextModel

ENCODER = "COOPER_GUARD_ENCODER"
"""Environment variable: a folder or hub name of the larger encoder, all-mpnet-base-v2."""
LOG = logging.getLogger(__name__)
READ_OF_A_MESSAGE = 40_000
"""Characters: of a longer message, which is refused, its two ends are read."""


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
    return shipped_reader()(ends(text), said, rarer=rarer)


def doubts(text: str, said: Sequence[str] = ()) -> CrisisKind | None:
    """Return the likeliest kind of crisis of a message at which a second reader should look.

    `said` is what the user said before it.

    None: a crisis is certain, or the message is too short. Without a classifier a message with a
    known phrase is certain.
    """
    if classifier := shipped_classifier():
        return classifier.doubts(text, said)
    return None if crisis_kind(text) else "suicide"


def ends(text: str) -> str:
    """Return what is read of a message: all, or the two ends of one that is very long."""
    half = READ_OF_A_MESSAGE // 2
    return text if len(text) <= 2 * half else f"{text[:half]} … {text[-half:]}"


def shipped_reader() -> _Reads:
    """Return what reads messages: the shipped classifier, or the phrases."""
    classifier = shipped_classifier()
    return classifier.read if classifier else read_phrases


@once
def shipped_classifier() -> CrisisClassifier | None:
    """Return the shipped classifier; None, with a warning, if it cannot be loaded."""
    from langgraph_cooper.nodes.crisis.classifier import LARGER, SHIPPED, read_classifier

    # Here, in the guard's thread: an event loop must not wait for files.
    language_books()
    is_known(".")
    if encoder := _named_encoder():
        try:
            return compute(partial(read_classifier, LARGER, _context_model(), encoder))
        except CooperError as error:
            LOG.warning("the guard reads with its default encoder, not %s: %s", encoder, error)
    try:
        return compute(partial(read_classifier, SHIPPED, _context_model()))
    except CooperError as error:
        LOG.warning("the guard reads by its phrases alone: %s", error)
        return None


def _named_encoder() -> str:
    name = os.environ.get(ENCODER, "").strip()
    return "" if name == DEFAULT_ENCODER else name


def check_encoder() -> None:
    """Check, without loading it, the encoder that the environment names.

    Raises:
        EncoderError: It is meant for a folder, and no encoder is there.
    """
    name = _named_encoder()
    folder = Path(name).expanduser()
    meant = name.startswith((".", "/", "~")) or folder.exists()
    if name and meant and not (folder / WEIGHTS).is_file():
        raise EncoderError(
            f"{ENCODER}={name}: there is no {WEIGHTS} in it; name the folder of all-mpnet-base-v2, "
            "or its hub name, or unset the variable"
        )


def load_classifier() -> None:
    """Load the classifier before the first message.

    Raises:
        CooperError: The encoder that the environment names cannot be used.
    """
    from langgraph_cooper.nodes.crisis.classifier import LARGER, read_classifier

    encoder, found = _named_encoder(), shipped_classifier()
    if encoder and (found is None or found.config.encoder == DEFAULT_ENCODER):
        read_classifier(LARGER, encoder=encoder)  # which says why


def _context_model() -> ContextModel | None:
    from langgraph_cooper.nodes.crisis.context import SHIPPED, read_context_model

    try:
        return read_context_model(SHIPPED)
    except CooperError as error:
        LOG.warning("the guard reads each message by itself: %s", error)
        return None
