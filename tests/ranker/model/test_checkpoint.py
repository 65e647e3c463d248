"""Checkpoints: what is saved is what is loaded, and whatever is wrong is said in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from langgraph_cooper.ranker.model import weights
from langgraph_cooper.ranker.model.checkpoint import CheckpointError, open_checkpoint
from langgraph_cooper.ranker.model.config import AdapterConfig, RankerConfig
from langgraph_cooper.ranker.model.ranker import CooperRanker
from tests.ranker.tiny import ASPECTS, HISTORY, TOPICS, random_ranker, ranker_config, turn_vectors

OWNERS = torch.tensor([[0, 1, 2, 3, 0]])


def _scores(model: CooperRanker, states: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        tokens = model.tokens([model.tokenizer.turn(HISTORY, TOPICS)])
        result: torch.Tensor = model(tokens, OWNERS, model.signals(states), turn_vectors())
    return result


def _trained(model: CooperRanker) -> dict[str, torch.Tensor]:
    """The state with peft's names of A and B replaced by those of a checkpoint."""
    parts = {".lora_A.default.weight": ".a", ".lora_B.default.weight": ".b"}
    state = model.state_dict()
    for long, short in parts.items():
        state = {name.replace(long, short): value for name, value in state.items()}
    return state


@pytest.fixture
def saved(ranker: CooperRanker, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    ranker.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"form": "pairwise", "fusion": "paper"},
        {"progression": False},
        {"adapter": None},
        {"adapter": AdapterConfig(rank=2, layers=(1,))},
        {"adapter": None, "weights": "full"},
    ],
    ids=str,
)
def test_saved_and_loaded_scores_are_equal(
    tiny_transformer: str, states: torch.Tensor, tmp_path: Path, changes: dict[str, Any]
) -> None:
    model = random_ranker(ranker_config(tiny_transformer, **changes))
    model.save_pretrained(tmp_path / "a", half=False)
    (tmp_path / "a").rename(tmp_path / "b")
    loaded = CooperRanker.from_pretrained(tmp_path / "b", aspects=ASPECTS)
    assert not loaded.training
    # Merging rounds anew, and these scores are about 40.
    torch.testing.assert_close(
        _scores(loaded, states), _scores(model, states), atol=1e-4, rtol=1e-5
    )
    for name, value in load_file(tmp_path / "b" / "model.safetensors").items():
        assert torch.equal(value, _trained(model)[name]), name
    assert loaded.progression_module("action").texts == model.progression_module("action").texts


def test_half_precision_is_close_and_half_as_large(
    ranker: CooperRanker, states: torch.Tensor, tmp_path: Path
) -> None:
    ranker.save_pretrained(tmp_path / "half")
    ranker.save_pretrained(tmp_path / "whole", half=False)
    half, whole = ((tmp_path / n / "model.safetensors").stat().st_size for n in ("half", "whole"))
    assert half < 0.6 * whole
    loaded = CooperRanker.from_pretrained(tmp_path / "half")
    scores = _scores(ranker, states)
    torch.testing.assert_close(_scores(loaded, states), scores, atol=0.02 * scores.std(), rtol=0)


def test_of_the_transformer_only_adapters_are_saved(saved: Path) -> None:
    names = load_file(saved / "model.safetensors").keys()
    inside = [name for name in names if name.startswith("transformer.")]
    assert inside
    assert all(name.endswith((".a", ".b")) for name in inside)
    assert "progressions.aspect_0.targets" in names


def test_full_checkpoint_needs_no_other_folder(
    tiny_transformer: str, states: torch.Tensor, tmp_path: Path
) -> None:
    config = ranker_config(tiny_transformer, adapter=None, weights="full")
    model = random_ranker(config)
    object.__setattr__(config, "transformer", str(tmp_path / "gone"))
    model.save_pretrained(tmp_path / "full", half=False)
    loaded = CooperRanker.from_pretrained(tmp_path / "full")
    torch.testing.assert_close(_scores(loaded, states), _scores(model, states))


def test_calibration_and_fingerprints_are_saved(ranker: CooperRanker, tmp_path: Path) -> None:
    ranker.progression_module("comforting").calibration.copy_(torch.tensor([0.25, 0.75]))
    config = ranker.save_pretrained(tmp_path)
    assert config == open_checkpoint(tmp_path).config
    assert config.calibration[1] == (0.25, 0.75)
    assert len(config.transformer_sha256 or "") == len(config.weights_sha256 or "") == 64
    loaded = CooperRanker.from_pretrained(tmp_path)
    assert loaded.progression_module("comforting").calibration.tolist() == [0.25, 0.75]


def test_saving_again_keeps_the_model_card_and_leaves_no_litter(
    ranker: CooperRanker, saved: Path
) -> None:
    (saved / "README.md").write_text("card")
    ranker.save_pretrained(saved)
    assert sorted(file.name for file in saved.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_a_save_that_fails_leaves_the_old_checkpoint(
    ranker: CooperRanker, saved: Path, states: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _scores(CooperRanker.from_pretrained(saved), states)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.os, "fsync", full_disk)
    with pytest.raises(CheckpointError, match="No space left on device"):
        ranker.save_pretrained(saved, half=False)
    assert sorted(file.name for file in saved.iterdir()) == ["config.json", "model.safetensors"]
    assert torch.equal(_scores(CooperRanker.from_pretrained(saved), states), before)


def test_merged_adapters_are_not_saved(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be saved again: copy the folder"):
        CooperRanker.from_pretrained(saved).save_pretrained(tmp_path)


def _edit_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = folder / "config.json"
    raw = json.loads(file.read_text())
    change(raw)
    file.write_text(json.dumps(raw))


def _edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def _truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _flip(folder: Path) -> None:
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


OUTPUT = "fusion.output.bias"
FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"model.safetensors is missing"),
    "no config": (lambda f: (f / "config.json").unlink(), r"config.json is missing"),
    "truncated": (_truncate, r"model.safetensors is damaged"),
    "not safetensors": (lambda f: (f / "model.safetensors").write_text("hi"), r"is damaged"),
    "altered": (_flip, r"does not belong to the config.json beside it"),
    "not JSON": (lambda f: (f / "config.json").write_text("{"), r"not readable as JSON"),
    "not text": (lambda f: (f / "config.json").write_bytes(b"\xff"), r"not readable as JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), r"not the configuration of a lang"),
    "another program's": (
        lambda f: (f / "config.json").write_text('{"model_type": "bert"}'),
        r"not the configuration of a langgraph-cooper ranker \(it has no 'format'\)",
    ),
    "missing key": (lambda f: _edit_config(f, lambda c: c.pop("task")), r"\(task: Field required"),
    "another format": (
        lambda f: _edit_config(f, lambda c: c.update(format="x")),
        r"\(format: Input should be",
    ),
    "missing tensor": (
        lambda f: _edit_tensors(f, lambda t: t.pop(OUTPUT)),
        r"lacks tensors \(fusion.output.bias\)",
    ),
    "unexpected tensor": (
        lambda f: _edit_tensors(f, lambda t: t.update(extra=torch.zeros(1))),
        r"has unexpected tensors \(extra\)",
    ),
    "wrong shape": (
        lambda f: _edit_tensors(f, lambda t: t.update({OUTPUT: torch.zeros(2)})),
        r"fusion.output.bias in shape \[2\] where its configuration needs \[1\]",
    ),
    "wrong dimension": (
        lambda f: _edit_config(f, lambda c: c.update(dimension=16)),
        r"where its configuration needs",
    ),
    "another transformer": (
        lambda f: _edit_config(f, lambda c: c.update(transformer_sha256="0" * 64)),
        r"is not the one that the adapters in .* were trained on",
    ),
    "lost transformer": (
        lambda f: _edit_config(f, lambda c: c.update(transformer=str(f), transformer_sha256=None)),
        r"cannot be used: Transformer .* cannot be loaded",
    ),
    "too long": (
        lambda f: _edit_config(f, lambda c: c.update(history_tokens=500)),
        r"cannot be used: .* positions",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_one_sentence(saved: Path, fault: str) -> None:
    spoil, message = FAULTS[fault]
    spoil(saved)
    with pytest.raises(CheckpointError, match=message) as caught:
        CooperRanker.from_pretrained(saved)
    text = str(caught.value)
    assert str(saved) in text
    assert "\n" not in text
    assert text.endswith(".")


def test_aspects_of_another_task(saved: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"ranks exploration, comforting, action .*not appeal"
    ):
        CooperRanker.from_pretrained(saved, aspects=["appeal"])
    with pytest.raises(CheckpointError, match="not action, comforting, exploration"):
        CooperRanker.from_pretrained(saved, aspects=ASPECTS[::-1])


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint folder .*train one"):
        CooperRanker.from_pretrained(tmp_path / "nothing")


def test_hub_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def deliver(name: str, **kwargs: Any) -> str:
        asked.append(name)
        return str(saved)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", deliver)
    assert open_checkpoint("somebody/cooper-esc").config.task == "esc"
    assert asked == ["somebody/cooper-esc"]

    def offline(name: str, **kwargs: Any) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(CheckpointError, match="the hub did not deliver it") as caught:
        open_checkpoint("somebody/cooper-esc")
    assert "\n" not in str(caught.value)


def test_a_relative_path_is_no_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(CheckpointError, match="there is no checkpoint folder"):
        open_checkpoint("checkpoints/esc")


def test_configuration_is_read_without_torch(saved: Path) -> None:
    code = (
        "import sys; from langgraph_cooper.ranker.model.checkpoint import open_checkpoint;"
        f"open_checkpoint({str(saved)!r}); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_configuration_survives_json() -> None:
    config = ranker_config("x", metadata={"seed": 1, "figures": {"hit@1": 0.2}})
    assert RankerConfig.model_validate_json(config.model_dump_json()) == config
