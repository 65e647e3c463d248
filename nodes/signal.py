"""The progression signal in a form that every checkpointer keeps."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray


def encode_signal(signal: NDArray[np.float32]) -> str:
    """Writes p = [v; s] as text.

    Args:
        signal: [2, n_d], any float type.

    Returns:
        float16, little-endian, row by row, in base64: a quarter of a list of numbers' size. Its
        rounding (3 decimal digits) is below what a ranking can feel.
    """
    return base64.b64encode(signal.astype("<f2").tobytes()).decode("ascii")


def decode_signal(text: str) -> NDArray[np.float32]:
    """Reads p = [v; s] back as an array of shape [2, n_d], float32."""
    flat = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f2")
    return flat.astype(np.float32).reshape(2, -1)
