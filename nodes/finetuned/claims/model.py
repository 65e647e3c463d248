"""The claims model: a cross-encoder of the user's last words and a reply to them.

A list of words does not hold all the ways to speak of a life: "Yes the winds are blowing strong
here" claims one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from langgraph_cooper.nodes.pairs.form import PairForm
from langgraph_cooper.nodes.pairs.model import PairReader, Wanted, read_form, read_pair_reader

SHIPPED = Path(__file__).parent / "checkpoint"
WANTED = Wanted("reads claims of a life", "cooper train claims")
TARGETS = {"none": 0.0, "borderline": 0.5, "claims": 1.0}
"""Readers' labels of replies, and how much of a claim each of them is."""


class ClaimsForm(PairForm):
    """The form of a model that reads the user's words and a reply."""

    format: Literal["langgraph-cooper-claims"] = "langgraph-cooper-claims"
    first_tokens: int = Field(default=48, ge=1)
    second_tokens: int = Field(default=72, ge=1)
    least: float = 0.0
    """Log-odds from which a reply claims a life."""


ClaimsModel = PairReader[ClaimsForm]


def read_claims_model(folder: Path) -> ClaimsModel:
    """Load a model.

    Raises:
        PairError: Its files are missing or damaged, or made for another encoder.
        EncoderError: The encoder cannot be loaded.
    """
    return read_pair_reader(folder, read_form(folder, ClaimsForm, WANTED), 1, WANTED)
