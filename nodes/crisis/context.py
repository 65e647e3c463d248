"""The context model: a cross-encoder of a user's message and of their earlier ones.

The classifier reads each message by itself. "He pinned me down" is one person's crisis and
another one's judo: only what was said before tells. The classifier pools the log-odds of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from langgraph_cooper.nodes.crisis.course import EARLIER
from langgraph_cooper.nodes.language.english import may_be_english
from langgraph_cooper.nodes.pairs.form import Pair, PairForm
from langgraph_cooper.nodes.pairs.model import PairReader, Wanted, read_form, read_pair_reader

SHIPPED = Path(__file__).parent / "checkpoint" / "context"
WANTED = Wanted("reads messages in their context", "cooper train context")
BETWEEN = " / "
CHARACTERS = 2_000  # of each of them: the tokens that are read are far fewer


class Pool(BaseModel):
    """How the log-odds of a context model and of one classifier become one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classifier_sha256: str
    """Of the classifier's weights."""
    share: float = Field(ge=0.0, le=1.0)
    """Of the context model in the pooled log-odds; the classifier has the rest."""
    certain: float = 0.0
    """Pooled log-odds from which a crisis is certain."""
    concern: float = 0.0
    """Pooled log-odds from which it is a concern."""


class ContextForm(PairForm):
    """The form of a model that reads earlier messages and one message."""

    format: Literal["langgraph-cooper-crisis-context"] = "langgraph-cooper-crisis-context"
    first_tokens: int = Field(default=80, ge=1)
    """Of the last messages: a quarter of them from the beginning, the others from the end."""
    second_tokens: int = Field(default=72, ge=1)
    pools: tuple[Pool, ...] = ()

    def pool_with(self, classifier_sha256: str) -> Pool | None:
        """Return how it is pooled with the classifier of these weights; None: it is not."""
        of_it = (pool for pool in self.pools if pool.classifier_sha256 == classifier_sha256)
        return next(of_it, None)


ContextModel = PairReader[ContextForm]


def said_before(said: Sequence[str]) -> str:
    """Return what is read of a user's earlier messages: those in English."""
    read = [text[:CHARACTERS] for text in said[-EARLIER:]]
    return BETWEEN.join(text for text in read if may_be_english(text))


def in_context(said: Sequence[str], text: str) -> Pair:
    """Return what is read of a message and of those that the user wrote before."""
    return Pair(said_before(said), text)


def read_context_model(folder: Path) -> ContextModel:
    """Load a model.

    Raises:
        PairError: Its files are missing or damaged, or made for another encoder.
        EncoderError: The encoder cannot be loaded.
    """
    return read_pair_reader(folder, read_form(folder, ContextForm, WANTED), 1, WANTED)
