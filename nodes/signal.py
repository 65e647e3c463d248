"""Encodes the progression signal as text, which every checkpointer can save."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray


def encode_signal(signal: NDArray[np.float32]) -> str:
    """Encode p = [v; s] as text.

    Args:
        signal: [2, n_d], any float type.

    Returns:
        float16, little-endian, row by row, in base64: a quarter of the size of a list of numbers.
        The rounding (3 decimal digits) is too small to change a ranking.
    """
    return base64.b64encode(signal.astype("<f2").tobytes()).decode("ascii")


def decode_signal(text: str) -> NDArray[np.float32]:
    """Decode p = [v; s] to a float32 array of shape [2, n_d]."""
    flat = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f2")
    return flat.astype(np.float32).reshape(2, -1)
