"""What a set of dialogues looks like, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.annotated import DataError, Dialogue

_SIDES = ("user", "system")


@dataclass(frozen=True)
class Statistics:
    """What a set of dialogues looks like.

    Attributes:
        dialogues: How many there are.
        utterances: Merged utterances of both speakers.
        rounds_per_dialogue: System utterances per dialogue. The papers count a round for each
            (ESConv train and valid together: 11.7; P4G: 10.4).
        words_per_utterance: Mean number of words, user and system.
        labelled: System utterances with a strategy that the task knows.
        aspects: Share of the labelled utterances that promote each aspect. The shares add up to
            more than 1: a merged utterance can promote several.
        strategies: How often each strategy stands there, the commonest first.
    """

    dialogues: int
    utterances: int
    rounds_per_dialogue: float
    words_per_utterance: dict[str, float]
    labelled: int
    aspects: dict[str, float]
    strategies: dict[str, int]


def statistics(dialogues: Sequence[Dialogue], task: TaskSpec) -> Statistics:
    """Counts dialogues, rounds, words, aspects and strategies.

    Raises:
        DataError: There are no dialogues.
    """
    if not dialogues:
        raise DataError("there are no dialogues to count: pass a file that holds some")
    said = [utterance for dialogue in dialogues for utterance in dialogue.utterances]
    words = {side: [len(u.text.split()) for u in said if u.speaker == side] for side in _SIDES}
    system = [utterance for utterance in said if utterance.speaker == "system"]
    promoted = [p for p in (task.promoted_by(u.strategies) for u in system) if p]
    counts = Counter(aspect for aspects in promoted for aspect in aspects)
    return Statistics(
        dialogues=len(dialogues),
        utterances=len(said),
        rounds_per_dialogue=len(system) / len(dialogues),
        words_per_utterance={side: sum(n) / max(len(n), 1) for side, n in words.items()},
        labelled=len(promoted),
        aspects={
            aspect: counts[aspect] / max(len(promoted), 1)
            for aspect in (*task.aspect_names, PASSIVE)
            if aspect != PASSIVE or counts[aspect]
        },
        strategies=dict(Counter(name for u in system for name in u.strategies).most_common()),
    )
