"""The loss of packed conversations, and of pairs of source and reply."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from langgraph_cooper.graph.training.generator.adapters import Adapters
from langgraph_cooper.graph.training.generator.attention import attend_in_single_precision
from langgraph_cooper.graph.training.generator.packing import Branch, Pack, alike

IGNORED = -100


class Learner(nn.Module):
    """A base with the loss of packed conversations.

    Args:
        model: A transformers language model.
        adapters: Its adapters; None: it has none.
    """

    def __init__(self, model: Any, adapters: Adapters | None = None) -> None:
        super().__init__()
        self.model = model
        self._adapters = adapters

    def forward(self, packs: Sequence[Pack]) -> dict[str, Tensor]:
        """Return the mean loss of the replies' tokens, and their number."""
        if self._adapters:
            half = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
            self._adapters.merge(torch.bfloat16 if half else torch.float32)
        joined = torch.cat([loss for pack in packs for loss in self.losses(pack)])
        return {"loss": joined.mean(), "count": torch.tensor(len(joined))}

    @abstractmethod
    def losses(self, pack: Pack) -> list[Tensor]:
        """Return the loss of each token of a reply, in nats, branch by branch in their order."""


class CausalLearner(Learner):
    """A causal base.

    The trunk runs once; its keys and values are what the branches attend to, each the part before
    its turn. Logits are computed only where a reply's token follows.

    Args:
        model: A transformers causal language model.
        adapters: Its adapters; None: it has none.
    """

    def __init__(self, model: Any, adapters: Adapters | None = None) -> None:
        super().__init__(model, adapters)
        attend_in_single_precision(model)

    def losses(self, pack: Pack) -> list[Tensor]:
        """Return the loss of each token of a reply, in nats, branch by branch in their order."""
        body = self.model.model
        layers = None
        if pack.trunk:
            given = torch.tensor([pack.trunk], device=self._device)
            cache = body(input_ids=given, use_cache=True).cache
            layers = [(layer.keys, layer.values) for layer in cache.layers]
        found: dict[int, Tensor] = {}
        for group in alike(pack.branches):
            joined = self._branches(group, layers, len(pack.trunk))
            parts = torch.split(joined, [len(branch.reply) for branch in group])
            found |= {id(branch): part for branch, part in zip(group, parts, strict=True)}
        return [found[id(branch)] for branch in pack.branches]

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self.model.parameters()).device
        return device

    def _branches(
        self, group: Sequence[Branch], layers: list[tuple[Tensor, Tensor]] | None, trunk: int
    ) -> Tensor:
        from transformers import DynamicCache

        size, width = len(group), max(len(b.guidance) + len(b.reply) for b in group)
        ids = torch.zeros(size, width, dtype=torch.long)  # [B, W]
        targets = torch.full((size, width), IGNORED)  # [B, W]: the token that follows
        for row, branch in enumerate(group):
            line = torch.tensor(branch.guidance + branch.reply)
            ids[row, : len(line)] = line
            first = len(branch.guidance) - 1
            targets[row, first : len(line) - 1] = line[first + 1 :]
        sees = torch.tensor([branch.sees for branch in group])
        past = torch.arange(trunk)[None, :] < sees[:, None]  # [B, T]
        own = torch.ones(width, width, dtype=torch.bool).tril()  # [W, W]
        seen = torch.cat(
            [past[:, None, :].expand(-1, width, -1), own.expand(size, -1, -1)], dim=-1
        )  # [B, W, T + W]
        positions = sees[:, None] + torch.arange(width)[None, :]
        cache = DynamicCache()
        for number, (keys, values) in enumerate(layers or []):
            cache.update(keys.expand(size, -1, -1, -1), values.expand(size, -1, -1, -1), number)
        device = self._device
        mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.bfloat16).min)
        hidden = self.model.model(
            input_ids=ids.to(device),
            attention_mask=mask[:, None].to(device),
            position_ids=positions.to(device),
            cache=cache,
            use_cache=True,
        ).last_hidden_state  # [B, W, hidden]
        kept = (targets != IGNORED).to(device)
        logits = self.model.lm_head(hidden[kept])  # [reply tokens, vocabulary]
        return functional.cross_entropy(logits.float(), targets.to(device)[kept], reduction="none")


class Seq2SeqLearner(Learner):
    """A seq2seq base, with one source for each reply."""

    def losses(self, pack: Pack) -> list[Tensor]:
        """Return the loss of each token of a reply, in nats, branch by branch in their order."""
        sources = [
            [*pack.begins, *b.guidance, *pack.trunk[: b.sees], *pack.ends] for b in pack.branches
        ]
        ids = _padded(sources, 0)
        mask = _padded([[1] * len(source) for source in sources], 0)
        labels = _padded([branch.reply for branch in pack.branches], IGNORED)  # [B, R]
        logits = self.model(input_ids=ids, attention_mask=mask, labels=labels).logits
        losses = functional.cross_entropy(logits.mT.float(), labels, reduction="none")  # [B, R]
        return [losses[row, : len(b.reply)] for row, b in enumerate(pack.branches)]


def _padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])
