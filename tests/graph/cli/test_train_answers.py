"""`cooper train answers`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("peft")

from langgraph_cooper.nodes.offline.cross_encoder import read_cross_encoder
from langgraph_cooper.prompts import load_task
from tests.support.commands import Cooper

ANSWERS = load_task("esc").answers[:8]


def write(file: Path) -> Path:
    lines = [
        {"task": "esc", "source": source, "dialogue": f"talk {number}", "said": answer.heard[0],
         "replies": [answer.say[0], ANSWERS[number - 1].say[0]], "grades": f"{number % 2}0"}
        for number, answer in enumerate(ANSWERS)
        for source in ("learnt", "held")
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def test_it_trains_measures_and_writes(cooper: Cooper, tmp_path: Path) -> None:
    data, model = write(tmp_path / "graded.jsonl"), tmp_path / "model"
    options = ("--data", data, "--output", model, "--epochs", 1)
    done = cooper("train", "answers", "--held-out", "held", *options)
    assert done.code == 0, done.err
    assert "prepared answers that were held out: regression" in done.out
    config = read_cross_encoder(model).form
    assert config.tasks == ("esc",)
    assert config.stacking is not None


def test_an_output_that_cannot_be_made_is_named(cooper: Cooper, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    data, model = write(tmp_path / "graded.jsonl"), tmp_path / "file" / "model"
    options = ("--data", data, "--output", model, "--held-out", "held")
    cooper("train", "answers", *options).fails(str(model), "name another --output")


@pytest.mark.parametrize(
    ("held_out", "told"),
    [("other", "no source 'other'"), ("", "nothing is held out"), ("learnt,held", "but not all")],
)
def test_sources_are_held_out_by_name(
    cooper: Cooper, tmp_path: Path, held_out: str, told: str
) -> None:
    data, model = write(tmp_path / "graded.jsonl"), tmp_path / "model"
    options = ("--data", data, "--output", model)
    cooper("train", "answers", "--held-out", held_out, *options).fails(told)
    assert not model.exists()
