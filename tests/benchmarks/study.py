"""Annotated turns as arrays for a study of rankings: one per quantity, candidates in rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
from langgraph_cooper.ranker.data.labels import Encode
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.model.next_utterance import NextUtteranceModel, NextUtterancePrediction
from langgraph_cooper.ranker.model.progression import ProgressionModule
from langgraph_cooper.ranker.model.tokens import TurnTokenizer
from langgraph_cooper.ranker.model.transformer import load_transformer
from langgraph_cooper.ranker.training.examples import Examples, make_examples
from langgraph_cooper.ranker.training.targets import find_targets

Floats = npt.NDArray[np.float64]

FOLDS = 4
ROUNDS = 15


class Conversation(NamedTuple):
    """The utterances before a turn, oldest first.

    Attributes:
        utterances: [L, n_d] embeddings.
        system: [L] bool, whether the system is the speaker.
    """

    utterances: Floats
    system: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Study:
    """T turns with N candidates in all.

    Attributes:
        names: The aspects' names, in the task's order.
        examples: The turns.
        predicted: Their next utterances, predicted by fits to other conversations.
        turn: [N], the turn of each candidate.
        aspect: [N].
        topic: [N, n_d] embeddings.
        best: [N] bool, the best-labelled of its turn.
        fold: [T], the fold of each turn.
        targets: [T, n_T, n_d], the attended mixtures of target states.
        change: [T, n_T, n_d], the states less those of the turn before.
        conversations: [T], the utterances before each turn.
    """

    names: tuple[str, ...]
    examples: Examples
    predicted: NextUtterancePrediction
    turn: npt.NDArray[np.int64]
    aspect: npt.NDArray[np.int64]
    topic: Floats
    best: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int64]
    targets: Floats
    change: Floats
    conversations: list[Conversation]

    @property
    def states(self) -> Floats:
        """State embeddings [T, n_T, n_d]."""
        return self.examples.states.numpy().astype(np.float64)

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """The dialogue of each turn, [T]."""
        return np.array([turn.dialogue for turn in self.examples.turns], np.int64)

    @property
    def replies(self) -> Floats:
        """Embeddings of the real system utterances, [T, n_d]."""
        return self.examples.texts[self.examples.replies].numpy().astype(np.float64)

    def own(self, values: Floats) -> Floats:
        """Take each candidate's aspect of `[T, n_T, x]`: [N, x], zeros if passive."""
        count = values.shape[1]
        mine = values[self.turn, np.minimum(self.aspect, count - 1)]
        return np.where(self.aspect[:, None] < count, mine, 0.0)

    def cosines(self, vectors: Floats) -> Floats:
        """Return cosines of candidates with `[T, n_T, n_d]`, own aspect last: [N, n_T + 1]."""
        norms = np.maximum(np.linalg.norm(vectors, axis=2, keepdims=True), 1e-9)
        unit = vectors / norms
        every = np.einsum("nd,nad->na", self.topic, unit[self.turn])
        return np.column_stack([every, np.einsum("nd,nd->n", self.topic, self.own(unit))])


def study(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode, seed: int
) -> Study:
    """Label, embed and fit the inputs of all rankings."""
    tokenizer = TurnTokenizer(
        load_transformer(DEFAULT_ENCODER).tokenizer, history_tokens=8, topic_tokens=4
    )
    examples = make_examples(dialogues, task, encode, tokenizer)
    groups = np.array([turn.dialogue for turn in examples.turns])
    model = NextUtteranceModel(len(task.aspects), ROUNDS, examples.texts.shape[1])
    predicted = examples.with_cross_fit(model).predicted
    assert predicted is not None
    mixtures = []
    for index, name in enumerate(task.aspect_names):
        finals = [dialogue.final_states.get(name, "") for dialogue in dialogues]
        if not any(finals):  # a file without the agents' last states
            finals = [turn.turn.states.get(name, "") for turn in examples.turns]
        found = find_targets(name, finals, encode, seed=seed)
        module = ProgressionModule(torch.from_numpy(found.centroids), found.texts)
        with torch.no_grad():
            mixtures.append(module(examples.states[:, index]).signal[:, 0].numpy())
    states = examples.states.numpy().astype(np.float64)
    follows = np.r_[False, groups[1:] == groups[:-1]]
    before = np.where(follows[:, None, None], np.roll(states, 1, axis=0), 0.0)
    return Study(
        names=task.aspect_names,
        examples=examples,
        predicted=predicted,
        turn=np.repeat(np.arange(len(examples)), [len(row) for row in examples.topics]),
        aspect=np.concatenate(examples.aspects),
        topic=examples.texts[np.concatenate(examples.topics)].numpy().astype(np.float64),
        best=np.concatenate([turn.labels == len(turn.labels) for turn in examples.turns]),
        fold=np.unique(groups, return_inverse=True)[1] % FOLDS,
        targets=np.stack(mixtures, axis=1).astype(np.float64),
        change=states - before,
        conversations=_conversations(dialogues, examples, encode),
    )


def _conversations(
    dialogues: Sequence[AnnotatedDialogue], examples: Examples, encode: Encode
) -> list[Conversation]:
    texts = [[utterance.text for utterance in dialogue.utterances] for dialogue in dialogues]
    rows = np.cumsum([0, *map(len, texts)])
    said = np.asarray(encode([text for own in texts for text in own]), np.float64)
    system = np.array([u.speaker == "system" for d in dialogues for u in d.utterances])
    found = []
    for turn in examples.turns:
        start = rows[turn.dialogue]
        before = slice(start, start + turn.turn.index)
        found.append(Conversation(said[before], system[before]))
    return found
