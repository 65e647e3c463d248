"""Evaluation and priors on the real data sets, where they are at hand."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from langgraph_cooper.graph.cli import main
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.reading import load_dialogues
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior, load_prior, promoted_turns
from langgraph_cooper.ranker.load import shipped_checkpoint

DATA = Path(os.environ.get("COOPER_DATA", "data"))
ESC, PERSUASION = load_task("esc"), load_task("persuasion")


def real(name: str) -> Path:
    file = DATA / name
    if not file.is_file():
        pytest.skip(f"set COOPER_DATA to a folder that holds {name}")
    return file


def test_the_shipped_prior_is_that_of_the_training_dialogues() -> None:
    train = load_dialogues(real("esconv/train.txt"), ESC)
    counted = AspectPrior.count(promoted_turns(train, ESC))
    folder = shipped_checkpoint(ESC)
    assert folder is not None
    shipped = load_prior(folder, ESC)
    assert shipped.rounds == counted.rounds
    assert shipped.majority_aspect == "comforting"


def test_candidates_of_a_language_model_are_ranked(tmp_path: Path, monkeypatch, capsys) -> None:
    items = json.loads(real("p4g_annotated/dev.json").read_text("utf-8"))
    some = tmp_path / "some.json"
    some.write_text(json.dumps(items[:6]), "utf-8")
    arguments = ("--task", "persuasion", "--data", str(some), "--annotated", "--json")
    monkeypatch.setattr(sys, "argv", ["cooper", "evaluate", "ranking", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    report = json.loads(capsys.readouterr().out)
    assert report["turns"] > 40
    assert report["one_candidate"] == 0
    rankings = report["rankings"]
    assert rankings["cooper"]["hit"][2] > rankings["random"]["hit"][2]
    assert rankings["prior + similarity"]["precision"][0] > rankings["random"]["precision"][0]
