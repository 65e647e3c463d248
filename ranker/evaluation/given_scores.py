"""Scores of another program for the turns that are measured, read from a JSONL file.

The file has one turn a line; other fields are ignored:

    {"dialogue": "esc-17", "index": 3, "scores": [0.2, 1.5, -0.3]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from langgraph_cooper.prompts.errors import first_fault
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import read_json_lines
from langgraph_cooper.ranker.evaluation.baselines import Scores
from langgraph_cooper.ranker.evaluation.report import MeasuredTurns


class _Scored(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    dialogue: str
    index: int
    scores: list[FiniteFloat]


@dataclass(frozen=True)
class ScoreFile:
    """The scores in a file, not yet matched with turns.

    Attributes:
        path: The file, for messages.
        lines: (Dialogue's id, position of the real utterance) -> (line number, scores).
    """

    path: Path
    lines: Mapping[tuple[str, int], tuple[int, list[float]]]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            DataError: The file cannot be read, a line of it is malformed, or two lines are about
                the same turn (names the line).
        """
        path = Path(path)
        lines: dict[tuple[str, int], tuple[int, list[float]]] = {}
        for number, fields in read_json_lines(path):
            try:
                row = _Scored.model_validate(fields)
            except ValidationError as error:
                raise DataError(
                    f"{path}, line {number}: {first_fault(error)}: a line has the dialogue's "
                    "id, the index of the utterance and a number for each candidate"
                ) from None
            first_line, _ = lines.setdefault((row.dialogue, row.index), (number, row.scores))
            if first_line != number:
                raise DataError(
                    f"{path}, line {number}: dialogue {row.dialogue!r}, index {row.index}, has "
                    f"scores already, on line {first_line}: remove one of the two"
                )
        return cls(path, lines)

    def of(self, measured: MeasuredTurns) -> Scores:
        """Return for each measured turn its candidates' scores [n]; other turns are ignored.

        Raises:
            DataError: A measured turn has no scores, or not one for each candidate.
        """
        keys = [(measured.dialogues[t.dialogue].id, t.turn.index) for t in measured.turns]
        if missing := [key for key in keys if key not in self.lines]:
            dialogue, index = missing[0]
            raise DataError(
                f"{self.path} has no scores for {len(missing):,} of the {len(keys):,} measured "
                f"turns, such as dialogue {dialogue!r}, index {index}: add a line for each"
            )
        scores: Scores = []
        for (dialogue, index), turn in zip(keys, measured.turns, strict=True):
            line, values = self.lines[dialogue, index]
            if len(values) != len(turn.labels):
                raise DataError(
                    f"{self.path}, line {line}: dialogue {dialogue!r}, index {index}, has "
                    f"{len(turn.labels)} candidates and {len(values)} scores: give one for each, "
                    "in the order of the candidates"
                )
            scores.append(np.array(values, np.float64))
        return scores
