"""A model that reads two utterances at once, and gives some log-odds of them: a cross-encoder.

Embeddings of two texts made apart tell whether these are about the same; only a model that sees
both at once tells who did what, or what a "no" answers (Nogueira and Cho 2019, "Passage re-ranking
with BERT"). It is the default sentence encoder with adapters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from langgraph_cooper.nodes.pairs.form import CONFIG, WEIGHTS, Floats, Pair, PairForm
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.ranker.data.dialogue import encodable
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.encoder import encoder_sha256, file_sha256, first_line
from langgraph_cooper.ranker.model.lora import load_adapted
from langgraph_cooper.ranker.model.transformer import load_transformer
from langgraph_cooper.ranker.trained import computes_bfloat16

Form = TypeVar("Form", bound=PairForm)

DROPOUT = 0.1  # between the layers of the head, in training
CHARACTERS = 16  # that are read of a text for each of its tokens


class PairError(CooperError):
    """A model that reads pairs cannot be loaded."""


class PairModel(nn.Module, Generic[Form]):
    """The encoder and the head.

    It reads `[CLS] first [SEP] second [SEP]`, where the second's tokens are of type 1.

    Args:
        form: The form.
        outputs: Number of log-odds.
    """

    def __init__(self, form: Form, outputs: int) -> None:
        super().__init__()
        self.form, self.outputs = form, outputs
        encoder = load_transformer(form.encoder)
        self.encoder, self.tokenizer = encoder.module, encoder.tokenizer
        self.head = nn.Sequential(
            nn.Linear(2 * encoder.width, form.hidden),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(form.hidden, outputs),
        )

    def inputs(self, pairs: Sequence[Pair]) -> dict[str, Tensor]:
        """Return `input_ids`, `attention_mask` and `token_type_ids` for N pairs, `[N, tokens]`."""
        rows = [self._tokens(pair) for pair in pairs]
        found = torch.zeros(3, len(rows), max(len(ids) for ids, _ in rows), dtype=torch.long)
        found[0] = int(self.tokenizer.pad_token_id or 0)
        for row, (ids, left) in enumerate(rows):
            found[0, row, : len(ids)] = torch.tensor(ids)
            found[1, row, : len(ids)] = 1
            found[2, row, left : len(ids)] = 1
        return dict(zip(("input_ids", "attention_mask", "token_type_ids"), found, strict=True))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Return log-odds `[N, outputs]`."""
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )[0].float()
        mask = attention_mask[..., None]
        mean = (hidden * mask).sum(1) / mask.sum(1)
        odds: Tensor = self.head(torch.cat([hidden[:, 0], mean], 1))
        return odds

    def _tokens(self, pair: Pair) -> tuple[list[int], int]:
        """Return the tokens of a pair, and how many of them come before the second."""
        sep = self.tokenizer.sep_token_id
        first = self._ids(pair.first, self.form.first_tokens)
        left = [self.tokenizer.cls_token_id, *first, sep]
        return [*left, *self._ids(pair.second, self.form.second_tokens), sep], len(left)

    def _ids(self, text: str, most: int) -> list[int]:
        """Return the tokens of a text, of a long one a quarter from the beginning, else the end."""
        half = CHARACTERS * most
        cut = text if len(text) <= 2 * half else f"{text[:half]} {text[-half:]}"
        ids: list[int] = self.tokenizer(
            encodable(cut), add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        first = most // 4
        return ids if len(ids) <= most else [*ids[:first], *ids[first - most :]]


class PairReader(Generic[Form]):
    """A trained model, safe to share between threads.

    It computes in bfloat16 where the processor has instructions for it, which takes half the time.

    Args:
        model: The model, its adapters merged.
    """

    def __init__(self, model: PairModel[Form]) -> None:
        self.form = model.form
        self._model = model.eval()
        if computes_bfloat16():
            self._model.encoder.bfloat16()

    def read(self, pairs: Sequence[Pair]) -> Floats:
        """Return [N, outputs] the log-odds of N pairs."""
        if not pairs:
            return np.zeros((0, self._model.outputs), np.float32)
        return compute(partial(self._forward, pairs))

    def _forward(self, pairs: Sequence[Pair]) -> Floats:
        with torch.inference_mode():
            found: Floats = self._model(**self._model.inputs(pairs)).numpy()
        return found


class Wanted(NamedTuple):
    """What is said of a model that cannot be loaded.

    Attributes:
        task: Its task, as in "the model in FOLDER that weighs prepared answers".
        command: Trains it again.
    """

    task: str
    command: str

    @property
    def remedy(self) -> str:
        """How to get another one."""
        return f"reinstall langgraph-cooper, or train it again with '{self.command}'"

    def named(self, folder: Path) -> str:
        """Return the model's name."""
        return f"the model in {folder} that {self.task}"


def read_form(folder: Path, form: type[Form], wanted: Wanted) -> Form:
    """Read a model's form, without its weights.

    Raises:
        PairError: It is missing or malformed.
    """
    try:
        return form.model_validate_json((folder / CONFIG).read_bytes())
    except (OSError, ValidationError) as error:
        raise _unreadable(folder, error, wanted) from None


def read_pair_reader(folder: Path, form: Form, outputs: int, wanted: Wanted) -> PairReader[Form]:
    """Load a model.

    Args:
        folder: Its files.
        form: Its form.
        outputs: Number of its log-odds.
        wanted: What is said if it cannot be loaded.

    Raises:
        PairError: Its weights are missing or damaged, or made for another encoder.
        EncoderError: The encoder cannot be loaded.
    """
    try:
        tensors, found = load_file(folder / WEIGHTS), file_sha256(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder, error, wanted) from None
    if found != form.weights_sha256 or encoder_sha256(form.encoder) != form.encoder_sha256:
        raise PairError(
            f"{wanted.named(folder)} does not belong to its {CONFIG} or to the encoder "
            f"{form.encoder}: {wanted.remedy}"
        )
    try:
        return PairReader(compute(partial(_merged, form, outputs, tensors)))
    except ValueError:
        raise PairError(f"{wanted.named(folder)} lacks weights: {wanted.remedy}") from None


def _unreadable(folder: Path, error: Exception, wanted: Wanted) -> PairError:
    problem = first_line(error)
    return PairError(f"{wanted.named(folder)} cannot be read ({problem}): {wanted.remedy}")


def _merged(form: Form, outputs: int, tensors: Mapping[str, Tensor]) -> PairModel[Form]:
    model = PairModel(form, outputs)
    load_adapted(model.encoder, model.head, form.adapters, tensors)
    return model
