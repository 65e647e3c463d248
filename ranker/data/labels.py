"""Pseudo-labels for topic candidates (paper, "Training", the two criteria).

No data set says which candidate was the best. Two candidates are compared first by whether they
promote an aspect that the real utterance promotes, then by the inner product of their sentence
embedding with the real utterance's. The best of n gets the label n, the worst 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    """One system turn with its ranking labels.

    Attributes:
        dialogue: Position of the dialogue in the list that was labelled.
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
    """Labelled turns and how many were left out for want of a known strategy or of candidates."""

    turns: list[LabelledTurn]
    skipped: int


class Embeddings:
    """Embeddings of many texts, each distinct text encoded once, all in one call.

    Args:
        texts: Any texts, with repetitions.
        encode: Sentence encoder.
    """

    def __init__(self, texts: Iterable[str], encode: Encode) -> None:
        distinct = list(dict.fromkeys(texts))
        self._row = {text: row for row, text in enumerate(distinct)}
        self._matrix = encode(distinct) if distinct else np.zeros((0, 0), np.float32)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """The embeddings [N, n_d] of texts that were given at the start."""
        return self._matrix[[self._row[text] for text in texts]]

    def rows(self, texts: Sequence[str]) -> list[int]:
        """Return the rows of some of the texts in `matrix`."""
        return [self._row[text] for text in texts]

    @property
    def matrix(self) -> Floats:
        """The embeddings [U, n_d] of the distinct texts."""
        return self._matrix


def rank_labels(hits: npt.NDArray[np.bool_], similarity: Floats) -> npt.NDArray[np.int64]:
    """Labels of one turn's candidates by the two criteria.

    Args:
        hits: [n], criterion 1.
        similarity: [n], criterion 2; among equals the earlier candidate is the better one.

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
    """Labels the turns of annotated dialogues, embedding each distinct text once.

    Args:
        dialogues: With candidates.
        task: Says which aspects a strategy promotes.
        encode: Sentence encoder of the similarities.

    Returns:
        The turns whose real utterance has a strategy that the task knows and that have candidates,
        and the number of the others.

    Raises:
        DataError: A candidate's aspect is not the task's, or an aspect has no state.
    """
    _check_aspects(dialogues, task)
    found = list(_labelled(dialogues, task))
    texts: list[str] = []
    for dialogue, turn, _ in found:
        texts.append(dialogues[dialogue].utterances[turn.index].text)
        texts.extend(candidate.topic for candidate in turn.candidates)
    embed = Embeddings(texts, encode)
    turns = [
        _label(dialogues[number], number, turn, promoted, embed) for number, turn, promoted in found
    ]
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


def label_turns_one_by_one(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode
) -> Labelling:
    """`label_turns` with one text per call and the reference encoded again for every candidate.

    This is how the paper's released code goes about it. It is here to be measured against.
    """
    turns = []
    for number, turn, promoted in _labelled(dialogues, task):
        reference = dialogues[number].utterances[turn.index].text
        pairs = [(encode([c.topic])[0], encode([reference])[0]) for c in turn.candidates]
        similarity = np.array([float(topic @ said) for topic, said in pairs], np.float32)
        turns.append(_labelled_turn(dialogues[number], number, turn, promoted, similarity))
    return Labelling(turns, sum(len(d.turns) for d in dialogues) - len(turns))


def _labelled(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec
) -> Iterable[tuple[int, AnnotatedTurn, frozenset[str]]]:
    """The turns that can be labelled, with the aspects that they promote."""
    for number, dialogue in enumerate(dialogues):
        for turn in dialogue.turns:
            promoted = task.promoted_by(dialogue.utterances[turn.index].strategies)
            if promoted and turn.candidates:
                yield number, turn, promoted


def _label(
    dialogue: AnnotatedDialogue,
    number: int,
    turn: AnnotatedTurn,
    promoted: frozenset[str],
    embed: Embeddings,
) -> LabelledTurn:
    reference = embed([dialogue.utterances[turn.index].text])[0]  # [n_d]
    topics = embed([candidate.topic for candidate in turn.candidates])  # [n, n_d]
    return _labelled_turn(dialogue, number, turn, promoted, topics @ reference)


def _labelled_turn(
    dialogue: AnnotatedDialogue,
    number: int,
    turn: AnnotatedTurn,
    promoted: frozenset[str],
    similarity: Floats,
) -> LabelledTurn:
    hits = np.array([candidate.aspect in promoted for candidate in turn.candidates])
    return LabelledTurn(
        dialogue=number,
        turn=turn,
        round=dialogue.round_of(turn.index),
        labels=rank_labels(hits, similarity),
        hits=hits,
        similarity=similarity,
        promoted=promoted,
    )
