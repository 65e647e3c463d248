"""Reads what one message shows: by its meaning, or by the phrases alone where nothing can read it.

Torch is imported with the first message, not with this module.
"""

from __future__ import annotations

import logging
from functools import lru_cache, partial
from threading import RLock

from langgraph_cooper.nodes.crisis.course import Finding, Reader
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.forking import wait_before_fork

LOG = logging.getLogger(__name__)
_loading = RLock()
wait_before_fork(_loading)


def read_phrases(text: str) -> Finding:
    """Return what the phrases find."""
    kind = crisis_kind(text)
    return Finding("certain", kind) if kind else Finding()


def read_meaning(text: str) -> Finding:
    """Return what the shipped classifier finds, or the phrases if it cannot be loaded."""
    with _loading:  # one load, however many threads ask
        reader = _shipped_reader()
    return reader(text)


@lru_cache(maxsize=1)
def _shipped_reader() -> Reader:
    from langgraph_cooper.nodes.crisis.classifier import SHIPPED, read_classifier

    try:
        return compute(partial(read_classifier, SHIPPED)).read
    except CooperError as error:
        LOG.warning("the guard reads by its phrases alone: %s", error)
        return read_phrases
