"""Reads whether a reply claims a life: by the shipped model, once a reply.

Torch is imported with the first reply, not with this module.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from langgraph_cooper.nodes.language.loading import once
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.prompts import CooperError

if TYPE_CHECKING:
    from langgraph_cooper.nodes.finetuned.claims.model import ClaimsModel

LOG = logging.getLogger(__name__)
REMEMBERED = 1_024  # replies


def claims(pair: Pair) -> bool:
    """Return whether a reply claims a life; False if the model cannot be loaded.

    Args:
        pair: The user's last words, and the reply.
    """
    return _claims(json.dumps(pair))


@remembered(REMEMBERED)
def _claims(texts: str) -> bool:
    model = shipped_claims_model()
    if model is None:
        return False
    return bool(model.read([Pair(*json.loads(texts))])[0, 0] >= model.form.least)


@once
def shipped_claims_model() -> ClaimsModel | None:
    """Return the shipped model; None, with a warning, if it cannot be loaded."""
    from langgraph_cooper.nodes.finetuned.claims.model import SHIPPED, read_claims_model

    try:
        return read_claims_model(SHIPPED)
    except CooperError as error:
        LOG.warning("claims of a life are found by their words alone: %s", error)
        return None
