"""Training examples: labelled turns, tokenised and embedded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError
from langgraph_cooper.ranker.data.labels import Embeddings, Encode, LabelledTurn, label_turns
from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.next_utterance import (
    NextUtteranceModel,
    NextUtterancePrediction,
    recent_texts,
)
from langgraph_cooper.ranker.model.tokens import TurnTokenizer, TurnTokens


@dataclass(frozen=True)
class Examples:
    """T turns of a split.

    Attributes:
        turns: [T] labelled turns, for the metrics.
        skipped: Number of annotated turns that could not be labelled.
        dialogues: Number of dialogues of the split.
        tokens: [T] history and candidates as token ids.
        states: [T, n_T, n_d] float32 state embeddings; zeros where a summary is empty.
        aspects: [T] lists, the aspect index of each candidate; passive comes last.
        promoted: [T, n_T + 1] float32, 1 where the real utterance promotes the aspect.
        rounds: [T] int64, the dialogue rounds, from 1.
        texts: [U, n_d] float32 embeddings of the distinct candidates and utterances.
        topics: [T] lists, the row in `texts` of each candidate.
        recent: [T, 3] int64, the rows in `texts` of the last utterances, the newest first.
        replies: [T] int64, the rows in `texts` of the real utterances.
        predicted: Their predicted next utterances, for rankers with evidence.
    """

    turns: list[LabelledTurn]
    skipped: int
    dialogues: int
    tokens: list[TurnTokens]
    states: Tensor
    aspects: list[list[int]]
    promoted: Tensor
    rounds: Tensor
    texts: Tensor
    topics: list[list[int]]
    recent: Tensor
    replies: Tensor
    predicted: NextUtterancePrediction | None = None

    def __len__(self) -> int:
        return len(self.turns)

    def lengths(self) -> list[int]:
        """Return the number of tokens of each turn in the packed form, [T]."""
        return [len(t.history) + sum(len(c) + 2 for c in t.candidates) for t in self.tokens]

    def of(self, rows: Sequence[int]) -> Examples:
        """Return some of the turns."""
        keep = list(rows)
        return replace(
            self,
            turns=[self.turns[row] for row in keep],
            tokens=[self.tokens[row] for row in keep],
            states=self.states[keep],
            aspects=[self.aspects[row] for row in keep],
            promoted=self.promoted[keep],
            rounds=self.rounds[keep],
            topics=[self.topics[row] for row in keep],
            recent=self.recent[keep],
            replies=self.replies[keep],
            predicted=self.predicted and self.predicted.of(keep),
        )

    def fit(self, model: NextUtteranceModel) -> None:
        """Fit the prediction of the next utterance to these turns."""
        model.fit(*self._fitted_to)

    def with_cross_fit(self, model: NextUtteranceModel) -> Examples:
        """Return the turns, each with a prediction by a fit to others of these conversations."""
        groups = np.array([turn.dialogue for turn in self.turns], np.int64)
        return replace(self, predicted=model.cross_fit(groups, *self._fitted_to))

    def with_prediction(self, model: NextUtteranceModel) -> Examples:
        """Return the turns with predictions by a model fitted to other turns."""
        return replace(self, predicted=model(self.texts[self.recent], self.rounds))

    @property
    def _fitted_to(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.texts[self.recent], self.rounds, self.promoted, self.texts[self.replies]


class TurnBatch(NamedTuple):
    """The targets of B turns with at most C candidates.

    Attributes:
        states: [B, n_T, n_d].
        aspects: [B, C] int64; 0 where padded.
        labels: [B, C] float32, n for the best; 0 where padded.
        hits: [B, C] bool.
        similarity: [B, C] float32.
        promoted: [B, n_T + 1] float32.
        vectors: Embeddings for the evidence; None without predictions.
        mask: [B, C] bool, False where padded.
    """

    states: Tensor
    aspects: Tensor
    labels: Tensor
    hits: Tensor
    similarity: Tensor
    promoted: Tensor
    vectors: TurnVectors | None
    mask: Tensor


def make_examples(
    dialogues: Sequence[AnnotatedDialogue],
    task: TaskSpec,
    encode: Encode,
    tokenizer: TurnTokenizer,
) -> Examples:
    """Label, embed and tokenise the turns of a split.

    Raises:
        DataError: The task lacks a candidate's aspect, or no turn can be labelled.
    """
    aspects = (*task.aspect_names, PASSIVE)
    labelling = label_turns(dialogues, task, encode)
    turns = labelling.turns
    if not turns:
        raise DataError(
            f"none of the {labelling.skipped} annotated turns has candidates and a strategy that "
            f"the task {task.name!r} knows: check the task, or label the utterances"
        )
    histories = [dialogues[turn.dialogue].history(turn.turn.index) for turn in turns]
    topics = [[candidate.topic for candidate in turn.turn.candidates] for turn in turns]
    recent = [recent_texts(history) for history in histories]
    replies = [dialogues[turn.dialogue].utterances[turn.turn.index].text for turn in turns]
    texts = Embeddings([*chain(*topics), *chain(*recent), *replies], encode)
    return Examples(
        turns=turns,
        skipped=labelling.skipped,
        dialogues=len(dialogues),
        tokens=[tokenizer.turn(*pair) for pair in zip(histories, topics, strict=True)],
        states=_states(turns, task, encode),
        aspects=[[aspects.index(c.aspect) for c in turn.turn.candidates] for turn in turns],
        promoted=torch.tensor([[float(a in turn.promoted) for a in aspects] for turn in turns]),
        rounds=torch.tensor([turn.round for turn in turns]),
        texts=torch.from_numpy(texts.matrix),
        topics=[texts.rows(row) for row in topics],
        recent=torch.tensor([texts.rows(row) for row in recent]),
        replies=torch.tensor(texts.rows(replies)),
    )


def _states(turns: Sequence[LabelledTurn], task: TaskSpec, encode: Encode) -> Tensor:
    """Return state embeddings [T, n_T, n_d]."""
    rows = [[turn.turn.states.get(name, "") for name in task.aspect_names] for turn in turns]
    flat = [text for row in rows for text in row]
    embedded = Embeddings(flat, encode)(flat)  # [T * n_T, n_d]
    return torch.from_numpy(embedded.reshape(len(turns), len(task.aspect_names), -1).copy())


def collate(examples: Examples, rows: Sequence[int]) -> TurnBatch:
    """Collect the turns at `rows` into a batch, padded to the longest candidate list."""
    turns = [examples.turns[row] for row in rows]
    width = max(len(turn.labels) for turn in turns)

    def padded(arrays: Sequence[npt.ArrayLike]) -> Tensor:
        out = np.zeros((len(arrays), width), np.float32)
        for row, values in enumerate(map(np.asarray, arrays)):
            out[row, : len(values)] = values
        return torch.from_numpy(out)

    counts = torch.tensor([len(turn.labels) for turn in turns])
    mask = torch.arange(width)[None, :] < counts[:, None]
    places = padded([examples.topics[row] for row in rows]).long()
    return TurnBatch(
        states=examples.states[list(rows)],
        aspects=padded([examples.aspects[row] for row in rows]).long(),
        labels=padded([turn.labels for turn in turns]),
        hits=padded([turn.hits for turn in turns]).bool(),
        similarity=padded([turn.similarity for turn in turns]),
        promoted=examples.promoted[list(rows)],
        vectors=examples.predicted
        and TurnVectors(
            examples.texts[places] * mask[:, :, None],
            examples.texts[examples.recent[list(rows)]],
            examples.rounds[list(rows)],
            examples.predicted.of(rows),
        ),
        mask=mask,
    )


def plan_batches(
    lengths: Sequence[int], size: int, generator: np.random.Generator, *, spread: int = 32
) -> list[list[int]]:
    """Plan an epoch's batches: random, but of turns of similar length, for little padding.

    Turns are shuffled, sorted by length within stretches of `spread` batches and cut into batches;
    the batches are shuffled again.

    Args:
        lengths: [T] tokens of each turn.
        size: Turns per batch.
        generator: Source of the order; the same state gives the same batches.
        spread: Batches per stretch.
    """
    order = generator.permutation(len(lengths)).tolist()
    batches = []
    for start in range(0, len(order), size * spread):
        stretch = sorted(order[start : start + size * spread], key=lambda row: lengths[row])
        batches += [stretch[i : i + size] for i in range(0, len(stretch), size)]
    return [batches[i] for i in generator.permutation(len(batches))]
