"""Saves a run of transformers' `Trainer`, and finds the state that a stopped one goes on from."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

STATE = "trainer_state.json"  # the last file of a checkpoint that is written


def remove_cut_checkpoints(run: Path) -> Path | None:
    """Remove a run's checkpoints that were cut, and return the newest one that was saved whole.

    A kill or a full disk may cut the last one. Left there, it would count as the newest when the
    `Trainer` removes old ones.

    Args:
        run: Folder of the run; may be missing.
    """
    whole = []
    for folder in run.glob("checkpoint-*"):
        if _is_whole(folder):
            whole.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return max(whole, key=lambda folder: int(folder.name.split("-")[1]), default=None)


def _is_whole(folder: Path) -> bool:
    try:
        json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


class SaveByClock(TrainerCallback):
    """Saves every few minutes, however long a step takes.

    Args:
        minutes: How many.
    """

    def __init__(self, minutes: float) -> None:
        self._seconds = 60 * minutes
        self._last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save, if it is time."""
        # Not at the end of an epoch, which is yet to be measured and saved into the same folder: a
        # kill meanwhile would leave new adapters, cut, beside the state of the save before.
        ends = control.should_training_stop or float(state.epoch).is_integer()
        if time.monotonic() - self._last > self._seconds and not ends:
            control.should_save = True
            self._last = time.monotonic()
