"""Files of dialogues that several commands read as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langgraph_cooper.graph.cli.dialogues import read_parts
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.training.config import TrainingError

ESC = load_task("esc")
SAID = [{"speaker": "user", "text": "Hello."}, {"speaker": "system", "text": "Hi."}]


def records(file: Path, **dialogues: list[dict[str, str]]) -> Path:
    lines = [{"id": name, "utterances": said} for name, said in dialogues.items()]
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return file


def test_dialogues_without_utterances_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, other = (records(tmp_path / f"{n}.jsonl", a=SAID, b=[]) for n in ("data", "other"))
    (part,) = read_parts(ESC, [data], [], None)
    assert [dialogue.id for dialogue in part.dialogues] == ["a"]
    assert "1 dialogues without utterances are left out" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="every dialogue is empty or one of those to leave out"):
        read_parts(ESC, [data], [other], None)


def test_dialogues_that_are_there_twice_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, other = (records(tmp_path / f"{n}.jsonl", a=SAID) for n in ("data", "other"))
    (part,) = read_parts(ESC, [data, other], [], None)
    assert [dialogue.id for dialogue in part.dialogues] == ["a"]
    assert "1 dialogues are there twice and are taken once, such as 'a'" in capsys.readouterr().err
