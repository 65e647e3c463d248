"""Reading replies together with what was said: the shipped cross-encoder, where it fits a task."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from langgraph_cooper.nodes.language.loading import once
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.offline.fitting import Stacking
from langgraph_cooper.nodes.offline.heard import Embed, examples, stored_vectors
from langgraph_cooper.nodes.pairs.form import Floats, Pair
from langgraph_cooper.prompts import CooperError, TaskSpec
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.forking import wait_before_fork

if TYPE_CHECKING:
    from langgraph_cooper.nodes.offline.cross_encoder import CrossEncoder

LOG = logging.getLogger(__name__)
REMEMBERED = 512  # lists of replies to a message whose log-odds are kept


class Reader(Protocol):
    """Tells how well replies fit a message that it reads together with each."""

    @property
    def reads(self) -> bool:
        """Whether it does; else nothing else may be asked of it."""

    def weigh(self, said: str, replies: Sequence[str], chances: Sequence[float]) -> Floats:
        """Return [N] the probability that each of N prepared answers is accepted.

        Args:
            said: The user's last words.
            replies: [N] the answers.
            chances: [N] what the regression says of them.
        """

    def acceptable(self, said: str, replies: Sequence[str]) -> Floats:
        """Return [N] the probability that each of N other replies is accepted."""


class ShippedReader:
    """The shipped cross-encoder, loaded with the first message.

    It reads nothing where it cannot be loaded, or where the task's answers or the sentence encoder
    are not those that it was stacked with.

    Args:
        task: The task.
        embed: The sentence encoder of the regression.
    """

    def __init__(self, task: TaskSpec, embed: Embed) -> None:
        self._task, self._embed = task, embed

    @property
    def reads(self) -> bool:
        """Whether the cross-encoder is there and knows the task."""
        return self._known and _stacking() is not None

    def weigh(self, said: str, replies: Sequence[str], chances: Sequence[float]) -> Floats:
        """Weigh prepared answers as `Reader` says."""
        stacking = _stacking()
        assert stacking is not None
        return stacking.probable(chances, _read_once(said, replies))

    def acceptable(self, said: str, replies: Sequence[str]) -> Floats:
        """Weigh other replies as `Reader` says."""
        found = 1 / (1 + np.exp(-_read_once(said, replies)[:, 0]))
        return np.asarray(found, np.float32)

    @cached_property
    def _known(self) -> bool:
        name, heard = self._task.name, examples(self._task)
        return name in known_tasks() and stored_vectors(name, heard, self._embed) is not None


def _stacking() -> Stacking | None:
    model = shipped_cross_encoder()
    return None if model is None else model.form.stacking


def _read_once(said: str, replies: Sequence[str]) -> Floats:
    # Looked up in the computing thread: agents that ask at once wait for the first one's.
    return compute(partial(_read, json.dumps([said, *replies])))


@remembered(REMEMBERED)
def _read(texts: str) -> Floats:
    """Return [N, 2] log-odds for a message and N replies."""
    said, *replies = json.loads(texts)
    model = shipped_cross_encoder()
    assert model is not None
    return model.read([Pair(said, reply) for reply in replies])


@once
def known_tasks() -> tuple[str, ...]:
    """Return the names of the tasks that the shipped model knows, without its weights."""
    from langgraph_cooper.nodes.offline.cross_encoder import SHIPPED, read_cross_encoder_form

    try:
        return read_cross_encoder_form(SHIPPED).tasks
    except CooperError as error:
        _warn(error)
        return ()


@once
def shipped_cross_encoder() -> CrossEncoder | None:
    """Return the shipped model; None, with a warning, if it cannot be loaded."""
    from langgraph_cooper.nodes.offline.cross_encoder import SHIPPED, read_cross_encoder

    try:
        return read_cross_encoder(SHIPPED)
    except CooperError as error:
        _warn(error)
        return None


def _warn(error: CooperError) -> None:
    LOG.warning("prepared answers are weighed by the regression alone: %s", error)


# Python 3.11 computes a cached property under a lock.
if _lock := getattr(vars(ShippedReader)["_known"], "lock", None):
    wait_before_fork(_lock)
