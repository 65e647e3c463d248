"""Which ranker a graph gets: a named checkpoint, the task's shipped one, or the untrained one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.model.checkpoint import (
    check_aspects,
    check_encoder,
    checkpoint_folder,
    read_config,
)
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER, Form
from langgraph_cooper.ranker.model.encoder import load_encoder

if TYPE_CHECKING:
    from langgraph_cooper.ranker.api import Precision, Ranker
    from langgraph_cooper.ranker.trained import TrainedRanker

SHIPPED = Path(__file__).parent / "checkpoints"


def shipped_checkpoint(task: TaskSpec) -> Path | None:
    """The folder of the checkpoint that comes with the package for this very task, if one does."""
    folder = SHIPPED / task.name
    if not (folder / "config.json").is_file():
        return None
    from langgraph_cooper.ranker.model.checkpoint import read_config

    # A user's own task may bear the name of a shipped one and divide its goal otherwise.
    return folder if read_config(folder).aspects == task.aspect_names else None


def shipped_ablation(task: TaskSpec) -> Path | None:
    """The checkpoint without progression that comes with the package, to compare with."""
    folder = SHIPPED / f"{task.name}-without-progression"
    return folder if shipped_checkpoint(task) and folder.is_dir() else None


def ranker_loader(
    task: TaskSpec, checkpoint: str | Path | None = None, encoder: str | None = None
) -> Callable[[], Ranker]:
    """Chooses the ranker now, checks what can be checked without torch, and loads it when called.

    Args:
        task: The task.
        checkpoint: A checkpoint's folder or hub name; None: the shipped one, else the untrained.
        encoder: The sentence encoder of the states; None: the checkpoint's own.

    Raises:
        CheckpointError: The checkpoint is missing, malformed, or made for other aspects.
    """
    folder = checkpoint or shipped_checkpoint(task)
    if folder is None:
        return untrained_ranker(task, encoder or DEFAULT_ENCODER)
    from langgraph_cooper.ranker.model.checkpoint import (
        check_aspects,
        checkpoint_folder,
        read_config,
    )

    check_aspects(read_config(folder), task.aspect_names, checkpoint_folder(folder))
    return lambda: _trained(folder, task, encoder)


def _trained(folder: str | Path, task: TaskSpec, encoder: str | None) -> Ranker:
    return load_ranker(folder, aspects=task.aspect_names, encoder=encoder)


def untrained_ranker(task: TaskSpec, encoder: str = DEFAULT_ENCODER) -> Callable[[], Ranker]:
    """Gives, when called, the ranker that works from the task's description alone."""

    def load() -> Ranker:
        from langgraph_cooper.ranker.model.encoder import load_encoder
        from langgraph_cooper.ranker.untrained import UntrainedRanker

        return UntrainedRanker(task, load_encoder(encoder))

    return load


_rankers: dict[tuple[str, str, Precision, Form | None], TrainedRanker] = {}


_rankers_lock = RLock()


def load_ranker(
    folder: str | Path,
    *,
    aspects: Sequence[str] | None = None,
    encoder: str | None = None,
    precision: Precision = "auto",
    form: Form | None = None,
) -> TrainedRanker:
    """The process's one ranker of that checkpoint; safe to call from several threads at once.

    Args:
        folder: a checkpoint folder or hub name.
        aspects: the aspects of the task it shall rank, in order; not checked if omitted.
        encoder: where to load the sentence encoder from, if not by the name in the checkpoint.
        precision: see `TrainedRanker`.
        form: see `TrainedRanker`.

    Raises:
        CheckpointError: if the checkpoint is missing, damaged, or of other aspects or encoder.
        EncoderError: if the encoder cannot be loaded.
    """
    with _rankers_lock:
        path = checkpoint_folder(folder).resolve()
        config = read_config(path)
        if aspects is not None:
            check_aspects(config, aspects, path)
        name = encoder or config.encoder
        key = (str(path), name, precision, form)
        if key not in _rankers:
            # Only now torch and the model classes, after the cheap checks.
            from langgraph_cooper.ranker.model.ranker import CooperRanker
            from langgraph_cooper.ranker.trained import TrainedRanker

            loaded = load_encoder(name)
            check_encoder(config, loaded, path)
            model = CooperRanker.from_pretrained(path)
            _rankers[key] = TrainedRanker(model, loaded, precision=precision, form=form)
        return _rankers[key]
