"""An evaluation turn by turn: its lines say what the report sums up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior, promoted_turns
from langgraph_cooper.ranker.evaluation.by_turn import SHOWN, turn_rows, write_turns
from langgraph_cooper.ranker.evaluation.report import Evaluation, MeasuredTurns
from tests.ranker.toys import encode, toy_dialogues, toy_task


@pytest.fixture
def evaluation() -> Evaluation:
    task = toy_task(load_task("esc").prompts)
    dialogues = toy_dialogues(3)
    measured = MeasuredTurns.label(dialogues, task, encode)
    best = [turn.labels.astype(np.float64) for turn in measured.turns]
    undecided = [np.full(len(turn.labels), np.nan) for turn in measured.turns]
    prior = AspectPrior.count(promoted_turns(dialogues, task))
    return Evaluation(measured, prior, {"undecided": undecided, "cooper": best})


def test_a_line_has_the_turn_its_candidates_and_each_ranking(evaluation: Evaluation) -> None:
    rows = list(turn_rows(evaluation))
    assert [(row["dialogue"], row["index"], row["round"]) for row in rows[:4]] == [
        ("toy-0", 1, 1), ("toy-0", 3, 2), ("toy-0", 5, 3), ("toy-1", 1, 1),
    ]  # fmt: skip
    assert [row["promoted"] for row in rows[:3]] == [["explore"], ["comfort"], ["act"]]
    second = rows[1]
    assert sorted(candidate["label"] for candidate in second["candidates"]) == list(range(1, 8))
    best = max(second["candidates"], key=lambda candidate: candidate["label"])
    assert (best["aspect"], best["topic"]) == ("comfort", "comfort work")
    assert best["similarity"] > 0.5
    assert second["rankings"]["cooper"]["scores"] == [c["label"] for c in second["candidates"]]
    assert all(second["rankings"]["cooper"][metric] == pytest.approx(1.0) for metric in SHOWN)
    assert second["rankings"]["undecided"]["scores"] == [None] * 7  # JSON has no NaN
    assert second["rankings"]["undecided"]["precision@1"] == 0.0


def test_the_means_over_the_lines_are_the_reports(evaluation: Evaluation, tmp_path: Path) -> None:
    file = tmp_path / "turns.jsonl"
    write_turns(file, evaluation)
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert rows == list(turn_rows(evaluation))
    for name, figures in evaluation.figures.items():
        for metric in SHOWN:
            mean = np.mean([row["rankings"][name][metric] for row in rows])
            assert mean == pytest.approx(figures.means()[metric])


def test_a_file_that_cannot_be_written_is_one_error(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", "utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_turns(tmp_path / "taken" / "turns.jsonl", evaluation)
