"""Scores of another program: matched with the measured turns, and refused where they do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.evaluation.given_scores import ScoreFile
from langgraph_cooper.ranker.evaluation.report import MeasuredTurns
from tests.ranker.toys import encode, toy_dialogues, toy_task

Row = dict[str, Any]


@pytest.fixture
def measured() -> MeasuredTurns:
    return MeasuredTurns.label(toy_dialogues(2), toy_task(load_task("esc").prompts), encode)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[list[Row]], Path]:
    def write(rows: list[Row]) -> Path:
        file = tmp_path / "scores.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
        return file

    return write


def rows() -> list[Row]:
    """Seven numbers for each turn, the last candidate's the highest."""
    places = [(f"toy-{number}", index) for number in (0, 1) for index in (1, 3, 5)]
    return [
        {"dialogue": name, "index": index, "scores": [index + place for place in range(7)]}
        for name, index in places
    ]


def test_lines_in_any_order_and_of_other_turns(
    measured: MeasuredTurns, write: Callable[[list[Row]], Path]
) -> None:
    other = {"dialogue": "toy-9", "index": 1, "scores": [], "note": "not measured"}
    scores = ScoreFile.read(write([other, *reversed(rows())])).of(measured)
    assert [values.tolist() for values in scores] == [row["scores"] for row in rows()]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found[:-2], ("2 of the 6", "'toy-1', index 3", "add a line")),
        (lambda found: [], ("no scores for 6 of the 6",)),
        (lambda found: [*found[:3], {**found[3], "scores": [1, 2]}, *found[4:]],
         ("line 4", "'toy-1', index 1, has 7 candidates and 2 scores")),
        (lambda found: [*found, found[1]], ("line 7", "'toy-0', index 3", "on line 2")),
        (lambda found: [{**found[0], "scores": [1, "2"]}], ("line 1: scores.1", "valid number")),
        (lambda found: [{**found[0], "scores": [float("nan")]}], ("line 1: scores.0", "finite")),
        (lambda found: [found[0], {"dialogue": "a", "scores": []}], ("line 2: index", "required")),
        (lambda found: [{**found[0], "index": "1"}], ("line 1: index", "integer")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_error_with_the_file_and_the_line(
    change: Callable[[list[Row]], list[Row]],
    words: tuple[str, ...],
    measured: MeasuredTurns,
    write: Callable[[list[Row]], Path],
) -> None:
    with pytest.raises(DataError) as error:
        ScoreFile.read(write(change(rows()))).of(measured)
    assert all(word in str(error.value) for word in ("scores.jsonl", *words)), error.value


def test_an_unreadable_line_or_file_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    with pytest.raises(DataError, match=r"scores\.jsonl cannot be read"):
        ScoreFile.read(file)
    file.write_text('{"dialogue": "a", "index": 1, "scores": [1]}\n{"dialogue": ', "utf-8")
    with pytest.raises(DataError, match=r"scores\.jsonl, line 2: not JSON"):
        ScoreFile.read(file)
    file.write_text("[1, 2]", "utf-8")
    with pytest.raises(DataError, match=r"scores\.jsonl, line 1: a JSON object"):
        ScoreFile.read(file)
