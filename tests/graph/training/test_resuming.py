"""A generator's run that was stopped goes on as if it had not been."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("peft")

from langgraph_cooper.graph.cli.app import app
from langgraph_cooper.graph.training.generator import train as training
from langgraph_cooper.graph.training.generator.train import GeneratorTraining, train_generator
from langgraph_cooper.graph.training.resuming import remove_cut_checkpoints
from langgraph_cooper.ranker.model.lora import adapter_tensors
from tests.graph.cli.test_train_generator import dialogues, quick  # noqa: F401
from tests.graph.training.test_generator import BUDGETS, dialogue
from tests.support.tiny_bases import write_base

IDLE = 1e-30  # a learning rate that leaves the loss what it is


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds between any two looks at the clock, and no state saved by it."""
    ticks = count(step=10)
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(training, "SAVE_MINUTES", 1e9)


def settings(folder: Path, **changes: Any) -> GeneratorTraining:
    base = write_base("causal", folder / "base")
    return GeneratorTraining(base=str(base), budgets=BUDGETS, **changes)


def test_a_run_that_had_stopped_early_does_not_learn_on(tmp_path: Path, clock: None) -> None:
    data, run = [dialogue(2)], tmp_path / "run"
    given = settings(tmp_path, epochs=5, rate=IDLE)
    first, figures = train_generator(data, data, run, given)
    saved = sorted(run.glob("checkpoint-*"))
    assert len(saved) == 2  # the second epoch was not better
    again, later = train_generator(data, data, run, given)
    assert sorted(run.glob("checkpoint-*")) == saved
    assert later["seconds"] >= figures["seconds"] - 30  # the last save was a little earlier
    assert {**later, "seconds": 0} == {**figures, "seconds": 0}
    for name, tensor in adapter_tensors(first.model).items():
        assert adapter_tensors(again.model)[name].equal(tensor)


def test_the_figures_of_a_stopped_run_are_those_of_the_whole(
    tmp_path: Path, clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, given = [dialogue(3)], settings(tmp_path, epochs=2, rate=3e-2)
    _, whole = train_generator(data, [], tmp_path / "whole", given)
    run = tmp_path / "run"

    def stop(self: object, args: object, state: Any, control: object, **_: object) -> None:
        if state.epoch > 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training.SaveByClock, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train_generator(data, [], run, given)
    cut = run / "checkpoint-999"
    cut.mkdir()
    (cut / "adapters.pt").write_bytes(b"PK")
    _, resumed = train_generator(data, [], run, given)
    assert resumed["train_loss"] == pytest.approx(whole["train_loss"], abs=2e-3)
    assert resumed["seconds"] >= whole["seconds"] - 30
    assert not cut.exists()


def test_no_state_is_written_over_by_a_later_one(
    tmp_path: Path, clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_MINUTES", 0)
    saved: list[str] = []
    save = training._Trainer._save

    def noted(self: Any, output_dir: str | None = None, state_dict: Any = None) -> None:
        saved.append(Path(str(output_dir)).name)
        save(self, output_dir, state_dict)

    monkeypatch.setattr(training._Trainer, "_save", noted)
    data, given = [dialogue(2), dialogue(2)], settings(tmp_path, epochs=3)
    train_generator(data, data, tmp_path / "run", given)
    assert len(saved) > 3  # those of the clock, too
    assert len(saved) == len(set(saved))


def test_a_step_that_overflows_does_not_enter_the_figures(
    tmp_path: Path, clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = [dialogue(2), dialogue(2)], tmp_path / "run"
    step, factors = training.Trainer.training_step, iter([float("nan")])

    def overflowing(self: Any, *args: Any, **kwargs: Any) -> Any:
        return step(self, *args, **kwargs) * next(factors, 1.0)

    monkeypatch.setattr(training.Trainer, "training_step", overflowing)
    _, figures = train_generator(data, [], run, settings(tmp_path, epochs=2, rate=IDLE))
    assert figures["train_loss"] > 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads((run / "figures.json").read_text("utf-8"), parse_constant=refuse)


def test_the_newest_whole_state_is_found(tmp_path: Path) -> None:
    assert remove_cut_checkpoints(tmp_path / "missing") is None
    for step, state in ((9, "{}"), (10, "{}"), (200, '{"epo')):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    assert remove_cut_checkpoints(tmp_path) == tmp_path / "checkpoint-10"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9"]


@pytest.mark.usefixtures("quick")
def test_what_is_kept_is_not_split_within_an_utterance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, learnt = dialogues(tmp_path, "train", 2), []
    text = data.read_text("utf-8").replace("That is hard.", "That\\u2028is\\u2029hard.\\u0085")
    data.write_text(text, encoding="utf-8")

    def stopped(given: Any, *_: object) -> None:
        learnt.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_generator", stopped)
    command = ["train", "generator", "--data", str(data), "--output", str(tmp_path / "out")]
    command += ["--base", str(write_base("causal", tmp_path / "base"))]
    for _ in range(2):
        CliRunner().invoke(app, command)
    assert len(learnt) == 2
    assert learnt[0] == learnt[1]
    assert learnt[0][0].utterances[1].text == "That\u2028is\u2029hard.\x85"
