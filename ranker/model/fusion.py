"""The score's last layers, over progression signals and text (paper, "Global Coordination")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from langgraph_cooper.ranker.model.config import RankerConfig


class Fusion(nn.Module):
    """A score from a turn's signals and a candidate's [CLS] vector.

    `paper`: f = FF(p~ | b~), one linear layer over the two side by side. It adds the same w . p~
    to every candidate of a turn, so that the signals cannot change a ranking.

    `aspect`: f = FF(p~ | b~) + d[a] + <U p~, V b~> / sqrt(r), with a the candidate's aspect and
    d = G p~. By d the signals weigh the aspects, by the bilinear term the topics.

    Without signals only their terms go: `paper` is FF(b~), and `aspect` keeps a constant per
    aspect, so that the ablation does not lose the candidate's aspect as well.

    Args:
        config: Configuration of the ranker.
        hidden: Length of b~.
    """

    def __init__(self, config: RankerConfig, hidden: int) -> None:
        super().__init__()
        signal = config.dimension if config.progression else 0
        self.output = nn.Linear(signal + hidden, 1)
        self.aspects: nn.Linear | None = None
        self.signal_factor: nn.Linear | None = None
        self.text_factor: nn.Linear | None = None
        if config.fusion == "aspect":
            # Without signals only the bias counts; torch warns when it initialises empty weights.
            self.aspects = nn.Linear(max(signal, 1), len(config.aspects) + 1)
            if config.progression:
                self.signal_factor = nn.Linear(signal, config.interaction, bias=False)
                self.text_factor = nn.Linear(hidden, config.interaction, bias=False)

    def zero(self) -> None:
        """Make every initial score 0, so that training starts from the evidence."""
        for layer in (self.output, self.aspects, self.text_factor):
            if layer is not None:
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)

    def forward(self, signal: Tensor | None, text: Tensor, aspects: Tensor) -> Tensor:
        """Score B turns of C candidates.

        Args:
            signal: p~ `[B, n_d]`, or None without progression.
            text: b~ `[B, C, hidden]`.
            aspects: `[B, C]` int64.

        Returns:
            `[B, C]`.
        """
        turns, count = aspects.shape
        if signal is None:
            joined = text
        else:
            joined = torch.cat([signal[:, None].expand(turns, count, -1), text], dim=-1)
        scores: Tensor = self.output(joined).squeeze(-1)  # [B, C]
        if self.aspects is not None:
            by_aspect = self.aspects(text.new_zeros(turns, 1) if signal is None else signal)
            scores = scores + by_aspect.gather(1, aspects)
        if signal is not None and self.signal_factor is not None and self.text_factor is not None:
            left = self.signal_factor(signal)  # [B, r]
            right = self.text_factor(text)  # [B, C, r]
            scores = scores + torch.einsum("br,bcr->bc", left, right) / left.shape[-1] ** 0.5
        return scores
