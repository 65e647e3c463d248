"""ESConv (Liu et al. 2021): as JSONL, and as the JSON list of its first release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue, Speaker
from langgraph_cooper.ranker.data.jsonl import read_json_lines, read_json_list
from langgraph_cooper.ranker.data.report import LoadReport
from langgraph_cooper.ranker.data.turns import Turn, merge

SPEAKERS: Mapping[str, Speaker] = {
    "usr": "user",
    "seeker": "user",
    "sys": "system",
    "supporter": "system",
}


def read_esconv_lines(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    """Read JSONL, a dialogue a line."""
    for line, fields in read_json_lines(path):
        place = f"{path}, line {line}"
        turns = _esconv_turns(fields, place)
        yield merge(f"{path.stem}-{line}", turns, report, place)


def read_esconv_list(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    """Read `ESConv.json`, a list of dialogues."""
    for number, fields in enumerate(read_json_list(path), start=1):
        place = f"{path}, dialogue {number}"
        yield merge(f"{path.stem}-{number}", _esconv_turns(fields, place), report, place)


def _esconv_turns(fields: object, place: str) -> Iterator[Turn]:
    turns = fields.get("dialog") if isinstance(fields, dict) else None
    if not isinstance(turns, list) or not turns:
        raise DataError(f'{place}: a list "dialog" with turns is expected')
    for number, turn in enumerate(turns, start=1):
        try:
            speaker = SPEAKERS[turn["speaker"]]
            text = turn["text"] if "text" in turn else turn["content"]
            annotation = turn.get("annotation") or {}
            strategy = turn.get("strategy", annotation.get("strategy"))
            yield Turn(speaker, text.strip(), (strategy,) if strategy else ())
        except (KeyError, TypeError, AttributeError):
            raise DataError(
                f"{place}: turn {number} needs a speaker (usr or sys) and a text"
            ) from None
