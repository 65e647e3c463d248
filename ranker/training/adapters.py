"""Adding adapters to a Transformer, for training only (extra `train`)."""

from __future__ import annotations

from torch import nn

from langgraph_cooper.ranker.model.config import AdapterConfig
from langgraph_cooper.ranker.model.lora import adapted_layers


def add_adapters(transformer: nn.Module, config: AdapterConfig) -> None:
    """Freeze a Transformer and add an adapter to each layer that the configuration selects.

    Pass the Transformer alone: peft freezes the whole module that it is given. B starts at zero, so
    that an untrained adapter changes nothing.

    Raises:
        ValueError: No layer has such a name.
    """
    from peft import LoraConfig, inject_adapter_in_model

    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=list(adapted_layers(transformer, config)),
    )
    inject_adapter_in_model(lora, transformer)
