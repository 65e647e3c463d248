"""A training run on the disk: what it began with, where it stands. All or nothing."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from langgraph_cooper.ranker.model.next_utterance import Expected
from langgraph_cooper.ranker.training.config import TrainingError
from langgraph_cooper.ranker.training.targets import TargetStates

Record: TypeAlias = dict[str, Any]
"""One line of the log."""


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    best: tuple[float, float] = (-1.0, -1.0)
    best_epoch: int = -1
    log: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class Fitted:
    """What a run fits before its first step. One that goes on takes it over.

    Fitted anew, by another number of threads or on another machine, it may come out otherwise, and
    what was learnt since would go on beside other target states and other evidence.

    Attributes:
        targets: The target states, in the task's order of aspects.
        evidence: The fitted evidence's state; empty for a ranker without.
        expected: What is expected of the training turns by fits to other conversations.
    """

    targets: list[TargetStates]
    evidence: Mapping[str, Tensor]
    expected: Expected | None


class RunFolder:
    """The folder of a run, beside its output.

    Args:
        folder: Made if it is not there.
        fingerprint: Of the run; what stands in the folder must have the same.

    Raises:
        TrainingError: The folder cannot be made.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self._fingerprint = fingerprint
        with self.writing():
            folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turns a full or read-only disk into one sentence.

        Raises:
            TrainingError: Instead of an OSError.
        """
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"{self.folder} cannot be written ({error.strerror or error}): make room there and "
                "start the same command again; it goes on from the last saved state"
            ) from error

    @property
    def best(self) -> Path:
        """The best checkpoint so far."""
        return self.folder / "best"

    def save_fitted(self, fitted: Fitted) -> None:
        """Keeps what was fitted before the first step."""
        targets = [asdict(t) | {"centroids": torch.from_numpy(t.centroids)} for t in fitted.targets]
        expected = None if fitted.expected is None else list(fitted.expected)
        self._save(
            "fitted.pt",
            {"targets": targets, "evidence": dict(fitted.evidence), "expected": expected},
        )

    def load_fitted(self) -> Fitted | None:
        """What was kept, if there is any.

        Raises:
            TrainingError: It is damaged, or another run's.
        """
        found = self._load("fitted.pt")
        if found is None:
            return None
        return Fitted(
            [TargetStates(**t | {"centroids": t["centroids"].numpy()}) for t in found["targets"]],
            found["evidence"],
            None if found["expected"] is None else Expected(*found["expected"]),
        )

    def save_state(self, progress: Progress, learnt: Mapping[str, Any]) -> None:
        """Keeps where a run stands, and what has learnt."""
        self._save("state.pt", asdict(progress) | {"log": json.dumps(progress.log), **learnt})
        with self.writing():
            write_log(self.folder / "log.jsonl", progress.log)

    def load_state(self) -> tuple[Progress, dict[str, Any]] | None:
        """Where the run stood, and what had learnt, if that was kept.

        Raises:
            TrainingError: It is damaged, or another run's.
        """
        found = self._load("state.pt")
        if found is None:
            return None
        progress = Progress(
            found.pop("step"),
            tuple(found.pop("best")),
            found.pop("best_epoch"),
            json.loads(found.pop("log")),
        )
        return progress, found

    def finish(self, output: Path) -> None:
        """Turns the best checkpoint into the output."""
        with self.writing():
            # The folder lies beside the output, so that this is one step.
            self.best.replace(output)
            for name in ("state.pt", "fitted.pt"):
                (self.folder / name).unlink(missing_ok=True)

    def _save(self, name: str, values: Mapping[str, Any]) -> None:
        # Written in memory first: torch tells of a full disk with a RuntimeError.
        written = io.BytesIO()
        part = (self.folder / name).with_suffix(".part")
        with self.writing():
            torch.save({"fingerprint": self._fingerprint, **values}, written)
            with part.open("wb") as stream:
                stream.write(written.getbuffer())
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.folder / name)

    def _load(self, name: str) -> dict[str, Any] | None:
        file = self.folder / name
        if not file.exists():
            return None
        try:
            found: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            same = found.pop("fingerprint") == self._fingerprint
        except Exception:  # a damaged file fails in many ways inside torch
            raise TrainingError(f"{file} is damaged: remove {self.folder} to start anew") from None
        if not same:
            raise TrainingError(
                f"{self.folder} belongs to a run with other settings or data: remove it to start "
                "anew, or choose another output"
            )
        return found


def write_log(file: Path, log: Sequence[Record]) -> None:
    """Writes a log, one JSON object a line."""
    file.write_text("".join(json.dumps(record) + "\n" for record in log), encoding="utf-8")
