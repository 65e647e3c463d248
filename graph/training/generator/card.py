"""The model card of a fine-tuned generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_cooper.nodes.finetuned.base import DEFAULT_BASE
from langgraph_cooper.nodes.finetuned.checkpoint import KINDS
from langgraph_cooper.ranker.data.dialogue import Speaker

LICENCE = (
    "The terms of the training data apply: ESConv is CC BY-NC 4.0, which allows no commercial use; "
    "Persuasion for Good is Apache 2.0. The base's own licence applies too (SmolLM2: Apache 2.0)."
)

PURPOSE = {
    "system": "that write the next utterance of a conversation within the package "
    "`langgraph-cooper`. They are a research artefact: no professional has reviewed what they say. "
    "They invent facts, and they may claim what a machine has not lived; the application chooses "
    "among several samples and keeps its guard.",
    "user": "that play the people of its training data, to try conversational systems with "
    "(`cooper evaluate interactive`). They are a research artefact. They speak as the data's "
    "people do, invent facts and leave their role: what a system reaches with them says nothing "
    "about real people. Do not let anybody take their words for a person's.",
}


def model_card(
    *,
    task: str,
    base: str,
    figures: Mapping[str, Any],
    data: str,
    command: str,
    licence: str = "",
    speaker: Speaker = "system",
) -> str:
    """Return the text of the card.

    Args:
        task: Name of the task.
        base: The base model.
        figures: As `train_generator` returns them.
        data: Name of the training data.
        command: How it was trained.
        licence: The data's terms; empty: those of the shipped tasks' data.
        speaker: The side that it learnt.
    """
    named = "SmolLM2-135M-Instruct" if base == DEFAULT_BASE else base
    known = [(key, value) for key, value in figures.items() if value is not None]
    rows = [f"| {key.replace('_', ' ')} | {value} |" for key, value in known]
    return "\n".join(
        [
            f"# Fine-tuned {KINDS[speaker]} for the task `{task}`",
            "",
            f"Low-rank adapters of {named} {PURPOSE[speaker]}",
            "",
            "## Licence",
            "",
            licence or LICENCE,
            "",
            "## Data and figures",
            "",
            f"Learnt from {data}. The loss is that of a token of a real reply, in nats.",
            "",
            "| what | figure |",
            "| --- | --- |",
            *rows,
            "",
            "## How it was trained",
            "",
            "```bash",
            command,
            "```",
            "",
        ]
    )
