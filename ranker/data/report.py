"""What a file of dialogues holds: a report of its reading, and statistics of its dialogues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue


@dataclass
class LoadReport:
    """Counts of what was read from a file, what was left out, and what the task does not know.

    Attributes:
        path: The file.
        form: Its recognised form.
        dialogues: Dialogues read.
        utterances: Utterances after merging.
        system_utterances: Utterances of the system.
        unlabelled: System utterances without a strategy that the task knows.
        unknown_strategies: Counts of the strategies that the task maps to no aspect.
        empty_turns: Turns without text, left out.
        without_system: Dialogues without a system utterance; kept, but nothing is learnt from them.
        duplicates: Dialogues with the same utterances as an earlier one, left out.
    """

    path: str
    form: str
    dialogues: int = 0
    utterances: int = 0
    system_utterances: int = 0
    unlabelled: int = 0
    unknown_strategies: Counter[str] = field(default_factory=Counter)
    empty_turns: int = 0
    without_system: int = 0
    duplicates: int = 0

    def count(self, dialogue: Dialogue, task: TaskSpec) -> None:
        """Add one dialogue."""
        self.dialogues += 1
        self.utterances += len(dialogue.utterances)
        self.without_system += not dialogue.system_turns
        for index in dialogue.system_turns:
            strategies = dialogue.utterances[index].strategies
            self.system_utterances += 1
            self.unlabelled += not task.promoted_by(strategies)
            self.unknown_strategies.update(name for name in strategies if not task.knows(name))

    def sentence(self) -> str:
        """Return the report as one sentence."""
        text = (
            f"{self.path} ({self.form}): {self.dialogues} dialogues, "
            f"{self.utterances} utterances, {self.unlabelled} of {self.system_utterances} "
            "system utterances without a known strategy"
        )
        if self.unknown_strategies:
            names = ", ".join(f"{n} ({c})" for n, c in self.unknown_strategies.most_common())
            text += f"; strategies unknown to the task: {names}"
        if self.empty_turns:
            text += f"; {self.empty_turns} empty turns left out"
        if self.without_system:
            text += f"; {self.without_system} dialogues without a system utterance"
        if self.duplicates:
            text += f"; {self.duplicates} duplicated dialogues left out"
        return text + "."


class Loaded(NamedTuple):
    """The dialogues of a file and the report of its reading."""

    dialogues: list[Dialogue]
    report: LoadReport


@dataclass(frozen=True)
class Statistics:
    """Figures of a set of dialogues.

    Attributes:
        dialogues: Number of dialogues.
        utterances: Merged utterances of both speakers.
        rounds_per_dialogue: System utterances per dialogue. The papers count a round for each
            (ESConv train and valid together: 11.7; P4G: 10.4).
        words_per_utterance: Mean number of words, by speaker.
        labelled: System utterances with a strategy that the task knows.
        aspects: Share of the labelled utterances that promote each aspect. The shares can add up
            to more than 1: a merged utterance may promote several.
        strategies: Count of each strategy, the most frequent first.
    """

    dialogues: int
    utterances: int
    rounds_per_dialogue: float
    words_per_utterance: dict[str, float]
    labelled: int
    aspects: dict[str, float]
    strategies: dict[str, int]


def statistics(dialogues: Sequence[Dialogue], task: TaskSpec) -> Statistics:
    """Count dialogues, rounds, words, aspects and strategies.

    Raises:
        DataError: There are no dialogues.
    """
    if not dialogues:
        raise DataError("there are no dialogues to count: pass a file that holds some")
    said = [utterance for dialogue in dialogues for utterance in dialogue.utterances]
    words = {
        speaker: [len(u.text.split()) for u in said if u.speaker == speaker]
        for speaker in ("user", "system")
    }
    system = [utterance for utterance in said if utterance.speaker == "system"]
    promoted = [p for p in (task.promoted_by(u.strategies) for u in system) if p]
    counts = Counter(aspect for aspects in promoted for aspect in aspects)
    return Statistics(
        dialogues=len(dialogues),
        utterances=len(said),
        rounds_per_dialogue=len(system) / len(dialogues),
        words_per_utterance={speaker: sum(n) / max(len(n), 1) for speaker, n in words.items()},
        labelled=len(promoted),
        aspects={
            aspect: counts[aspect] / max(len(promoted), 1)
            for aspect in (*task.aspect_names, PASSIVE)
            if aspect != PASSIVE or counts[aspect]
        },
        strategies=dict(Counter(name for u in system for name in u.strategies).most_common()),
    )
