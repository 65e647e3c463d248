"""Tiny rankers and the words they are tested with."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize

from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.config import RankerConfig
from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.next_utterance import NextUtterancePrediction
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.transformer import load_transformer
from langgraph_cooper.ranker.training.adapters import add_adapters

HIDDEN = 32
ASPECTS = ("exploration", "comforting", "action")
HISTORY = (
    Utterance("user", "i lost my job and i feel awful"),
    Utterance("system", "that sounds very hard"),
    Utterance("user", "yes, my boss told me by mail"),
)
TOPICS = (
    "ask how long ago it was",
    "say that the anger is natural",
    "suggest a walk",
    "wish them a good day",
    "ask who else knows of it",
)


def vocabulary() -> list[str]:
    """Word pieces: every letter, and the words of the topics."""
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    words = sorted({word for topic in TOPICS for word in topic.split()} | {"user", "system"})
    return [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{c}" for c in letters),
    ] + [word for word in words if len(word) > 1]


def ranker_config(transformer: str, encoder: str = "none", **changes: Any) -> RankerConfig:
    """A configuration for the tiny Transformer, with three aspects of 4, 3 and 2 targets."""
    texts = tuple(tuple(f"{aspect} {j}" for j in range(4 - i)) for i, aspect in enumerate(ASPECTS))
    values: dict[str, Any] = {
        "task": "esc",
        "aspects": ASPECTS,
        "encoder": encoder,
        "dimension": HIDDEN,
        "transformer": transformer,
        "history_tokens": 40,
        "topic_tokens": 12,
        "adapter": {"rank": 4, "alpha": 8},
        "targets": (4, 3, 2),
        "target_texts": texts,
        "calibration": ((0.1, 0.9), (0.2, 0.7), (0.0, 1.0)),
    }
    if changes.get("fusion") != "paper":
        values |= {"rounds": 3, "evidence": True}
    return RankerConfig.model_validate(values | changes)


def turn_vectors(count: int = len(TOPICS)) -> TurnVectors:
    """Embeddings of one turn: `count` candidates, and two utterances so far."""
    generator = torch.Generator().manual_seed(5)
    recent = normalize(torch.randn(1, 3, HIDDEN, generator=generator), dim=-1)
    recent[:, 2] = 0.0
    topics = normalize(torch.randn(1, len(TOPICS), HIDDEN, generator=generator), dim=-1)
    predicted = NextUtterancePrediction(torch.tensor([[0.5, 0.2, 0.9, 0.1]]), 0.4 * recent[:, 1])
    return TurnVectors(topics[:, :count], recent, torch.tensor([2]), predicted)


def fresh_ranker(config: RankerConfig, *parts: Any) -> CooperRanker:
    """A ranker as training starts from it, with adapters where the configuration has some."""
    model = CooperRanker(config, *parts)
    if config.adapter is not None:
        add_adapters(model.transformer, config.adapter)
    return model


def random_ranker(config: RankerConfig, seed: int = 3) -> CooperRanker:
    """A ranker in which every parameter is random, adapters and biases included, and what is
    fitted rather than learnt."""
    generator = torch.Generator().manual_seed(seed)
    targets = [
        normalize(torch.randn(k, config.dimension, generator=generator)) for k in config.targets
    ]
    with torch.random.fork_rng():  # layers draw their first weights from torch's own generator
        torch.manual_seed(7)
        model = fresh_ranker(config, load_transformer(config.transformer), targets, generator)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                scale = 0.3 if name.startswith("transformer.") else 0.5
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)
        if model.evidence is not None:
            for name, buffer in model.evidence.named_buffers():
                noise = torch.randn(buffer.shape, generator=generator)
                buffer.copy_(0.5 + noise.abs() if name == "deviation" else 0.2 * noise)
    return model.eval()


def tiny_config(kind: str, layers: int = 2) -> Any:
    """Random layers with dropout off and weights large enough to matter."""
    from transformers import AutoConfig

    return AutoConfig.for_model(
        kind,
        vocab_size=len(vocabulary()),
        hidden_size=HIDDEN,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.3,
        pad_token_id=0,
    )


def save_tiny(kind: str, folder: Path, layers: int = 2) -> str:
    """Saves such a Transformer with its tokenizer; gives the folder."""
    from transformers import AutoModel, BertTokenizer

    words = {token: index for index, token in enumerate(vocabulary())}
    BertTokenizer(vocab=words, do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(7)
    AutoModel.from_config(tiny_config(kind, layers)).save_pretrained(folder)
    return str(folder)
