"""The state of a training run on the disk; each file is written whole or not at all."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from langgraph_cooper.ranker.data.jsonl import replacing
from langgraph_cooper.ranker.model.next_utterance import NextUtterancePrediction
from langgraph_cooper.ranker.training.config import TrainingError
from langgraph_cooper.ranker.training.targets import TargetStates

Record: TypeAlias = dict[str, Any]
"""One line of the log."""

FORMAT = 2
"""Version of the saved state. It changes with the names of parameters and fields."""


@dataclass
class Progress:
    """The progress of a run."""

    step: int = 0
    best: tuple[float, float] = (-1.0, -1.0)
    best_epoch: int = -1
    log: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class Fitted:
    """The parts that a run fits before its first step, taken over when it resumes.

    Fitted again, with another number of threads or on another machine, they may differ, and the
    trained parameters would no longer fit them.

    Attributes:
        targets: The target states, in the task's order of aspects.
        evidence: The fitted evidence's state; empty for a ranker without.
        predicted: Cross-fitted predictions of the training turns.
    """

    targets: list[TargetStates]
    evidence: Mapping[str, Tensor]
    predicted: NextUtterancePrediction | None


class RunFolder:
    """The folder of a run, beside its output.

    Args:
        folder: Created if missing.
        fingerprint: Fingerprint of the run; a saved state must have the same.

    Raises:
        TrainingError: The folder cannot be created.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self._fingerprint = f"{fingerprint} {FORMAT}"
        with self.writing():
            folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an OSError, as of a full or read-only disk, into a TrainingError.

        Raises:
            TrainingError: Something inside raised an OSError.
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
        """Folder of the best checkpoint so far."""
        return self.folder / "best"

    def save_fitted(self, fitted: Fitted) -> None:
        """Save the parts fitted before the first step."""
        targets = [asdict(t) | {"centroids": torch.from_numpy(t.centroids)} for t in fitted.targets]
        predicted = None if fitted.predicted is None else list(fitted.predicted)
        self._save(
            "fitted.pt",
            {"targets": targets, "evidence": dict(fitted.evidence), "predicted": predicted},
        )

    def load_fitted(self) -> Fitted | None:
        """Return the saved fitted parts, if any.

        Raises:
            TrainingError: They are damaged, or another run's.
        """
        found = self._load("fitted.pt")
        if found is None:
            return None
        return Fitted(
            [TargetStates(**t | {"centroids": t["centroids"].numpy()}) for t in found["targets"]],
            found["evidence"],
            found["predicted"] and NextUtterancePrediction(*found["predicted"]),
        )

    def save_state(self, progress: Progress, trained: Mapping[str, Any]) -> None:
        """Save progress, parameters and optimiser."""
        self._save("state.pt", {"progress": asdict(progress), **trained})
        with self.writing():
            write_log(self.folder / "log.jsonl", progress.log)

    def load_state(self) -> tuple[Progress, dict[str, Any]] | None:
        """Return the saved progress and the rest of the state, if any.

        Raises:
            TrainingError: The state is damaged, or another run's.
        """
        found = self._load("state.pt")
        return None if found is None else (Progress(**found.pop("progress")), found)

    def finish(self, output: Path) -> None:
        """Rename the best checkpoint to the output, and remove the saved state."""
        with self.writing():
            # The folder is beside the output, so that renaming is atomic.
            self.best.replace(output)
            for name in ("state.pt", "fitted.pt"):
                (self.folder / name).unlink(missing_ok=True)

    def _save(self, name: str, values: Mapping[str, Any]) -> None:
        # Serialised in memory first: torch reports a full disk by a RuntimeError.
        written = io.BytesIO()
        with self.writing():
            torch.save({"fingerprint": self._fingerprint, **values}, written)
            with replacing(self.folder / name) as stream:
                stream.write(written.getbuffer())

    def _load(self, name: str) -> dict[str, Any] | None:
        file = self.folder / name
        if not file.exists():
            return None
        try:
            found: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            same = found.pop("fingerprint") == self._fingerprint
        except Exception:  # torch raises many types for a damaged file
            raise TrainingError(f"{file} is damaged: remove {self.folder} to start anew") from None
        if not same:
            raise TrainingError(
                f"{self.folder} belongs to a run with other settings or data: remove it to start "
                "anew, or choose another output"
            )
        return found


def write_log(file: Path, log: Sequence[Record]) -> None:
    """Write a log, one JSON object a line."""
    file.write_text("".join(json.dumps(record) + "\n" for record in log), encoding="utf-8")
