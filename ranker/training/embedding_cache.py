"""Encoders that keep their embeddings in memory and on the disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from langgraph_cooper.ranker.data.jsonl import replacing
from langgraph_cooper.ranker.data.labels import Encode, Floats
from langgraph_cooper.ranker.model.encoder import load_encoder

_log = logging.getLogger(__name__)


class Memo:
    """An encoder that embeds each text once, in any number of lists.

    Args:
        encode: The encoder behind it; it gets lists of distinct texts.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._rows: dict[str, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return embeddings [N, n_d]."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new or not texts:
            found = self._encode(new)
            self._rows.update(zip(new, found, strict=True))
        return np.stack([self._rows[text] for text in texts]) if texts else found


class DiskCache:
    """An encoder that keeps its embeddings in a folder, one file per list of texts.

    A resumed run, and the next run on the same data, then start at once.

    Args:
        encode: The encoder behind it.
        folder: Folder of the files.
        identity: What distinguishes the encoder, such as its weights' hash.
    """

    def __init__(self, encode: Encode, folder: Path, identity: str) -> None:
        self._encode = encode
        self._folder = folder
        self._identity = identity

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return embeddings [N, n_d]."""
        digest = hashlib.sha256(self._identity.encode())
        for text in texts:
            digest.update(hashlib.sha256(text.encode()).digest())
        file = self._folder / f"{digest.hexdigest()[:32]}.npy"
        try:
            return np.asarray(np.load(file, allow_pickle=False), np.float32)
        except (OSError, ValueError, EOFError):  # missing, or cut off by a kill
            embedded = self._encode(texts)
        try:
            with replacing(file) as stream:
                np.save(stream, embedded)
        except OSError as error:
            _log.warning("embeddings are not kept in %s: %s", self._folder, error)
        return embedded


def caching_encoder(name: str, folder: Path | None, *, bfloat16: bool) -> tuple[Encode, str | None]:
    """Load an encoder behind both caches; return it and its weights' SHA-256.

    Args:
        name: As for `load_encoder`.
        folder: Folder of the cache on the disk; None: memory only.
        bfloat16: Compute in bfloat16.

    Raises:
        EncoderError: The encoder cannot be loaded.
    """
    encoder = load_encoder(name, bfloat16=bfloat16)
    encode: Encode = encoder.encode
    if folder is not None:
        identity = f"{name} {encoder.sha256}{' bfloat16' if bfloat16 else ''}"
        encode = DiskCache(encode, folder, identity)
    return Memo(encode), encoder.sha256
