"""How well a prepared answer fits: a cross-encoder, trained on readers' grades of replies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from langgraph_cooper.nodes.offline.fitting import Stacking
from langgraph_cooper.nodes.pairs.form import PairForm
from langgraph_cooper.nodes.pairs.model import PairReader, Wanted, read_form, read_pair_reader

SHIPPED = Path(__file__).parent / "checkpoint"
WANTED = Wanted("weighs prepared answers", "cooper train answers")
GRADES = ("acceptable", "good")
"""What the two outputs are the log-odds of."""


class CrossEncoderForm(PairForm):
    """The form of a model that reads the user's last words and a reply."""

    format: Literal["langgraph-cooper-answers"] = "langgraph-cooper-answers"
    tasks: tuple[str, ...]
    """The tasks whose answers it was trained on: others are weighed without it."""
    stacking: Stacking | None = None


CrossEncoder = PairReader[CrossEncoderForm]


def read_cross_encoder_form(folder: Path) -> CrossEncoderForm:
    """Read a model's form, without its weights.

    Raises:
        PairError: It is missing or malformed.
    """
    return read_form(folder, CrossEncoderForm, WANTED)


def read_cross_encoder(folder: Path) -> CrossEncoder:
    """Load a model.

    Raises:
        PairError: Its files are missing or damaged, or made for another encoder.
        EncoderError: The encoder cannot be loaded.
    """
    return read_pair_reader(folder, read_cross_encoder_form(folder), len(GRADES), WANTED)
