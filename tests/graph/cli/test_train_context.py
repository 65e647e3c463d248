"""`cooper train context`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("peft")

from langgraph_cooper.nodes.crisis.context import read_context_model
from tests.support.commands import Cooper

HINT = "I sorted out who gets the cat"


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    """Files to learn from, as options of the command."""
    talks, lines = tmp_path / "talks", tmp_path / "lines"
    talks.mkdir()
    lines.mkdir()
    marked = ["# crisis suicide", "-\tI am so tired.", f"+\t{HINT}",
              "# harmless", "-\tWe move to Spain.", f"-\t{HINT}"]  # fmt: skip
    for writer in ("c01", "c02", "c03"):
        (talks / f"{writer}.tsv").write_text("\n".join(marked) + "\n", encoding="utf-8")
    (talks / "c04.tsv").write_text("malformed\n", encoding="utf-8")
    for writer in ("w01", "w02", "w03"):
        (lines / f"{writer}.tsv").write_text(
            f"-\tnews\tIt rained.\n+\tsuicide\t{HINT}\n", encoding="utf-8"
        )
    dialogues = tmp_path / "train.txt"
    for lost in ("job", "keys", "way", "watch"):
        turns = [
            {"speaker": "usr", "text": f"I lost my {lost}."},
            {"speaker": "sys", "text": "Oh."},
        ]
        with dialogues.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"dialog": turns}) + "\n")
    return {"--talks": talks, "--lines": lines, "--dialogues": dialogues}


def options(data: dict[str, Path], output: Path) -> list[str | Path]:
    given = [part for option in data.items() for part in option]
    given += ["--output", output, "--epochs", "1", "--held-out", "c04,w02"]
    return [*given, "--lines-chosen-on", "w03"]


def test_it_trains_chooses_the_threshold_and_writes(
    cooper: Cooper, data: dict[str, Path], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    done = cooper("train", "context", "--talks-chosen-on", "c02", *options(data, model))
    assert done.code == 0, done.err
    assert "13 messages to learn from" in done.err  # of two writers, two lines, three real ones
    (pool,) = read_context_model(model).form.pools
    assert pool.classifier_sha256
    assert f"a share of {pool.share}" in done.out
    weights = (model / "model.safetensors").read_bytes()
    again = cooper(
        "train", "context", "--talks-chosen-on", "c02", *options(data, model), "--thresholds-only"
    )
    assert again.code == 0, again.err
    assert "to learn from" not in again.err
    assert read_context_model(model).form.pools == (pool,)
    assert (model / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("chosen_on", "told"),
    [
        ("c05", "--talks-chosen-on: there is no writer 'c05', but c01, c02, c03"),
        ("", 'without conversations with "+" and "-" by the writers of --talks-chosen-on'),
    ],
)
def test_writers_are_held_apart_by_name(
    cooper: Cooper, data: dict[str, Path], tmp_path: Path, chosen_on: str, told: str
) -> None:
    model = tmp_path / "model"
    cooper("train", "context", "--talks-chosen-on", chosen_on, *options(data, model)).fails(told)
    assert not model.exists()


def test_a_mistyped_writer_is_not_learnt_from(
    cooper: Cooper, data: dict[str, Path], tmp_path: Path
) -> None:
    given = ["c4,w02" if part == "c04,w02" else part for part in options(data, tmp_path / "m")]
    told = "--held-out: there is no writer 'c4', but c01, c02, c03, c04, w01, w02, w03"
    cooper("train", "context", "--talks-chosen-on", "c02", *given).fails(told)


def test_a_malformed_file_is_named(cooper: Cooper, data: dict[str, Path], tmp_path: Path) -> None:
    (data["--talks"] / "c01.tsv").write_text("It is late.\n", encoding="utf-8")
    given = options(data, tmp_path / "model")
    cooper("train", "context", "--talks-chosen-on", "c02", *given).fails("c01.tsv, line 1")
