"""Reading answers together with what was said: the shipped cross-encoder, where it fits a task."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.offline.fitting import Floats, Pair
from langgraph_cooper.prompts import CooperError, TaskSpec
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.forking import wait_before_fork

if TYPE_CHECKING:
    from langgraph_cooper.nodes.offline.cross_encoder import CrossEncoder

LOG = logging.getLogger(__name__)
REMEMBERED = 256  # messages whose answers are kept

_loading = threading.RLock()
wait_before_fork(_loading)


Weigh = Callable[[Sequence[Pair], Sequence[float]], Floats]
"""From N answers to one message and what the regression says of each to the probability [N] that
each is accepted."""


def weigher(task: TaskSpec) -> Weigh:
    """Return what weighs a task's answers; the cross-encoder is loaded with the first of them.

    The regression alone decides for a task of a name that the cross-encoder does not know, and
    where it cannot be loaded.
    """

    def weigh(pairs: Sequence[Pair], chances: Sequence[float]) -> Floats:
        model = _cross_encoder() if pairs and task.name in _known_tasks() else None
        if model is None or model.config.stacking is None:
            return np.asarray(chances, np.float32)
        # Looked up in the computing thread: agents that ask at once wait for the first one's.
        read = compute(partial(_read, json.dumps(pairs)))
        return model.config.stacking.probable(chances, read)

    return weigh


@remembered(REMEMBERED)
def _read(pairs: str) -> Floats:
    """Return [N, 2] log-odds."""
    model = _loaded()
    assert model is not None
    return model.read([Pair(*pair) for pair in json.loads(pairs)])


def _cross_encoder() -> CrossEncoder | None:
    with _loading:  # one load, however many threads ask
        return _loaded()


@cache
def _known_tasks() -> tuple[str, ...]:
    """Return the names of the tasks that the shipped model knows, without its weights."""
    from langgraph_cooper.nodes.offline.cross_encoder import SHIPPED, read_config

    try:
        return read_config(SHIPPED).tasks
    except CooperError as error:
        _warn(error)
        return ()


@cache
def _loaded() -> CrossEncoder | None:
    from langgraph_cooper.nodes.offline.cross_encoder import SHIPPED, read_cross_encoder

    try:
        return read_cross_encoder(SHIPPED)
    except CooperError as error:
        _warn(error)
        return None


def _warn(error: CooperError) -> None:
    LOG.warning("prepared answers are weighed by the regression alone: %s", error)
