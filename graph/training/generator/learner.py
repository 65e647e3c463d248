"""The loss of packed conversations, and of pairs of source and reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from langgraph_cooper.graph.training.generator.adapters import Adapters
from langgraph_cooper.graph.training.generator.attention import attend_in_single_precision
from langgraph_cooper.graph.training.generator.packing import Branch, Pack, alike

IGNORED = -100


class CausalLearner(nn.Module):
    """A causal base with the loss of a packed conversation.

    The trunk runs once; its keys and values are what the branches attend to, each the part before
    its turn. Logits are computed only where a reply's token follows.

    Args:
        model: A transformers causal language model.
        adapters: Its adapters; None: it has none.
    """

    def __init__(self, model: Any, adapters: Adapters | None = None) -> None:
        super().__init__()
        self.model = model
        self._adapters = adapters
        attend_in_single_precision(model)

    def forward(self, packs: Sequence[Pack]) -> dict[str, Tensor]:
        """Return the mean loss of the replies' tokens, and their number."""
        _merge(self._adapters)
        losses = [loss for pack in packs for loss in self.losses(pack)]
        joined = torch.cat(losses)
        return {"loss": joined.mean(), "count": torch.tensor(len(joined))}

    def losses(self, pack: Pack) -> list[Tensor]:
        """Return the loss of each reply token, by group of branches."""
        body = self.model.model
        layers = None
        if pack.trunk:
            given = torch.tensor([pack.trunk], device=self._device)
            cache = body(input_ids=given, use_cache=True).cache
            layers = [(layer.keys, layer.values) for layer in cache.layers]
        return [self._branches(group, layers, len(pack.trunk)) for group in alike(pack.branches)]

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


class Seq2SeqLearner(nn.Module):
    """A seq2seq base with the loss of its replies, one source for each.

    Args:
        model: A transformers seq2seq language model.
        adapters: Its adapters; None: it has none.
    """

    def __init__(self, model: Any, adapters: Adapters | None = None) -> None:
        super().__init__()
        self.model = model
        self._adapters = adapters

    def forward(self, packs: Sequence[Pack]) -> dict[str, Tensor]:
        """Return the mean loss of the replies' tokens, and their number."""
        _merge(self._adapters)
        branches = [(pack, branch) for pack in packs for branch in pack.branches]
        sources = [
            [*pack.begins, *b.guidance, *pack.trunk[: b.sees], *pack.ends] for pack, b in branches
        ]
        ids = _padded(sources, 0)
        mask = _padded([[1] * len(source) for source in sources], 0)
        labels = _padded([branch.reply for _, branch in branches], IGNORED)
        found = self.model(input_ids=ids, attention_mask=mask, labels=labels)
        return {"loss": found.loss, "count": (labels != IGNORED).sum()}


def _padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])


def _merge(adapters: Adapters | None) -> None:
    if adapters:
        half = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
        adapters.merge(torch.bfloat16 if half else torch.float32)
