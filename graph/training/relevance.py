"""Trains the model of relevance: the reply that followed against replies that did not."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional

from langgraph_cooper.nodes.finetuned.relevance import (
    CONFIG,
    HEARD,
    MEASURES,
    WEIGHTS,
    Embed,
    Floats,
    Heard,
    RelevanceConfig,
    measures,
)
from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue
from langgraph_cooper.ranker.model.encoder import encoder_sha256

WIDTH, HIDDEN = 96, 32
OTHERS, OWN, GENERIC = 8, 4, 3
"""Replies of other conversations, of other turns of the same one, and generic ones: one of these
kinds each among 16 candidates, with the reply that followed."""
BATCH = 64
GENERIC_REPLIES = 200
SMOOTHING = 0.05


class Pool(NamedTuple):
    """A turn's candidates: the first is the reply that followed.

    Attributes:
        heard: `[3, n_d]` embeddings of the last utterances.
        replies: `[N, n_d]` embeddings.
        measured: `[N, len(MEASURES)]` features.
    """

    heard: Floats
    replies: Floats
    measured: Floats


class PoolMaker:
    """Draws candidates for the turns of dialogues.

    Args:
        dialogues: Where other replies come from.
        embed: The sentence encoder, behind a cache.
        seed: Of the draws.
    """

    def __init__(self, dialogues: Sequence[Dialogue], embed: Embed, seed: int = 0) -> None:
        self._embed = embed
        self._rng = random.Random(seed)
        self._own = {each.id: [each.utterances[i].text for i in each.system_turns]
                     for each in dialogues}  # fmt: skip
        self._all = [reply for replies in self._own.values() for reply in replies]
        self._distinct = set(self._all)
        if len(self._own) < 2:
            raise DataError("a model of relevance learns from two conversations at least")
        self._generic = generic_replies(self._all, embed)

    def pools(
        self,
        dialogues: Iterable[Dialogue],
        *,
        others: int = OTHERS,
        own: int = OWN,
        generic: int = GENERIC,
    ) -> list[Pool]:
        """Return a pool for every system turn that answers something."""
        found = []
        for dialogue in dialogues:
            for turn in dialogue.system_turns:
                if turn:
                    replies = self.draw(dialogue, turn, others=others, own=own, generic=generic)
                    found.append(self._pool(dialogue, turn, replies))
        return found

    def draw(
        self, dialogue: Dialogue, turn: int, *, others: int, own: int, generic: int
    ) -> list[str]:
        """Return the reply of a turn and others, without repetition of it.

        Raises:
            DataError: No other conversation has another reply.
        """
        true = dialogue.utterances[turn].text
        mine = [text for text in self._own.get(dialogue.id, []) if text != true]
        drawn = self._rng.sample(mine, min(own, len(mine)))
        drawn += self._draw_generic(true, generic)
        wanted = others + own + generic
        known = {true, *mine}
        if len(drawn) < wanted and self._distinct <= known:
            raise DataError(
                f"the dialogue {dialogue.id!r} has every reply of the others too: a model of "
                "relevance learns from replies that differ"
            )
        while len(drawn) < wanted:
            other = self._rng.choice(self._all)
            if other not in known:
                drawn.append(other)
        return [true, *drawn]

    def _draw_generic(self, true: str, count: int) -> list[str]:
        """Return generic replies; the true one, if drawn, gives way to the commonest other one."""
        drawn = self._rng.sample(self._generic, min(count, len(self._generic)))
        if true not in drawn:
            return drawn
        unused = [text for text in self._generic if text not in drawn]
        return [text for text in drawn if text != true] + unused[:1]

    def _pool(self, dialogue: Dialogue, turn: int, replies: Sequence[str]) -> Pool:
        heard = Heard(dialogue.history(turn), self._embed)
        vectors = self._embed(replies)
        return Pool(heard.vectors, vectors, measures(heard, replies, vectors))


def generic_replies(replies: Sequence[str], embed: Embed) -> list[str]:
    """Return replies that fit anywhere: the most frequent and those nearest to the mean."""
    frequent = [text for text, count in Counter(replies).most_common(100) if count > 1]
    distinct = sorted(set(replies))
    vectors = embed(distinct)
    nearest = np.argsort(-(vectors @ vectors.mean(0)))[: GENERIC_REPLIES - len(frequent)]
    return list(dict.fromkeys([*frequent, *(distinct[i] for i in nearest)]))


class RelevanceHead(nn.Module):
    """The trainable form of `RelevanceModel`, whose formula it shares.

    Args:
        dimension: Of the embeddings.
        mean: [len(MEASURES)] of the features.
        scale: [len(MEASURES)] their standard deviations.
    """

    def __init__(self, dimension: int, mean: Floats, scale: Floats) -> None:
        super().__init__()
        self.heard = nn.Parameter(torch.randn(HEARD * dimension, WIDTH) / 8)
        self.reply = nn.Parameter(torch.randn(dimension, WIDTH) / 8)
        self.mean, self.scale = nn.Buffer(torch.tensor(mean)), nn.Buffer(torch.tensor(scale))
        self.hidden = nn.Parameter(torch.randn(WIDTH + len(MEASURES), HIDDEN) / 10)
        self.hidden_bias = nn.Parameter(torch.zeros(HIDDEN))
        self.out = nn.Parameter(torch.cat([torch.randn(HIDDEN) / 10, torch.ones(1)]))
        self.out_bias = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(0.3)

    def forward(self, heard: Tensor, replies: Tensor, measured: Tensor) -> Tensor:
        """Return [B, N] scores for `heard` [B, 3, n_d], `replies` [B, N, n_d], `measured`."""
        left = self.dropout(heard.flatten(1) @ self.heard)[:, None]
        both = left * (replies @ self.reply)
        dense = (measured - self.mean) / self.scale
        hidden = torch.cat([both, dense], -1) @ self.hidden + self.hidden_bias
        last = torch.cat([self.dropout(hidden.relu()), both.sum(-1, keepdim=True)], -1)
        scores: Tensor = last @ self.out + self.out_bias
        return scores


def train_relevance(
    pools: Sequence[Pool],
    valid: Sequence[Pool],
    *,
    epochs: int = 12,
    rate: float = 2e-3,
    seed: int = 1,
) -> dict[str, Floats]:
    """Train on pools of equal size; keep the epoch that is best on `valid`.

    Args:
        pools: To learn from.
        valid: From conversations that nothing is learnt from.
        epochs: Most passes.
        rate: Largest learning rate.
        seed: Of everything random.

    Returns:
        The weights of a `RelevanceModel`.
    """
    torch.manual_seed(seed)
    heard, replies, measured = (torch.tensor(np.stack(part)) for part in zip(*pools, strict=True))
    flat = measured.flatten(0, 1)
    head = RelevanceHead(replies.shape[-1], flat.mean(0).numpy(), (flat.std(0) + 1e-3).numpy())
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.05)
    steps = epochs * (len(pools) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    target = torch.zeros(BATCH, dtype=torch.long)
    best, kept = -1.0, {name: value.clone() for name, value in head.state_dict().items()}
    for _ in range(epochs):
        head.train()
        for rows in torch.randperm(len(pools)).split(BATCH):  # type: ignore[no-untyped-call]
            scores = head(heard[rows], replies[rows], measured[rows])
            loss = functional.cross_entropy(scores, target[: len(rows)], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        head.eval()
        found = rank_first(scores_of(head, valid))
        if found > best:
            best, kept = found, {name: value.clone() for name, value in head.state_dict().items()}
    return {name: value.numpy() for name, value in kept.items()}


def scores_of(head: nn.Module, pools: Sequence[Pool]) -> list[Floats]:
    """Return the scores of each pool's candidates."""
    with torch.inference_mode():
        return [head(*(torch.tensor(part)[None] for part in pool))[0].numpy() for pool in pools]


def rank_first(scores: Sequence[Floats]) -> float:
    """Return the share of pools whose true reply has the highest score."""
    return float(np.mean([each[0] > each[1:].max() for each in scores]))


class Figures(NamedTuple):
    """How well a score finds the reply that followed.

    Attributes:
        auc: Share of pairs (true reply, other reply of its pool) in the right order.
        first: Share of pools whose true reply comes first.
        rank: Mean rank of the true reply.
    """

    auc: float
    first: float
    rank: float


def figures(scores: Sequence[Floats]) -> Figures:
    """Measure scores of pools whose first candidate is the true reply; a tie counts half."""
    below = [((each[1:] < each[0]) + 0.5 * (each[1:] == each[0])) for each in scores]
    return Figures(
        float(np.concatenate(below).mean()),
        rank_first(scores),
        float(np.mean([1 + len(each) - each.sum() for each in below])),
    )


def write_relevance(weights: dict[str, Floats], folder: Path, task: str, encoder: str) -> None:
    """Write a trained model, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(value, np.float16) for name, value in weights.items()},
        folder / WEIGHTS,
    )
    config = RelevanceConfig(
        task=task,
        encoder=encoder,
        encoder_sha256=encoder_sha256(encoder),
        weights_sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
    )
    (folder / CONFIG).write_text(json.dumps(config.model_dump(), indent=2) + "\n", encoding="utf-8")
