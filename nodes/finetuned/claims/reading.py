"""Reads whether a reply claims a life: by the shipped model, once a reply.

Torch is imported with the first reply, not with this module.
"""

from __future__ import annotations

import json
import logging
import threading
from functools import cache
from typing import TYPE_CHECKING

from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.ranker.model.forking import wait_before_fork

if TYPE_CHECKING:
    from langgraph_cooper.nodes.finetuned.claims.model import ClaimsModel

LOG = logging.getLogger(__name__)
REMEMBERED = 1_024  # replies

_loading = threading.RLock()
wait_before_fork(_loading)


def claims(pair: Pair) -> bool:
    """Return whether a reply claims a life; False if the model cannot be loaded.

    Args:
        pair: The user's last words, and the reply.
    """
    return _claims(json.dumps(pair))


@remembered(REMEMBERED)
def _claims(texts: str) -> bool:
    with _loading:  # one load, however many threads ask
        model = _model()
    if model is None:
        return False
    return bool(model.read([Pair(*json.loads(texts))])[0, 0] >= model.form.least)


@cache
def _model() -> ClaimsModel | None:
    from langgraph_cooper.nodes.finetuned.claims.model import SHIPPED, read_claims_model

    try:
        return read_claims_model(SHIPPED)
    except CooperError as error:
        LOG.warning("claims of a life are found by their words alone: %s", error)
        return None
