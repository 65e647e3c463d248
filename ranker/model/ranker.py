"""The ranker of the Global Coordination module, with the progression modules it reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from langgraph_cooper.ranker.model.aspect_mixing import decide
from langgraph_cooper.ranker.model.config import SPECIAL_TOKENS, AdapterConfig, Form, RankerConfig
from langgraph_cooper.ranker.model.evidence import Evidence, TurnVectors
from langgraph_cooper.ranker.model.lora import add_adapters, merge_adapters
from langgraph_cooper.ranker.model.progression import ProgressionModule, ProgressionOutput
from langgraph_cooper.ranker.model.tokens import TokenBatch, TurnTokenizer, TurnTokens, build
from langgraph_cooper.ranker.model.transformer import (
    Transformer,
    load_transformer,
    transformer_from_config,
)
from langgraph_cooper.ranker.model.weights import load_checkpoint, save_checkpoint

__all__ = [
    "AdapterConfig",
    "CooperRanker",
    "RankerConfig",
    "Transformer",
    "load_transformer",
    "transformer_from_config",
]


class Fusion(nn.Module):
    """One score from a turn's signals and a candidate's [CLS] vector.

    `paper`: f = FF(p~ | b~), a single linear layer over the two side by side. Such a layer adds
    the same w . p~ to every candidate of a turn, so that the signals cannot change a ranking.

    `aspect`: f = FF(p~ | b~) + d[a] + <U p~, V b~> / sqrt(r), with a the candidate's aspect
    (passive is the last one), and d = G p~, by which the signals say which aspect is due; the
    bilinear term lets them say which topics are.

    Without signals only their terms go: `paper` is FF(b~), `aspect` keeps a constant per aspect,
    so that the ablation loses the signals and not the knowledge of a candidate's aspect.

    Args:
        config: the ranker's.
        hidden: length of b~.
    """

    def __init__(self, config: RankerConfig, hidden: int) -> None:
        super().__init__()
        signal = config.dimension if config.progression else 0
        self.output = nn.Linear(signal + hidden, 1)
        self.aspects: nn.Linear | None = None
        self.signal_factor: nn.Linear | None = None
        self.text_factor: nn.Linear | None = None
        if config.fusion == "aspect":
            # With no inputs only the bias is left; torch warns when it initialises empty weights.
            self.aspects = nn.Linear(max(signal, 1), len(config.aspects) + 1)
            if config.progression:
                self.signal_factor = nn.Linear(signal, config.interaction, bias=False)
                self.text_factor = nn.Linear(hidden, config.interaction, bias=False)

    def silence(self) -> None:
        """Lets every score begin at 0, so that training begins where the evidence stands."""
        for layer in (self.output, self.aspects, self.text_factor):
            if layer is not None:
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)

    def forward(self, signal: Tensor | None, text: Tensor, aspects: Tensor) -> Tensor:
        """Scores B turns of C candidates.

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
            due = self.aspects(text.new_zeros(turns, 1) if signal is None else signal)
            scores = scores + due.gather(1, aspects)
        if signal is not None and self.signal_factor is not None and self.text_factor is not None:
            left = self.signal_factor(signal)  # [B, r]
            right = self.text_factor(text)  # [B, C, r]
            scores = scores + torch.einsum("br,bcr->bc", left, right) / left.shape[-1] ** 0.5
        return scores


class CooperRanker(nn.Module):
    """COOPER's trainable parts: progression modules, MLP_PRG, Transformer and score.

    Args:
        config: what it is made of.
        transformer: used instead of the one that the configuration names.
        targets: per aspect `[k_i, n_d]` typical target states; zeros to be loaded into if omitted.
        generator: for the noise in the progression modules' W.
    """

    def __init__(
        self,
        config: RankerConfig,
        transformer: Transformer | None = None,
        targets: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.transformer, tokenizer = transformer or load_transformer(config.transformer)
        self.tokenizer = TurnTokenizer(
            tokenizer, history_tokens=config.history_tokens, topic_tokens=config.topic_tokens
        )
        _check_positions(config, self.transformer)
        if config.adapter is not None:
            add_adapters(self.transformer, config.adapter)
        elif config.weights == "adapters":  # none of them: heads over a frozen Transformer
            self.transformer.requires_grad_(False)
        states = targets or [torch.zeros(k, config.dimension) for k in config.targets]
        self.progressions = nn.ModuleDict(
            {
                # Module names may hold no dots and shadow no attribute, aspects' names may.
                f"aspect_{index}": ProgressionModule(vectors, texts, span, generator)
                for index, (vectors, texts, span) in enumerate(
                    zip(states, config.target_texts, config.calibration, strict=True)
                )
            }
        )
        self.mlp: nn.Sequential | None = None
        if config.progression:
            self.mlp = nn.Sequential(
                nn.Linear(2 * len(config.aspects) * config.dimension, config.dimension),
                nn.ReLU(),
                nn.Linear(config.dimension, config.dimension),
            )
        else:
            self.progressions.requires_grad_(False)
        self.fusion = Fusion(config, int(self._transformer_config("hidden_size")))
        self.evidence: Evidence | None = None
        if config.evidence:
            self.evidence = Evidence(len(config.aspects), config.rounds, config.dimension)
            self.fusion.silence()

    def progression_module(self, aspect: str) -> ProgressionModule:
        """The progression module of one aspect.

        Raises:
            ValueError: if the ranker does not know the aspect.
        """
        if aspect not in self.config.aspects:
            raise ValueError(f"aspect {aspect!r} is not one of {', '.join(self.config.aspects)}")
        module = self.progressions[f"aspect_{self.config.aspects.index(aspect)}"]
        assert isinstance(module, ProgressionModule)
        return module

    def progression(self, aspect: str, states: Tensor) -> ProgressionOutput:
        """Analyses states `[B, n_d]` of one aspect."""
        result: ProgressionOutput = self.progression_module(aspect)(states)
        return result

    def signals(self, states: Tensor) -> Tensor:
        """Progression signals of all aspects.

        Args:
            states: `[B, n_T, n_d]` state embeddings, in the order of `config.aspects`.

        Returns:
            `[B, n_T, 2, n_d]`.
        """
        modules = self.progressions.values()
        return torch.stack([m(states[:, i]).signal for i, m in enumerate(modules)], dim=1)

    def encode(self, tokens: TokenBatch) -> Tensor:
        """b~ `[B, C, hidden]`: the Transformer's output at each candidate's [CLS]."""
        arguments: dict[str, Any] = {}
        if int(self._transformer_config("type_vocab_size", 0)) > 1:
            arguments["token_type_ids"] = tokens.token_type_ids
        hidden: Tensor = self.transformer(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            position_ids=tokens.position_ids,
            **arguments,
        ).last_hidden_state  # [R, L, hidden]
        return hidden[tokens.cls_rows, tokens.cls_columns]

    def forward(
        self,
        tokens: TokenBatch,
        aspects: Tensor,
        signals: Tensor,
        vectors: TurnVectors | None = None,
    ) -> Tensor:
        """Scores the candidates of B turns.

        Args:
            tokens: from `tokens(...)`.
            aspects: `[B, C]` int64, each candidate's `config.aspect_index`; 0 where padded.
            signals: `[B, n_T, 2, n_d]` from `signals(...)`; not read without progression.
            vectors: from `evidence.vectors(...)`; only a ranker with `config.evidence` reads them.

        Returns:
            `[B, C]` float32 scores; where a turn has fewer than C candidates they mean nothing.
        """
        return self.coordinate(self.encode(tokens).float(), aspects, signals, vectors)

    def coordinate(
        self, text: Tensor, aspects: Tensor, signals: Tensor, vectors: TurnVectors | None
    ) -> Tensor:
        """The score from b~ `[B, C, hidden]`: all that comes after the Transformer."""
        prg = None if self.mlp is None else self.mlp(signals.flatten(start_dim=1))  # [B, n_d]
        scores: Tensor = self.fusion(prg, text, aspects)
        if self.evidence is not None:
            if vectors is None:
                raise ValueError("this ranker compares embeddings of the texts: pass vectors")
            scores = scores + self.evidence(vectors, aspects)
        return scores

    def decide(
        self,
        scores: Sequence[npt.NDArray[np.float64]],
        aspects: Sequence[Sequence[int]],
        due: Tensor | None,
    ) -> list[npt.NDArray[np.float64]]:
        """The final scores of B turns, in which the aspects' decision is taken in.

        Args:
            scores: per turn [n], from `forward`.
            aspects: per turn [n].
            due: `[B, n_T + 1]`, the expected aspects; not read where `config.decision` is 0.
        """
        if due is None or not self.config.decision:
            return list(scores)
        return [
            decide(found, owners, row, self.config.decision)
            for found, owners, row in zip(scores, aspects, due.double().cpu().numpy(), strict=True)
        ]

    def tokens(self, turns: Sequence[TurnTokens], form: Form | None = None) -> TokenBatch:
        """The input of tokenised turns, in the ranker's own form unless another is asked for."""
        form = form or self.config.form
        return build(turns, self.tokenizer.specials, form)

    def merge_adapters(self) -> Self:
        """Folds the adapters into the Transformer, for inference; it cannot be saved after."""
        merge_adapters(self.transformer)
        return self

    def save_pretrained(self, folder: str | Path, *, half: bool = True) -> RankerConfig:
        """Saves weights and configuration; see `weights.save_checkpoint`."""
        return save_checkpoint(self, folder, half=half)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        aspects: Sequence[str] | None = None,
        merge: bool = True,
    ) -> Self:
        """Loads a checkpoint folder or hub name; see `weights.load_checkpoint`."""
        return load_checkpoint(folder, cls, aspects=aspects, merge=merge)

    def _transformer_config(self, name: str, default: Any = None) -> Any:
        return getattr(self.transformer.config, name, default)


def _check_positions(config: RankerConfig, transformer: nn.Module) -> None:
    positions = getattr(transformer.config, "max_position_embeddings", None)
    needed = config.history_tokens + config.topic_tokens + SPECIAL_TOKENS
    if positions is not None and needed > positions:
        raise ValueError(
            f"history_tokens + topic_tokens + {SPECIAL_TOKENS} is {needed}, more than the "
            f"{positions} positions of the Transformer"
        )
