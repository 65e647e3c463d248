"""`cooper train guard`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("peft")

from langgraph_cooper.nodes.crisis.classifier import read_classifier
from tests.support.commands import Cooper

HINT = "I sorted out who gets the cat"


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    """Files to learn from, as options of the command."""
    lines = tmp_path / "lines"
    lines.mkdir()
    for writer in ("w01", "w02", "w03"):
        (lines / f"{writer}.tsv").write_text(
            f"-\tnews\tIt rained.\n+\tsuicide\t{HINT}\n-\teveryday\tordinary\tGet to the point.\n",
            encoding="utf-8",
        )
    (lines / "w04.tsv").write_text("malformed\n", encoding="utf-8")
    dialogues = tmp_path / "train.txt"
    with dialogues.open("w", encoding="utf-8") as file:
        for lost in ("job", "keys", "way", "watch"):
            turn = {"speaker": "usr", "text": f"I lost my {lost}."}
            file.write(json.dumps({"dialog": [turn, {"speaker": "sys", "text": "Oh."}]}) + "\n")
    return {"--lines": lines, "--dialogues": dialogues}


def options(data: dict[str, Path], output: Path) -> list[str | Path]:
    given = [part for option in data.items() for part in option]
    return [*given, "--output", output, "--epochs", "1", "--held-out", "w04"]


@pytest.mark.parametrize(
    ("chosen", "models", "crises"),
    [
        (("--folds", "2"), ["all: 9 lines", "fold-0: 3 lines", "fold-1: 6 lines"], 3),
        (("--chosen-on", "w03"), ["all: 6 lines"], 1),
    ],
)
def test_it_trains_chooses_the_thresholds_and_writes(
    cooper: Cooper, data: dict[str, Path], tmp_path: Path, chosen: tuple[str, str],
    models: list[str], crises: int,
) -> None:  # fmt: skip
    model = tmp_path / "model"
    done = cooper("train", "guard", *chosen, *options(data, model))
    assert done.code == 0, done.err
    assert [line for line in done.err.splitlines() if line.endswith(" lines")] == models
    assert f" of {crises} crises" in done.out
    config = read_classifier(model).config
    assert 0.0 not in (config.certain, config.concern)  # chosen, not those of the form


def test_lines_without_a_trap_are_refused_before_the_training(
    cooper: Cooper, data: dict[str, Path], tmp_path: Path
) -> None:
    for file in data["--lines"].glob("w0[1-3].tsv"):
        file.write_text(f"+\tsuicide\t{HINT}\n", encoding="utf-8")
    cooper("train", "guard", *options(data, tmp_path / "model")).fails("no trap")


def test_an_output_that_is_a_file_is_refused_before_the_training(
    cooper: Cooper, data: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "model"
    output.write_text("mine", encoding="utf-8")
    cooper("train", "guard", *options(data, output)).fails("model is no folder: name another")
    cooper("train", "relevance", "--data", tmp_path, "--output", output).fails("is no folder")
    assert output.read_text(encoding="utf-8") == "mine"
