"""The progression signal as text and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from langgraph_cooper.nodes import decode_signal, encode_signal


@pytest.mark.parametrize("dimension", [1, 384, 768])
def test_round_trip(dimension: int) -> None:
    signal = np.random.default_rng(dimension).uniform(-1, 1, (2, dimension)).astype(np.float32)
    text = encode_signal(signal)
    back = decode_signal(json.loads(json.dumps(text)))
    assert back.dtype == np.float32
    assert back.shape == (2, dimension)
    np.testing.assert_allclose(back, signal, atol=5e-4)
    assert len(text) <= 8 * dimension / 3 * 2 + 4  # 2 rows of 2 bytes, in base64


def test_rows_keep_their_places() -> None:
    back = decode_signal(encode_signal(np.array([[1.0, 2.0], [3.0, 4.0]])))
    assert back.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_it_can_be_written_to() -> None:
    back = decode_signal(encode_signal(np.ones((2, 4), dtype=np.float32)))
    back += 1
    assert back.sum() == 16


@pytest.mark.parametrize("text", ["no base64!", "AAA=", "AAAAAAAA"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_signal(text)
