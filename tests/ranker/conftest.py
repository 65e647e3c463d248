"""A tiny random Transformer and encoder, so that most tests need no real weights."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from langgraph_cooper.ranker.model.ranker import CooperRanker
from tests.ranker.tiny import HIDDEN, random_ranker, ranker_config, save_tiny


@pytest.fixture(autouse=True)
def _torch_seed() -> None:
    """Torch's generator starts anew in every test, as pytest-randomly starts the others."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random two-layer Bert with dropout off and weights large enough to matter."""
    return save_tiny("bert", tmp_path_factory.mktemp("tiny-transformer"))


@pytest.fixture(scope="session")
def tiny_encoder(tiny_transformer: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a sentence-transformers model around the tiny Transformer, n_d = 32."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    folder = tmp_path_factory.mktemp("tiny-encoder")
    word = Transformer(tiny_transformer, max_seq_length=64)
    modules = [word, Pooling(HIDDEN), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return str(folder)


@pytest.fixture
def ranker(tiny_transformer: str) -> CooperRanker:
    """A random packed ranker with the aspect fusion."""
    return random_ranker(ranker_config(tiny_transformer))


@pytest.fixture
def states() -> torch.Tensor:
    """One turn's random state embeddings `[1, 3, 32]`."""
    return normalize(torch.randn(1, 3, HIDDEN, generator=torch.Generator().manual_seed(5)), dim=-1)
