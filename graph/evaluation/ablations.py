"""Ablations of the fine-tuned pipeline: a generator for each, trained alike (paper, Table 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from langgraph_cooper.graph.evaluation.speakers import Reply, Speaker, typical_reply
from langgraph_cooper.graph.training.generator.packing import LearnedDialogue
from langgraph_cooper.graph.training.generator.topics import Part
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint
from langgraph_cooper.nodes.finetuned.format import Budgets, Given
from langgraph_cooper.ranker.data.dialogue import Utterance

COMPLETE = "complete"
PARTS: tuple[Part, ...] = get_args(Part)


def name_of(without: Part | None) -> str:
    """Return a variant's name in the report."""
    return f"without {without}" if without else COMPLETE


def budgets_of(without: Part | None, dialogues: Sequence[LearnedDialogue], k: int) -> Budgets:
    """Return the token budgets of a variant.

    Without coordination every candidate has the room that each of the top K has otherwise: what is
    measured is what noise costs, not what a cut costs.

    Args:
        without: The part that is missing.
        dialogues: The variant's conversations.
        k: Topics of a turn in the complete pipeline.
    """
    budgets = Budgets()
    if without != "coordination":
        return budgets
    most = max(len(turn.topics) for dialogue in dialogues for turn in dialogue.turns)
    return budgets.model_copy(update={"topics": -(-budgets.topics * max(most, k) // k)})


def ablated_speaker(
    name: str, checkpoint: VoiceCheckpoint, dialogues: Sequence[LearnedDialogue]
) -> Speaker:
    """Return a variant as a system that replies at prepared turns.

    Args:
        name: Its name.
        checkpoint: Its generator.
        dialogues: Conversations with the states and topics that it is shown.

    Raises:
        VoiceError: The generator cannot be loaded.
    """
    typical, made_of = typical_reply(checkpoint)
    given: dict[tuple[Utterance, ...], Given] = {}
    for dialogue in dialogues:
        for turn in dialogue.turns:
            given[dialogue.utterances[: turn.index]] = dialogue.given(turn)

    async def reply(history: Sequence[Utterance]) -> Reply:
        return Reply(await typical(given[tuple(history)]))

    return Speaker(name, f"{name} {made_of}", lambda: reply)
