"""Pseudo-labels for topic candidates (paper, "Training", the two criteria).

No data set says which candidate is the best. Candidates are compared first by whether they promote
an aspect that the real utterance promotes, then by the inner product of their sentence embedding
with the real utterance's. The best of n gets the label n, the worst 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, AnnotatedTurn, DataError

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]
"""Texts -> [N, n_d] sentence embeddings of unit norm."""


@dataclass(frozen=True)
class LabelledTurn:
    """A system turn with its ranking labels.

    Attributes:
        dialogue: Position of the dialogue in the labelled list.
        turn: The annotated turn: history length, states, candidates.
        round: Dialogue round, from 1.
        labels: [n] int64, n for the best candidate down to 1 for the worst.
        hits: [n] bool, whether a candidate promotes an aspect that the real utterance promotes.
        similarity: [n] float32, inner product with the embedding of the real utterance.
        promoted: The aspects that the real utterance promotes.
    """

    dialogue: int
    turn: AnnotatedTurn
    round: int
    labels: npt.NDArray[np.int64]
    hits: npt.NDArray[np.bool_]
    similarity: Floats
    promoted: frozenset[str]


class Labelling(NamedTuple):
    """Labelled turns, and the number of turns without a known strategy or without candidates."""

    turns: list[LabelledTurn]
    skipped: int


class Embeddings:
    """Embeddings of many texts: each distinct text is encoded once, all in one call.

    Args:
        texts: Any texts, with repetitions.
        encode: Sentence encoder.
    """

    def __init__(self, texts: Iterable[str], encode: Encode) -> None:
        distinct = list(dict.fromkeys(texts))
        self._row = {text: row for row, text in enumerate(distinct)}
        self._matrix = encode(distinct) if distinct else np.zeros((0, 0), np.float32)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return the embeddings [N, n_d] of some of the texts."""
        return self._matrix[[self._row[text] for text in texts]]

    def rows(self, texts: Sequence[str]) -> list[int]:
        """Return the rows of some of the texts in `matrix`."""
        return [self._row[text] for text in texts]

    @property
    def matrix(self) -> Floats:
        """The embeddings [U, n_d] of the distinct texts."""
        return self._matrix


def rank_labels(hits: npt.NDArray[np.bool_], similarity: Floats) -> npt.NDArray[np.int64]:
    """Label one turn's candidates by the two criteria.

    Args:
        hits: [n], criterion 1.
        similarity: [n], criterion 2; of equals the earlier candidate is the better one.

    Returns:
        [n] int64, a permutation of 1..n with n for the best.
    """
    count = len(hits)
    best_first = np.lexsort((np.arange(count), -similarity, ~hits))
    labels = np.empty(count, np.int64)
    labels[best_first] = np.arange(count, 0, -1)
    return labels


def label_turns(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode
) -> Labelling:
    """Label the turns with candidates whose real utterance has a strategy that the task knows.

    Args:
        dialogues: Dialogues with candidates.
        task: Maps strategies to aspects.
        encode: Sentence encoder of the similarities.

    Raises:
        DataError: The task lacks a candidate's aspect, or a turn lacks an aspect's state.
    """
    _check_aspects(dialogues, task)
    found = list(_labelled(dialogues, task))
    texts: list[str] = []
    for number, turn, _ in found:
        texts.append(dialogues[number].utterances[turn.index].text)
        texts.extend(candidate.topic for candidate in turn.candidates)
    embed = Embeddings(texts, encode)
    turns = []
    for number, turn, promoted in found:
        dialogue = dialogues[number]
        reference = embed([dialogue.utterances[turn.index].text])[0]  # [n_d]
        similarity = embed([candidate.topic for candidate in turn.candidates]) @ reference  # [n]
        hits = np.array([candidate.aspect in promoted for candidate in turn.candidates])
        labels = rank_labels(hits, similarity)
        round_ = dialogue.round_of(turn.index)
        turns.append(LabelledTurn(number, turn, round_, labels, hits, similarity, promoted))
    return Labelling(turns, sum(len(d.turns) for d in dialogues) - len(turns))


def _check_aspects(dialogues: Sequence[AnnotatedDialogue], task: TaskSpec) -> None:
    known = {*task.aspect_names, PASSIVE}
    for dialogue in dialogues:
        for turn in dialogue.turns:
            for candidate in turn.candidates:
                if candidate.aspect not in known:
                    raise DataError(
                        f"dialogue {dialogue.id!r}, turn {turn.index}, has a candidate of the "
                        f"aspect {candidate.aspect!r}, which the task {task.name!r} does not have: "
                        "name the task that the file was annotated for"
                    )
            if missing := [name for name in task.aspect_names if name not in turn.states]:
                raise DataError(
                    f"dialogue {dialogue.id!r}, turn {turn.index}, has no state of the aspect "
                    f"{missing[0]!r} of the task {task.name!r}: give it one, an empty text where "
                    "nothing is known, or name the task that the file was annotated for"
                )


def _labelled(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec
) -> Iterator[tuple[int, AnnotatedTurn, frozenset[str]]]:
    """Yield the turns that can be labelled, with their dialogue and the promoted aspects."""
    for number, dialogue in enumerate(dialogues):
        for turn in dialogue.turns:
            promoted = task.promoted_by(dialogue.utterances[turn.index].strategies)
            if promoted and turn.candidates:
                yield number, turn, promoted
