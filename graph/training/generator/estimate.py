"""What a training run takes, told before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_cooper.ranker.data.dialogue import Dialogue, Speaker

TOKENS_PER_SECOND = 185
"""Measured on 2 cores of one Xeon with bfloat16 and nothing else running, with SmolLM2-135M."""

_PER_CHARACTER = 0.25  # tokens; English
_TRUNK, _BRANCH = 1.5, 90  # windows of the history overlap; states, topics and marks of a turn


def estimate(dialogues: Sequence[Dialogue], epochs: int, speaker: Speaker = "system") -> str:
    """Return the tokens and the time of a run that learns one side's turns, in one sentence."""
    characters = sum(len(said.text) for each in dialogues for said in each.utterances)
    said = [each.speaker for dialogue in dialogues for each in dialogue.utterances]
    turns = said.count(speaker)
    tokens = round((characters * _PER_CHARACTER * (_TRUNK + 0.5) + turns * _BRANCH) * epochs)
    minutes = max(1, round(tokens / TOKENS_PER_SECOND / 60))
    return (
        f"{len(dialogues):,} conversations with {turns:,} {speaker} turns, about {tokens:,} tokens "
        f"in {epochs} epochs: some {minutes:,} minutes on two cores with bfloat16"
    )
