"""Trains adapters on the sentence encoder; the same call goes on where an earlier one stopped."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from accelerate.state import AcceleratorState  # type: ignore[import-untyped,unused-ignore]
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from langgraph_cooper.graph.training.resuming import SaveByClock, remove_cut_checkpoints
from langgraph_cooper.nodes.pairs.form import CONFIG, WEIGHTS
from langgraph_cooper.nodes.pairs.model import Form, PairModel
from langgraph_cooper.ranker.model.encoder import encoder_sha256, file_sha256
from langgraph_cooper.ranker.model.lora import adapter_tensors

Example = TypeVar("Example")

BATCH = 32
SAVED_EVERY = 2.0  # minutes of a run
POOL = 20 * BATCH  # examples that are sorted by length together


class Batches(Dataset[list[Example]], Generic[Example]):
    """Batches of examples of similar length, for little padding.

    Args:
        examples: The examples.
        length: Tells an example's length.
        seed: Of their order.
    """

    def __init__(
        self, examples: Sequence[Example], length: Callable[[Example], int], seed: int
    ) -> None:
        shuffled = random.Random(seed).sample(list(examples), len(examples))
        pools = [shuffled[start : start + POOL] for start in range(0, len(shuffled), POOL)]
        self._batches = [
            pool[start : start + BATCH]
            for pool in (sorted(pool, key=length) for pool in pools)
            for start in range(0, len(pool), BATCH)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, place: int) -> list[Example]:
        return self._batches[place]


def train_adapters(
    learner: nn.Module,
    batches: Batches[Example],
    inputs: Callable[[Sequence[Example]], Mapping[str, Tensor]],
    run: Path,
    *,
    seed: int,
    epochs: float,
    rate: float,
) -> None:
    """Train those parameters of a model that have gradients.

    Args:
        learner: Returns its loss, as `Trainer` wants it.
        batches: To learn from.
        inputs: Makes the learner's input from examples.
        run: Folder of the unfinished run, saved every few minutes.
        seed: Of everything random.
        epochs: Passes over the examples.
        rate: Largest learning rate.
    """
    _forget_precision()
    gpu = torch.cuda.is_available()  # on a processor half precision takes 1.6 times as long
    arguments = TrainingArguments(
        output_dir=str(run), num_train_epochs=epochs, per_device_train_batch_size=1,
        learning_rate=rate, warmup_steps=0.1, lr_scheduler_type="linear", weight_decay=0.01,
        max_grad_norm=1.0, bf16=gpu, use_cpu=not gpu, seed=seed,
        save_strategy="epoch", save_total_limit=1, logging_steps=50,
        remove_unused_columns=False, report_to=[], dataloader_pin_memory=False,
    )  # fmt: skip

    def collate(drawn: Sequence[Sequence[Example]]) -> dict[str, Any]:
        return {**inputs([example for batch in drawn for example in batch])}

    trainer = Trainer(
        model=learner, args=arguments, train_dataset=batches, data_collator=collate,
        callbacks=[SaveByClock(SAVED_EVERY)],
    )  # fmt: skip
    begun = remove_cut_checkpoints(run)
    trainer.train(resume_from_checkpoint=str(begun) if begun else None)
    learner.cpu()
    _forget_precision()


def write_weights(encoder: nn.Module, head: nn.Module, file: Path) -> str:
    """Write the adapters and the head in half precision; return the file's SHA-256."""
    tensors = {**adapter_tensors(encoder), **head.state_dict(prefix="head.")}
    halves = {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(halves, file)
    file.chmod(0o644)  # a checkpoint is not private
    return file_sha256(file)


def write_pair_model(model: PairModel[Form], folder: Path, **fields: Any) -> Form:
    """Write a trained model that reads pairs.

    Args:
        model: The model, its adapters not merged.
        folder: Where.
        fields: More of its form, known since the training.

    Returns:
        Its form.
    """
    known = {
        "encoder_sha256": encoder_sha256(model.form.encoder),
        "weights_sha256": write_weights(model.encoder, model.head, folder / WEIGHTS),
    }
    form = model.form.model_copy(update={**known, **fields})
    (folder / CONFIG).write_text(form.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return form


def _forget_precision() -> None:
    """Let another training in this process choose its precision: accelerate keeps the first."""
    AcceleratorState._reset_state(reset_partial_state=True)
