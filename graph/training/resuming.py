"""Finds the saved state that a stopped run of transformers' `Trainer` goes on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

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
