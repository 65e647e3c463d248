"""The stored embeddings of the shipped answers' examples belong to these examples and encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from langgraph_cooper.nodes.offline import heard as module
from langgraph_cooper.nodes.offline.heard import (
    examples,
    store_vectors,
    stored_vectors,
    vectors_of,
)
from langgraph_cooper.prompts import Answer, TaskSpec, list_tasks, load_task
from langgraph_cooper.ranker.model.encoder import load_encoder
from tests.support.rankers import embed

ANSWER = Answer(topic="a", strategy="Question", heard=("Hi there.", "My dog."), say=("Hm.",))
TASK: TaskSpec = load_task("esc").model_copy(update={"answers": (ANSWER,)})


@pytest.mark.parametrize("name", list_tasks())
def test_those_of_the_shipped_tasks_are_up_to_date(name: str) -> None:
    heard = examples(load_task(name))
    encode = load_encoder().encode
    stored = stored_vectors(name, heard, encode)
    assert stored is not None, "run make answers"
    picked = range(0, len(heard), len(heard) // 20)
    assert np.allclose(stored[picked], encode([heard[place] for place in picked]), atol=0.01)


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    store_vectors(TASK, embed, tmp_path)
    stored = stored_vectors("esc", examples(TASK), embed, tmp_path)
    assert stored is not None
    assert np.allclose(stored, embed(examples(TASK)), atol=0.01)


def test_other_examples_other_encoders_and_damaged_files_are_not_used(tmp_path: Path) -> None:
    store_vectors(TASK, embed, tmp_path)
    assert stored_vectors("esc", ["Hi there.", "My cat."], embed, tmp_path) is None
    assert stored_vectors("esc", examples(TASK), lambda texts: -embed(texts), tmp_path) is None
    assert stored_vectors("persuasion", examples(TASK), embed, tmp_path) is None
    (tmp_path / "esc.safetensors").write_bytes(b"damaged")
    assert stored_vectors("esc", examples(TASK), embed, tmp_path) is None


def test_what_took_long_is_kept_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOPER_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "SLOW", -1.0)
    asked: list[int] = []

    def counted(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.append(len(texts))
        return embed(texts)

    first = vectors_of(TASK, counted)
    assert asked == [2]
    assert np.allclose(vectors_of(TASK, counted), first, atol=0.01)
    assert asked == [2, 1]  # one example, to see that the encoder is the same


def test_a_cache_that_cannot_be_written_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heard").write_text("a file")
    monkeypatch.setenv("COOPER_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "SLOW", -1.0)
    assert np.array_equal(vectors_of(TASK, embed), embed(examples(TASK)))
