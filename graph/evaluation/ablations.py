"""Ablations of the fine-tuned pipeline: a generator for each, trained alike (paper, Table 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

from langgraph_cooper.graph.evaluation.generation import RealTurns
from langgraph_cooper.graph.evaluation.kept import one_run_at
from langgraph_cooper.graph.evaluation.speakers import Reply, Speaker, Talk, typical_reply
from langgraph_cooper.graph.training.generator.packing import LearnedDialogue
from langgraph_cooper.graph.training.generator.topics import Part
from langgraph_cooper.graph.training.made_of import check_folder
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint
from langgraph_cooper.nodes.finetuned.format import Budgets, Given
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    DataError,
    Utterance,
)
from langgraph_cooper.ranker.training.config import TrainingError

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

    Raises:
        TrainingError: There is no turn to learn from.
    """
    shown = [len(turn.topics) for dialogue in dialogues for turn in dialogue.turns]
    if not shown:
        raise TrainingError(
            "no turn can be learnt from: all have the strategy Self-disclosure, or no candidates"
        )
    budgets = Budgets()
    if without != "coordination":
        return budgets
    return budgets.model_copy(update={"topics": -(-budgets.topics * max(*shown, k) // k)})


def prepared_speaker(
    name: str,
    checkpoint: VoiceCheckpoint,
    annotated: Sequence[AnnotatedDialogue],
    shown: Sequence[LearnedDialogue],
) -> Speaker:
    """Return a generator as a system that replies at prepared turns, by its most typical sample.

    Args:
        name: Its name.
        checkpoint: Its generator.
        annotated: Conversations.
        shown: [C] the states and topics that it is shown in each conversation with turns.

    Raises:
        VoiceError: The generator cannot be loaded.
    """
    typical, made_of = typical_reply(checkpoint)
    given: dict[tuple[str, int], Given] = {}
    hashed = hashlib.sha256()
    with_turns = [each for each in annotated if each.turns]
    for dialogue, prepared in zip(with_turns, shown, strict=True):
        hashed.update(prepared.model_dump_json().encode())
        for turn in prepared.turns:
            given[dialogue.id, turn.index] = prepared.given(turn)

    def begin(dialogue: str) -> Talk:
        async def reply(history: Sequence[Utterance]) -> Reply:
            return Reply(await typical(given[dialogue, len(history)]))

        return reply

    identity = f"{name} {made_of} {hashed.hexdigest()}"
    return Speaker(name, identity, partial(begin, ""), about=begin)


def annotated_turns(turns: RealTurns, dialogues: Sequence[AnnotatedDialogue]) -> RealTurns:
    """Return the turns that are annotated: data with a model's annotation leave some out.

    Raises:
        DataError: None is.
    """
    known = {(each.id, turn.index) for each in dialogues for turn in each.turns}
    rows = [n for n, turn in enumerate(turns.turns) if (turn.dialogue.id, turn.index) in known]
    if not rows:
        raise DataError("none of the turns to reply at is annotated: annotate the data first")
    return turns.only(rows)


@contextmanager
def working_in(folder: Path, made_of: Mapping[str, Any]) -> Iterator[None]:
    """Keep a folder for one run at a time, and for runs with the same settings.

    Args:
        folder: The folder; made if missing.
        made_of: What everything in it is made from. Later runs may have further keys.

    Raises:
        DataError: It holds something else, was made from something else, or is in use.
    """
    with one_run_at(folder):
        check_folder(folder, made_of)
        yield
