"""The decision model: a cross-encoder of what was said before and the answer.

Words alone do not tell: "No." may answer "Do you have children?", and "My wallet stays shut." holds
no word of a refusal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from langgraph_cooper.nodes.pairs.form import PairForm
from langgraph_cooper.nodes.pairs.model import PairReader, Wanted, read_form, read_pair_reader

SHIPPED = Path(__file__).parent / "checkpoint"
WANTED = Wanted("reads decisions", "cooper train decisions")
LABELS = ("none", "agrees", "doubts", "refuses", "enough")
"""`Decision`s and others; "enough" refuses no more than a larger amount."""


class DeciderForm(PairForm):
    """The form of a model that reads what the system said and the user's answer."""

    format: Literal["langgraph-cooper-decisions"] = "langgraph-cooper-decisions"
    labels: tuple[str, ...] = LABELS
    """What the outputs are the log-odds of, in their order."""
    first_tokens: int = Field(default=40, ge=1)
    second_tokens: int = Field(default=72, ge=1)

    @field_validator("labels")
    @classmethod
    def _known(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if labels != LABELS:
            raise ValueError(f"the labels are not {', '.join(LABELS)}")
        return labels


Decider = PairReader[DeciderForm]


def read_decider(folder: Path) -> Decider:
    """Load a model.

    Raises:
        PairError: Its files are missing or damaged, or made for another encoder.
        EncoderError: The encoder cannot be loaded.
    """
    return read_pair_reader(folder, read_form(folder, DeciderForm, WANTED), len(LABELS), WANTED)
