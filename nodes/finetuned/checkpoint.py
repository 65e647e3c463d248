"""The checkpoint of a fine-tuned generator: the adapters of one base for one task."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from langgraph_cooper.nodes.finetuned.base import DEFAULT_BASE, Base, base_sha256, load_base
from langgraph_cooper.nodes.finetuned.errors import VoiceError
from langgraph_cooper.nodes.finetuned.format import Budgets, Kind
from langgraph_cooper.prompts.errors import first_fault
from langgraph_cooper.ranker.data.dialogue import Speaker
from langgraph_cooper.ranker.model.config import AdapterConfig

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED = Path(__file__).parent / "checkpoints"
KINDS: Mapping[Speaker, str] = {"system": "generator", "user": "user"}
CONFIG, WEIGHTS = "config.json", "adapters.safetensors"


class VoiceConfig(BaseModel):
    """The `config.json` of a checkpoint.

    Attributes:
        task: Name of the task that it was trained for.
        aspects: The task's aspects, in order.
        speaker: The side that it speaks for; "user": it plays users in an evaluation.
        base: The base model, as for `load_base`.
        base_sha256: SHA-256 of its weights, where they are a local file.
        kind: The kind of base.
        budgets: Most tokens of each part of the input.
        adapters: Rank, scale and layers.
        weights_sha256: SHA-256 of the adapters' file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["langgraph-cooper-generator"] = "langgraph-cooper-generator"
    task: str
    aspects: tuple[str, ...]
    speaker: Speaker = "system"
    base: str = DEFAULT_BASE
    base_sha256: str | None = None
    kind: Kind = "causal"
    budgets: Budgets = Budgets()
    adapters: AdapterConfig
    weights_sha256: str


class VoiceCheckpoint(NamedTuple):
    """A checkpoint whose configuration was read and whose weights were checked."""

    folder: Path
    config: VoiceConfig

    def check_task(self, task: str, aspects: tuple[str, ...], speaker: Speaker = "system") -> None:
        """Check that the generator was trained for a task, and for a side of its conversations.

        Raises:
            VoiceError: It was trained for another one.
        """
        if self.config.speaker != speaker:
            side = {"system": "a generator", "user": "users to talk with it"}
            raise VoiceError(
                f"the adapters in {self.folder} were trained as {side[self.config.speaker]}, not "
                f"as {side[speaker]}: name others, or train some with `cooper train generator "
                f"--speaker {speaker}`"
            )
        if (self.config.task, self.config.aspects) != (task, aspects):
            raise VoiceError(
                f"the generator in {self.folder} was trained for the task {self.config.task!r} "
                f"with the aspects {', '.join(self.config.aspects)}, not for {task!r}: name "
                "another one, or train one with `cooper train generator`"
            )

    def check_base(self) -> None:
        """Check that the base is the one that the adapters were trained on.

        Raises:
            VoiceError: It is missing or has other weights.
        """
        found = base_sha256(self.config.base)
        if self.config.base_sha256 and found is None:
            raise VoiceError(
                f"the base {self.config.base} of the adapters in {self.folder} is not there: bring "
                "it to that place, or train anew"
            )
        if self.config.base_sha256 and found != self.config.base_sha256:
            raise VoiceError(
                f"the base {self.config.base} has other weights than the adapters in "
                f"{self.folder} were trained on: bring the same base, or train anew"
            )

    def merged(self) -> Base:
        """Load the base and add the adapters to its weights.

        Raises:
            VoiceError: The base is unusable or the adapters do not fit it.
        """
        from safetensors.torch import load_file

        from langgraph_cooper.ranker.model.lora import adapter_shapes, merge_adapters

        self.check_base()
        base = load_base(self.config.base)
        tensors = load_file(self.folder / WEIGHTS)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        try:
            expected = adapter_shapes(base.model, self.config.adapters)
        except ValueError:
            expected = {}
        if base.kind != self.config.kind or shapes != expected:
            raise VoiceError(
                f"the adapters in {self.folder} do not fit the base {self.config.base}: they were "
                "trained on another one"
            )
        merge_adapters(base.model, self.config.adapters, tensors)
        return base


def open_voice(folder: Path) -> VoiceCheckpoint:
    """Read a checkpoint's configuration and check its weights, without torch.

    Raises:
        VoiceError: It is missing, malformed or damaged.
    """
    try:
        config = VoiceConfig.model_validate_json((folder / CONFIG).read_bytes())
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    except OSError as error:
        raise VoiceError(
            f"{folder} is no fine-tuned generator ({error.strerror}: {error.filename}): name a "
            "folder that `cooper train generator` wrote"
        ) from None
    except ValidationError as error:
        raise VoiceError(
            f"{folder / CONFIG} is malformed ({first_fault(error)}): name a folder that "
            "`cooper train generator` wrote"
        ) from None
    if digest != config.weights_sha256:
        raise VoiceError(f"{folder / WEIGHTS} is damaged: bring the checkpoint again")
    return VoiceCheckpoint(folder, config)


def shipped_voice(
    task: str, aspects: tuple[str, ...], speaker: Speaker = "system"
) -> VoiceCheckpoint | None:
    """Return what the package ships for a side of a task's conversations, if anything."""
    folder = SHIPPED / f"{task}-{KINDS[speaker]}"
    if not (folder / CONFIG).is_file():
        return None
    found = open_voice(folder)
    # A user's own task may have the name of a shipped one and other aspects.
    return found if found.config.aspects == aspects else None


def write_voice(
    folder: Path, tensors: Mapping[str, Tensor], config: VoiceConfig, card: str
) -> VoiceConfig:
    """Write a checkpoint: adapters in half precision, configuration and model card.

    Args:
        folder: Its folder, made if missing.
        tensors: The adapters, as `adapter_tensors` names them.
        config: The configuration; the SHA-256 of base and weights are filled in.
        card: The text of the model card.
    """
    from safetensors.torch import save

    data = save({name: t.detach().half().contiguous() for name, t in tensors.items()})
    config = config.model_copy(
        update={
            "base_sha256": base_sha256(config.base),
            "weights_sha256": hashlib.sha256(data).hexdigest(),
        }
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that a full disk leaves no half of it.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
        part = Path(made) / folder.name
        part.mkdir()
        (part / WEIGHTS).write_bytes(data)
        (part / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (part / "README.md").write_text(card, encoding="utf-8")
        if folder.exists():
            shutil.copytree(part, folder, dirs_exist_ok=True)
        else:
            part.rename(folder)
    return config
