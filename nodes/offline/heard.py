"""Stored embeddings of the answers' examples, so that a start does not wait for them.

Those of the shipped tasks lie beside this module: `make answers` makes them anew after a change.
Those of other tasks are kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from langgraph_cooper.nodes.cache import cache_folder
from langgraph_cooper.prompts import TaskSpec, list_tasks, load_task

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

SHIPPED = Path(__file__).parent / "vectors"
SLOW = 1.0  # seconds; what took longer is kept


def examples(task: TaskSpec) -> list[str]:
    """Return the messages that a task's answers are for, in their order."""
    return [text for answer in task.answers for text in answer.heard]


def vectors_of(task: TaskSpec, embed: Embed) -> NDArray[np.float32]:
    """Return [H, n_d] the embeddings of a task's examples, stored ones where there are any."""
    heard = examples(task)
    if (shipped := stored_vectors(task.name, heard, embed)) is not None:
        return shipped
    name, kept = f"{task.name}-{_digest(heard)[:16]}", cache_folder("heard")
    if (found := stored_vectors(name, heard, embed, kept)) is not None:
        return found
    began = time.monotonic()
    vectors = embed(heard)
    if time.monotonic() - began > SLOW:
        with suppress(OSError, SafetensorError):  # a full disk: the next start waits again
            _store(name, heard, vectors, kept)
    return vectors


def stored_vectors(
    name: str, heard: Sequence[str], embed: Embed, folder: Path = SHIPPED
) -> NDArray[np.float32] | None:
    """Return the stored embeddings of a task's examples.

    Args:
        name: The task.
        heard: Its examples.
        embed: The encoder, which must give what was stored for the first example.
        folder: Where the stored ones lie.

    Returns:
        [H, n_d]; None if none are stored for just these examples and this encoder.
    """
    try:
        with safe_open(_file(name, folder), "np") as opened:
            if (opened.metadata() or {}).get("examples") != _digest(heard):
                return None
            vectors: NDArray[np.float32] = opened.get_tensor("vectors").astype(np.float32)
    except (OSError, SafetensorError):
        return None
    probe = embed(heard[:1])
    same = probe.shape[1] == vectors.shape[1] and np.allclose(probe[0], vectors[0], atol=0.01)
    return vectors if same and len(vectors) == len(heard) else None


def store_vectors(task: TaskSpec, embed: Embed, folder: Path = SHIPPED) -> None:
    """Store the embeddings of a task's examples, in half precision."""
    heard = examples(task)
    _store(task.name, heard, embed(heard), folder)


def _store(name: str, heard: Sequence[str], vectors: NDArray[np.float32], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        whole = _file(name, Path(unfinished))
        save_file(
            {"vectors": vectors.astype(np.float16)}, whole, metadata={"examples": _digest(heard)}
        )
        whole.replace(_file(name, folder))


def _file(name: str, folder: Path) -> Path:
    return folder / f"{name}.safetensors"


def _digest(heard: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(heard)).encode()).hexdigest()


def store_shipped() -> None:
    """Store the embeddings of all shipped tasks."""
    from langgraph_cooper.ranker.model.encoder import load_encoder

    for task in map(load_task, list_tasks()):
        store_vectors(task, load_encoder().encode)
        told = f"{task.name}: {len(examples(task)):,} examples of {len(task.answers)} answers"
        print(told)  # noqa: T201
