"""`cooper train decisions`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

from transformers import Trainer

from langgraph_cooper.graph.training import adapting
from langgraph_cooper.nodes.subjects.decider import read_decider
from tests.support.commands import Cooper


def write(file: Path) -> Path:
    lines = [
        {"source": source, "dialogue": f"talk {number}", "before": "Would you donate?",
         "said": said, "label": decision}
        for number, (said, decision) in enumerate([("No.", "refuses"), ("Yes.", "agrees")] * 4)
        for source in ("learnt", "held")
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def test_it_trains_measures_and_writes(cooper: Cooper, tmp_path: Path) -> None:
    data, model = write(tmp_path / "decided.jsonl"), tmp_path / "model"
    options = ("--data", data, "--output", model, "--every", 1000, "--epochs", 1)
    done = cooper("train", "decisions", "--held-out", "held", *options)
    assert done.code == 0, done.err
    rows = {row.split()[0]: row.split()[-1] for row in done.out.splitlines() if row.strip()}
    told = [float(rows[label]) for label in ("refuses", "agrees", "none")]
    assert told == [4, 4, 0]  # how many there are
    assert "8 answers that were held out" in done.out
    read_decider(model)


@pytest.mark.parametrize(
    ("held_out", "told"),
    [
        ("other", "no source 'other'"),
        ("learnt,held", "but not all"),
        ("", "nothing is held out: name other sources by --held-out, or another --every"),
    ],
)
def test_sources_are_held_out_by_name(
    cooper: Cooper, tmp_path: Path, held_out: str, told: str
) -> None:
    data, model = write(tmp_path / "decided.jsonl"), tmp_path / "model"
    options = ("--data", data, "--output", model, "--every", 100_000)
    cooper("train", "decisions", "--held-out", held_out, *options).fails(told)
    assert not model.exists()


def test_a_training_that_was_stopped_goes_on(
    cooper: Cooper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = write(tmp_path / "decided.jsonl"), tmp_path / "model"
    data.write_text(data.read_text(encoding="utf-8") * 20, encoding="utf-8")  # five batches
    command = ("train", "decisions", "--data", data, "--output", model, "--held-out", "held")
    command = (*command, "--every", 1000, "--epochs", 1)
    monkeypatch.setattr(adapting, "SAVED_EVERY", 0.0)
    steps: list[int] = []
    learn = Trainer.training_step

    def step(self: Trainer, *given: Any, **more: Any) -> Any:
        steps.append(1)
        if len(steps) == 2:
            raise KeyboardInterrupt
        return learn(self, *given, **more)

    monkeypatch.setattr(Trainer, "training_step", step)
    stopped = cooper(*command)
    assert stopped.code == 130
    assert "the same command goes on from" in stopped.err
    assert cooper(*command).code == 0
    assert len(steps) == 6  # of five batches, the second one twice
    read_decider(model)
