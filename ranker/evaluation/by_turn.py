"""Writing an evaluation turn by turn, as JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import replacing
from langgraph_cooper.ranker.data.labels import LabelledTurn
from langgraph_cooper.ranker.evaluation.report import Evaluation

SHOWN = ("hit@1", "hit@3", "precision@1", "ndcg@5")
"""Metrics of each ranking in a line."""


def write_turns(path: str | Path, evaluation: Evaluation) -> None:
    """Write a JSON line for each measured turn, all or nothing.

    Raises:
        DataError: The file cannot be written; an old one stays as it was.
    """
    try:
        with replacing(Path(path)) as file:
            for row in turn_rows(evaluation):
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None


def turn_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Yield each measured turn with its candidates, their scores and the metrics.

    Yields:
        `dialogue` (its id), `index` (position of the real utterance in it), `round`, `promoted`,
        `candidates` (`aspect`, `topic`, `label`, `similarity`) and `rankings`. Each ranking has the
        `scores` in the order of the candidates, with None for NaN and infinity, and the metrics of
        `SHOWN`.
    """
    measured = evaluation.measured
    columns = {name: found.columns() for name, found in evaluation.figures.items()}
    for row, turn in enumerate(measured.turns):
        yield {
            "dialogue": measured.dialogues[turn.dialogue].id,
            "index": turn.turn.index,
            "round": turn.round,
            "promoted": sorted(turn.promoted),
            "candidates": _candidates(turn),
            "rankings": {
                name: {
                    "scores": [_finite(value) for value in scores[row]],
                    **{metric: float(columns[name][metric][row]) for metric in SHOWN},
                }
                for name, scores in evaluation.scores.items()
            },
        }


def _candidates(turn: LabelledTurn) -> list[dict[str, Any]]:
    labels, similarity = turn.labels.tolist(), turn.similarity.tolist()
    return [
        {"aspect": c.aspect, "topic": c.topic, "label": label, "similarity": round(near, 6)}
        for c, label, near in zip(turn.turn.candidates, labels, similarity, strict=True)
    ]


def _finite(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return float(value) if math.isfinite(value) else None
