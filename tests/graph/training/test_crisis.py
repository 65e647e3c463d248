"""The guard's classifier learns, and is written and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("peft")

from transformers import Trainer

from langgraph_cooper.graph.training.crisis import (
    choose_thresholds,
    leave_writers_out,
    odds_of,
    train_classifier,
    write_classifier,
)
from langgraph_cooper.graph.training.lines import Example, Line
from langgraph_cooper.nodes.crisis.classifier import (
    ClassifierError,
    CrisisModel,
    read_classifier,
    windows,
)
from langgraph_cooper.ranker.model.encoder import EncoderError
from tests.ranker.tiny import save_tiny
from tests.support.damage import DAMAGES, damage

SAD = [f"I gave my {thing} away, nobody will need it" for thing in ["books", "dog", "ring", "car"]]
GLAD = [f"I bought a {thing} with my sister" for thing in ["book", "dog", "ring", "car"]]
EXAMPLES = [Example(text, 1.0, "suicide") for text in SAD] + [Example(t, 0.0) for t in GLAD]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CrisisModel:
    return train_classifier(EXAMPLES, tmp_path_factory.mktemp("run"), epochs=12)


def test_it_learns_and_reads_the_same_after_writing(model: CrisisModel, tmp_path: Path) -> None:
    odds = odds_of(model, [*SAD, *GLAD])
    assert min(odds[: len(SAD)]) > max(odds[len(SAD) :])
    middle = (min(odds[: len(SAD)]) + max(odds[len(SAD) :])) / 2
    config = write_classifier(model, tmp_path, certain=100.0, concern=middle)
    assert (config.certain, config.concern) == (100.0, middle)
    read = read_classifier(tmp_path)
    assert [read.odds(text) for text in SAD] == pytest.approx(odds[: len(SAD)], abs=0.05)
    assert read.read(SAD[0]) == ("concern", "suicide", True)
    assert read.read(GLAD[0]).tier == "none"
    # A plain denial silences itself alone.
    assert read.read("I am not suicidal. " + SAD[0]).tier == "concern"


def test_of_a_larger_encoder_the_last_layers_learn(tmp_path: Path) -> None:
    encoder = Path(save_tiny("mpnet", tmp_path / "encoder", layers=8))
    model = train_classifier(EXAMPLES, tmp_path / "run", encoder=str(encoder), epochs=1)
    odds = odds_of(model, SAD)
    config = write_classifier(model, tmp_path / "classifier", certain=100.0, concern=0.0)
    assert config.adapters.layers == (2, 3, 4, 5, 6, 7)
    moved = encoder.rename(tmp_path / "moved")
    read = read_classifier(tmp_path / "classifier", encoder=str(moved))
    assert [read.odds(text) for text in SAD] == pytest.approx(odds, abs=0.05)
    with pytest.raises(EncoderError, match=r"encoder .* cannot be found"):
        read_classifier(tmp_path / "classifier")
    other = save_tiny("mpnet", tmp_path / "other", layers=2)
    with pytest.raises(ClassifierError, match=f"belong to .* the encoder {other}: "):
        read_classifier(tmp_path / "classifier", encoder=other)


def test_a_state_that_a_full_disk_cut_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_classifier(EXAMPLES, tmp_path, epochs=1)
    (saved,) = tmp_path.glob("checkpoint-*")
    cut = tmp_path / "checkpoint-9"
    cut.mkdir()
    (cut / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes()[:99])
    (cut / "trainer_state.json").write_text("{", encoding="utf-8")

    def learn(*_: object, **__: object) -> None:
        raise AssertionError("the run starts afresh")

    monkeypatch.setattr(Trainer, "training_step", learn)
    resumed = train_classifier(EXAMPLES, tmp_path, epochs=1)
    assert odds_of(resumed, SAD) == pytest.approx(odds_of(whole, SAD))


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_classifier_is_named(model: CrisisModel, tmp_path: Path, how: str) -> None:
    write_classifier(model, tmp_path, certain=1.0, concern=0.0)
    damage(tmp_path, how)
    with pytest.raises(ClassifierError, match=r"the guard's classifier in .* train guard"):
        read_classifier(tmp_path)


def test_thresholds_keep_the_shares_of_false_alarms() -> None:
    traps, ordinary = [number / 100 for number in range(1000)], [-1.0] * 1000
    certain, concern = choose_thresholds(traps, [ordinary])
    assert 0 < sum(odds >= certain for odds in traps) <= 10
    assert concern == -1.0  # traps do not count
    certain, concern = choose_thresholds([-9.0] * 1000, [[-9.0] * 10, traps])
    assert 0 < sum(odds >= certain for odds in traps) <= 4
    assert 20 < sum(odds >= concern for odds in traps) <= 30


def test_each_writer_is_read_by_a_model_that_has_not_seen_it(model: CrisisModel) -> None:
    lines = [Line(f"w{number}", "+", "suicide", "plain", f"text {number}") for number in range(5)]
    seen: list[set[str]] = []

    def learn(some: object, _: str) -> CrisisModel:
        seen.append({line.writer for line in some})  # type: ignore[attr-defined]
        return model

    left_out = leave_writers_out(lines, learn, folds=2)
    assert seen == [{"w1", "w3"}, {"w0", "w2", "w4"}]
    assert left_out == pytest.approx(odds_of(model, [line.text for line in lines]), abs=1e-3)


def test_a_long_message_is_read_in_windows_that_overlap() -> None:
    words = [f"word{number}" for number in range(150)]
    cut = windows(" ".join(words))
    assert [part.split()[0] for part in cut] == ["word0", "word30", "word60", "word90"]
    assert set(" ".join(cut).split()) == set(words)
    assert windows("one two") == ["one two"]
