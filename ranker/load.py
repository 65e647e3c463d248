"""Choosing and loading a ranker: a given checkpoint, the task's shipped one, or the untrained one.

Torch is imported when a trained ranker is loaded, not with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from langgraph_cooper.prompts import PASSIVE, TaskSpec
from langgraph_cooper.ranker.api import Ranker
from langgraph_cooper.ranker.model.calibration import load_calibration
from langgraph_cooper.ranker.model.checkpoint import CONFIG, Checkpoint, open_checkpoint
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER, Form, Precision
from langgraph_cooper.ranker.model.encoder import load_encoder
from langgraph_cooper.ranker.model.forking import wait_before_fork
from langgraph_cooper.ranker.untrained import UntrainedRanker

if TYPE_CHECKING:
    from langgraph_cooper.ranker.trained import TrainedRanker

SHIPPED = Path(__file__).parent / "checkpoints"


def shipped_checkpoint(task: TaskSpec) -> Path | None:
    """Return the folder of the checkpoint that the package ships for this task, if any."""
    found = _shipped(task)
    return found and found.folder


def _shipped(task: TaskSpec) -> Checkpoint | None:
    folder = SHIPPED / task.name
    if not (folder / CONFIG).is_file():
        return None
    found = open_checkpoint(folder)
    # A user's own task may have the name of a shipped one and other aspects.
    return found if found.config.aspects == task.aspect_names else None


def shipped_ablation(task: TaskSpec) -> Path | None:
    """Return the folder of the shipped checkpoint without progression, if any."""
    folder = SHIPPED / f"{task.name}-without-progression"
    return folder if folder.is_dir() and _shipped(task) else None


def ranker_loader(
    task: TaskSpec,
    checkpoint: str | Path | None = None,
    encoder: str | None = None,
    *,
    calibrated: bool = True,
) -> Callable[[], Ranker]:
    """Choose the ranker and check it without torch; return a function that loads it.

    Args:
        task: The task.
        checkpoint: A checkpoint's folder or hub name; None: the shipped one, else the untrained
            ranker.
        encoder: Sentence encoder of the states; None: the checkpoint's own.
        calibrated: As for `load_ranker`.

    Raises:
        CheckpointError: The checkpoint is missing or malformed, or made for other aspects.
    """
    found = open_checkpoint(checkpoint) if checkpoint else _shipped(task)
    if found is None:
        return lambda: UntrainedRanker(task, encoder or DEFAULT_ENCODER)
    found.check_aspects(task.aspect_names)
    return lambda: load_ranker(found, encoder=encoder, calibrated=calibrated)


_rankers: dict[tuple[Path, str, Precision, Form | None, bool], TrainedRanker] = {}
_rankers_lock = RLock()
wait_before_fork(_rankers_lock)


def load_ranker(
    name: str | Path | Checkpoint,
    *,
    aspects: Sequence[str] | None = None,
    encoder: str | None = None,
    precision: Precision = "auto",
    form: Form | None = None,
    calibrated: bool = True,
) -> TrainedRanker:
    """Return the process's one ranker of a checkpoint; safe to call from several threads.

    Args:
        name: A checkpoint's folder or hub name.
        aspects: Aspects of the task, in order; checked unless omitted.
        encoder: Where to load the sentence encoder from; None: the name in the checkpoint.
        precision: As for `TrainedRanker`.
        form: As for `TrainedRanker`.
        calibrated: False leaves the checkpoint's calibration unread: it is to be made anew.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, or has other aspects or another
            encoder.
        EncoderError: The encoder cannot be loaded.
    """
    with _rankers_lock:
        checkpoint = open_checkpoint(name)
        if aspects is not None:
            checkpoint.check_aspects(aspects)
        source = encoder or checkpoint.config.encoder
        key = (checkpoint.folder.resolve(), source, precision, form, calibrated)
        if key not in _rankers:
            from langgraph_cooper.ranker.model.ranker import CooperRanker
            from langgraph_cooper.ranker.trained import TrainedRanker

            loaded = load_encoder(source)
            checkpoint.check_encoder(loaded)
            names = (*checkpoint.config.aspects, PASSIVE)
            known = load_calibration(checkpoint.folder, names) if calibrated else None

            def build() -> TrainedRanker:
                model = CooperRanker.from_pretrained(checkpoint)
                return TrainedRanker(
                    model, loaded, precision=precision, form=form, calibration=known
                )

            _rankers[key] = compute(build)
        return _rankers[key]
