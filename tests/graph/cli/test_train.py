"""`cooper data stats`, `cooper annotate` and the annotator, on a few dialogues."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.graph.annotation.annotate import annotate
from langgraph_cooper.graph.cli import main
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.download import PublicFile, fetch
from langgraph_cooper.ranker.data.jsonl import read_annotated
from langgraph_cooper.ranker.data.reading import load_dialogues

ESC = load_task("esc")


def _esconv(path: Path, dialogues: int = 3) -> Path:
    turns = [
        ("usr", "I lost my job last week.", None),
        ("sys", "What happened at work?", "Question"),
        ("usr", "My boss closed the office, and I feel so anxious about the rent.", None),
        ("sys", "That must be hard.", "Reflection of feelings"),
        ("usr", "Thank you, that was number {number}.", None),
    ]
    lines = []
    for number in range(dialogues):
        dialog: list[dict[str, Any]] = [
            {"speaker": speaker, "text": text.format(number=number)}
            | ({"strategy": strategy} if strategy else {})
            for speaker, text, strategy in turns
        ]
        lines.append(json.dumps({"dialog": dialog}) + "\n")
    path.write_text("".join(lines), "utf-8")
    return path


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cooper", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_stats_count(tmp_path: Path, monkeypatch, capsys) -> None:
    file = _esconv(tmp_path / "train.txt")
    assert _run(monkeypatch, "data", "stats", str(file), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dialogues"] == 3
    assert found["rounds_per_dialogue"] == 2
    assert found["aspects"]["exploration"] == 0.5


def test_annotation_has_the_agents_work_at_every_system_turn(tmp_path: Path, monkeypatch) -> None:
    source, out = _esconv(tmp_path / "train.txt"), tmp_path / "out.jsonl"
    assert _run(monkeypatch, "annotate", "--data", str(source), "--output", str(out)) == 0
    dialogues = read_annotated(out)
    assert len(dialogues) == 3
    first, second = dialogues[0].turns
    assert [turn.index for turn in (first, second)] == [1, 3]
    assert "lost my job" in first.states["exploration"]
    assert "office" not in first.states["exploration"]
    assert len([c for c in second.candidates if c.aspect == "action"]) == ESC.m
    assert set(dialogues[0].final_states) == set(ESC.aspect_names)


def test_a_killed_annotation_goes_on_where_it_was(tmp_path: Path) -> None:
    dialogues = load_dialogues(_esconv(tmp_path / "train.txt", 4), ESC)
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    asyncio.run(annotate(dialogues, ESC, whole, at_once=1))
    lines = whole.read_text("utf-8").splitlines(keepends=True)
    part.write_text("".join(lines[:2]) + lines[2][:50], "utf-8")
    done: list[int] = []
    asyncio.run(annotate(dialogues, ESC, part, at_once=1, done=done.append))
    assert done == [2, 1, 1]
    assert part.read_text("utf-8") == whole.read_text("utf-8")


def test_a_file_of_something_else_is_not_added_to(tmp_path: Path) -> None:
    out = tmp_path / "diary.txt"
    out.write_text("dear diary\n", "utf-8")
    dialogues = load_dialogues(_esconv(tmp_path / "train.txt"), ESC)
    with pytest.raises(DataError, match="not an annotated dialogue"):
        asyncio.run(annotate(dialogues, ESC, out))
    assert out.read_text("utf-8") == "dear diary\n"


@pytest.mark.parametrize("command", ["stats", "annotate", "train"])
def test_a_missing_or_foreign_file_is_one_error(
    command: str, tmp_path, monkeypatch, capsys
) -> None:
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text('{"a": 1}\n', "utf-8")
    out = str(tmp_path / "out")
    for file in (str(tmp_path / "nothing.txt"), str(foreign)):
        arguments = {
            "stats": ["data", "stats", file],
            "annotate": ["annotate", "--data", file, "--output", out],
            "train": ["train", "--data", file, "--output", out],
        }[command]
        assert _run(monkeypatch, *arguments) == 1
        error = capsys.readouterr().err.strip()
        assert file in error
        assert len(error.splitlines()) == 1


def test_an_output_that_exists_is_told_before_any_work(tmp_path: Path, monkeypatch, capsys) -> None:
    file, out = _esconv(tmp_path / "train.txt"), tmp_path / "out"
    out.mkdir()
    assert _run(monkeypatch, "train", "--data", str(file), "--output", str(out)) == 1
    assert "already exists" in capsys.readouterr().err
    assert not (tmp_path / "out.training").exists()


def test_fetched_files_are_named(tmp_path: Path, monkeypatch, capsys) -> None:
    source = _esconv(tmp_path / "source.txt", 2)
    homes = {"mine": {"train.txt": PublicFile(source.as_uri(), 2)}}
    monkeypatch.setattr(fetch, "__kwdefaults__", {**fetch.__kwdefaults__, "homes": homes})
    folder = tmp_path / "data"
    assert _run(monkeypatch, "data", "fetch", "mine", "--output", str(folder)) == 0
    assert capsys.readouterr().out.split() == [str(folder / "train.txt")]
    assert _run(monkeypatch, "data", "fetch", "yours", "--output", str(folder)) == 1
    assert "unknown data set 'yours'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--adapter-rank", "-1"], "--adapter-rank: Input should be greater than or equal to 0"),
        (["--clusters", "5", "3"], "--clusters: two numbers are expected, from 2"),
        (["--turns-per-batch", "0"], "--turns-per-batch: "),
    ],
)
def test_a_value_out_of_range_is_named_by_its_option(
    options: list[str], says: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    file, out = _esconv(tmp_path / "train.txt"), tmp_path / "out"
    assert _run(monkeypatch, "train", "--data", str(file), "--output", str(out), *options) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: {says}")
    assert len(error.splitlines()) == 1


def test_what_training_is_told_reaches_it_and_the_rest_is_its_own(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    from langgraph_cooper.ranker.training import trainer as training
    from langgraph_cooper.ranker.training.config import TrainConfig
    from langgraph_cooper.ranker.training.losses import Objective

    seen: list[TrainConfig] = []
    monkeypatch.setattr(training, "train", lambda config: seen.append(config) or config.output)
    file, out = _esconv(tmp_path / "train.txt", 12), tmp_path / "out"
    told = [
        "--objective",
        "paper",
        "--adapter-rank",
        "4",
        "--freeze-layers",
        "2",
        "--patience",
        "1",
    ]
    more = [
        "--precision",
        "float32",
        "--device",
        "cpu",
        "--turns-per-batch",
        "3",
        "--no-progression",
    ]
    for options in ([], told + more):
        command = ["train", "--data", str(file), "--output", str(out), *options]
        assert _run(monkeypatch, *command) == 0
    plain, asked = seen
    assert plain == TrainConfig(task="esc", train=plain.train, valid=plain.valid, output=out)
    assert asked.objective == Objective.paper()
    assert (asked.adapter_rank, asked.freeze_layers, asked.patience) == (4, 2, 1)
    assert (asked.precision, asked.device, asked.turns_per_batch) == ("float32", "cpu", 3)
    assert not asked.progression
    # Both splits were annotated once; the second command found them done.
    assert len(read_annotated(asked.train)) + len(read_annotated(asked.valid)) == 12
    assert "0 of them new" in capsys.readouterr().err


def test_training_on_other_dialogues_is_not_mixed_with_an_earlier_start(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    """The first start ends after its annotation; the second names other dialogues."""
    many, few = _esconv(tmp_path / "many.txt", 12), _esconv(tmp_path / "few.txt", 11)
    out = str(tmp_path / "out")
    more = ["--output", out, "--clusters", "50", "60"]
    assert _run(monkeypatch, "train", "--data", str(many), *more) == 1
    assert "too few" in capsys.readouterr().err
    assert _run(monkeypatch, "train", "--data", str(few), *more) == 1
    assert re.search(r"out\.training/\w+\.jsonl, line \d+: the dialogue", capsys.readouterr().err)


def test_the_split_has_a_seed_of_its_own(tmp_path: Path, monkeypatch, capsys) -> None:
    from langgraph_cooper.ranker.training import trainer as training
    from langgraph_cooper.ranker.training.config import TrainConfig

    seen: list[TrainConfig] = []
    monkeypatch.setattr(training, "train", lambda config: seen.append(config) or config.output)
    file = _esconv(tmp_path / "train.txt", 12)
    told = ([], ["--split-seed", "0", "--seed", "5"], ["--split-seed", "3"])
    for number, options in enumerate(told):
        out = str(tmp_path / f"out{number}")
        assert _run(monkeypatch, "train", "--data", str(file), "--output", out, *options) == 0
    plain, same, other = ({d.id for d in read_annotated(config.valid)} for config in seen)
    assert plain == same != other
    assert [config.seed for config in seen] == [0, 5, 0]
    both = ["--valid", str(file), "--split-seed", "3", "--output", str(tmp_path / "out")]
    assert _run(monkeypatch, "train", "--data", str(file), *both) == 2
    assert "without --valid" in capsys.readouterr().err


def test_dialogues_in_both_files_are_told_before_the_annotation(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    data, valid = _esconv(tmp_path / "data.txt", 6), _esconv(tmp_path / "valid.txt", 2)
    out = tmp_path / "out"
    command = ["train", "--data", str(data), "--valid", str(valid), "--output", str(out)]
    assert _run(monkeypatch, *command) == 1
    assert f"2 dialogues are both in {data} and in {valid}" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_too_few_dialogues_to_keep_some_for_the_epoch(tmp_path: Path, monkeypatch, capsys) -> None:
    file = _esconv(tmp_path / "train.txt", 4)
    command = ["train", "--data", str(file), "--output", str(tmp_path / "out")]
    assert _run(monkeypatch, *command) == 1
    error = capsys.readouterr().err
    assert f"{file} holds too few dialogues (4)" in error
    assert "--valid" in error


def test_the_papers_set_up_is_one_word_and_gives_way_to_options(
    tmp_path: Path, monkeypatch
) -> None:
    from langgraph_cooper.ranker.training import trainer as training
    from langgraph_cooper.ranker.training.config import TrainConfig
    from langgraph_cooper.ranker.training.losses import Objective

    seen: list[TrainConfig] = []
    monkeypatch.setattr(training, "train", lambda config: seen.append(config) or config.output)
    file, out = _esconv(tmp_path / "train.txt", 12), tmp_path / "out"
    command = ["train", "--data", str(file), "--output", str(out), "--preset", "paper"]
    assert _run(monkeypatch, *command) == 0
    assert _run(monkeypatch, *command, "--encoder", "mine", "--epochs", "2") == 0
    paper, mine = seen
    assert (paper.form, paper.fusion, paper.evidence) == ("pairwise", "paper", False)
    assert paper.objective == Objective.paper()
    assert paper.encoder.endswith("all-mpnet-base-v2")
    assert (paper.adapter_rank, paper.rate, paper.epochs) == (0, 5e-5, 5)
    assert (mine.encoder, mine.epochs, mine.form) == ("mine", 2, "pairwise")
