"""Reads what a user decides about what they are asked for: by the shipped model, once a message.

Torch is imported with the first message, not with this module.
"""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING

from langgraph_cooper.nodes.language.loading import once
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.ranker.model.computing import compute

if TYPE_CHECKING:
    from langgraph_cooper.nodes.subjects.decider import Decider

LOG = logging.getLogger(__name__)
REMEMBERED = 4_096  # messages whose decisions are kept


def reads_decisions() -> bool:
    """Return whether the model is there."""
    return shipped_decider() is not None


def read_decision(pair: Pair) -> str | None:
    """Return what the user decides, one of `decider.LABELS`.

    Args:
        pair: What the system said, if anything, and the user's answer.

    Returns:
        The likeliest label; None if the model cannot be loaded.
    """
    return _read(json.dumps(pair))


@remembered(REMEMBERED)
def _read(texts: str) -> str | None:
    # Looked up again in the computing thread: of agents that ask at once, one waits for another.
    return compute(partial(_read_there, texts)) if reads_decisions() else None


@remembered(REMEMBERED)
def _read_there(texts: str) -> str:
    from langgraph_cooper.nodes.subjects.decider import LABELS

    model = shipped_decider()  # takes no lock now: who holds it may wait for this thread
    assert model is not None
    (odds,) = model.read([Pair(*json.loads(texts))])
    return LABELS[int(odds.argmax())]


@once
def shipped_decider() -> Decider | None:
    """Return the shipped model; None, with a warning, if it cannot be loaded."""
    from langgraph_cooper.nodes.subjects.decider import SHIPPED, read_decider

    try:
        return read_decider(SHIPPED)
    except CooperError as error:
        LOG.warning("decisions are found by cue words alone: %s", error)
        return None
