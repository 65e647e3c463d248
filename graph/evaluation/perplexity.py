"""How well a fine-tuned generator expects what was really said: its perplexity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.graph.evaluation.generation import RealTurns
from langgraph_cooper.graph.evaluation.kept import KeptRows
from langgraph_cooper.graph.training.generator.packing import LearnedDialogue, LearnedTurn, packs_of
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint, VoiceConfig
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
from langgraph_cooper.ranker.evaluation.bootstrap import Bootstrap

if TYPE_CHECKING:
    from torch import Tensor

    from langgraph_cooper.graph.training.generator.learner import Learner
    from langgraph_cooper.nodes.finetuned.format import Format

COSTS = "costs of replies"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surprise:
    """What real replies cost a generator.

    Attributes:
        nats: [T] negative log-likelihood of each reply, the sum over its tokens.
        tokens: [T] number of its tokens.
    """

    nats: Floats
    tokens: Floats

    @property
    def perplexity(self) -> float:
        """The exponential of the mean loss of a token."""
        return float(np.exp(self.nats.sum() / self.tokens.sum()))


def surprise(
    checkpoint: VoiceCheckpoint,
    annotated: Sequence[AnnotatedDialogue],
    shown: Sequence[LearnedDialogue],
    turns: RealTurns,
    kept: Path,
    *,
    done: Callable[[int], None] = lambda _: None,
) -> Surprise:
    """Measure what the real replies cost a generator, each with what it is shown at that turn.

    Args:
        checkpoint: The generator.
        annotated: Conversations.
        shown: [C] the states and topics that it is shown in each conversation with turns.
        turns: The turns to measure, all of them in these conversations.
        kept: A JSONL file of the costs. What is in it is not measured again.
        done: Called with the number of turns measured.

    Raises:
        VoiceError: The generator cannot be loaded.
        DataError: `kept` holds something else, or cannot be written.
    """
    wanted = {(turn.dialogue.id, turn.index): row for row, turn in enumerate(turns.turns)}
    nats, tokens = np.zeros(len(wanted)), np.zeros(len(wanted))
    costs = KeptRows(kept, COSTS, {})
    losses_of = _Losses(checkpoint)
    with_turns = [each for each in annotated if each.turns]
    with costs.writing():
        for dialogue, prepared in zip(with_turns, shown, strict=True):
            chosen = [turn for turn in prepared.turns if (dialogue.id, turn.index) in wanted]
            keys = [_key(checkpoint.config, prepared, turn) for turn in chosen]
            if any(key not in costs.rows for key in keys):
                found = losses_of(prepared.model_copy(update={"turns": tuple(chosen)}))
                for key, loss in zip(keys, found, strict=True):
                    costs.add({"key": key, "nats": float(loss.sum()), "tokens": len(loss)})
            for key, turn in zip(keys, chosen, strict=True):
                row = wanted[dialogue.id, turn.index]
                nats[row], tokens[row] = costs.rows[key]["nats"], costs.rows[key]["tokens"]
            done(len(chosen))
    return Surprise(nats, tokens)


class _Losses:
    """What each token of a conversation's replies costs a generator, loaded when it is needed."""

    def __init__(self, checkpoint: VoiceCheckpoint) -> None:
        self._checkpoint = checkpoint

    def __call__(self, prepared: LearnedDialogue) -> list[Tensor]:
        """Return the loss of each turn's reply, token by token."""
        import torch

        learner, form = self._loaded
        with torch.inference_mode():
            return [loss for pack in packs_of(prepared, form) for loss in learner.losses(pack)]

    @cached_property
    def _loaded(self) -> tuple[Learner, Format]:
        from langgraph_cooper.graph.training.generator.train import learner_of

        base = self._checkpoint.merged()
        base.model.eval()
        return learner_of(base), base.format(self._checkpoint.config.budgets)


def _key(generator: VoiceConfig, prepared: LearnedDialogue, turn: LearnedTurn) -> str:
    """A hash of all that the cost of a turn's reply depends on."""
    form = {"weights_sha256", "base", "base_sha256", "budgets"}
    alone = prepared.model_copy(update={"turns": (turn,)})
    made_of = f"{generator.model_dump_json(include=form)} {alone.model_dump_json()}"
    return hashlib.sha256(made_of.encode()).hexdigest()[:32]


def perplexity_report(
    turns: RealTurns, found: Mapping[str, Surprise], *, samples: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Compare the perplexities of generators.

    Args:
        turns: The turns.
        found: System -> what their replies cost it; the first is compared with each other one.
        samples: Resamples of the paired bootstrap, over dialogues.
        seed: Seed of the bootstrap.

    Returns:
        `tokens`, `systems` (system -> perplexity) and `p_values` (system -> p of the difference of
        the mean loss of a reply from the first system's, two-sided).
    """
    first, *others = found
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(turn.dialogue.id, len(numbers)) for turn in turns.turns]
    bootstrap, ours = Bootstrap(groups, samples=samples, seed=seed), found[first]
    return {
        "tokens": int(ours.tokens.sum()),
        "systems": {name: round(one.perplexity, 3) for name, one in found.items()},
        "p_values": {name: round(bootstrap.p(ours.nats, found[name].nats), 6) for name in others},
    }
