"""Turns as the data sets' files have them, and merging consecutive turns of one speaker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from langgraph_cooper.ranker.data.dialogue import Dialogue, validated
from langgraph_cooper.ranker.data.report import LoadReport


class Turn(NamedTuple):
    """A turn before merging."""

    speaker: str
    text: str
    strategies: tuple[str, ...] = ()


def turns_of(item: object) -> list[dict[str, Any]]:
    """The turns of a conversation in a JSON file; none if it has another shape."""
    turns = item.get("dialog") if isinstance(item, dict) else None
    return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []


def merge(name: str, turns: Iterable[Turn], report: LoadReport, place: str) -> Dialogue:
    """Build a dialogue with the id `name`, whose speakers take turns; count empty turns."""
    merged: list[Turn] = []
    for turn in turns:
        if not turn.text:
            report.empty_turns += 1
        elif merged and merged[-1].speaker == turn.speaker:
            last = merged.pop()
            merged.append(
                Turn(turn.speaker, f"{last.text} {turn.text}", (*last.strategies, *turn.strategies))
            )
        else:
            merged.append(turn)
    fields = {"id": name, "utterances": [turn._asdict() for turn in merged]}
    return validated(Dialogue, fields, place)


def merged_position(turns: Sequence[Turn], speaker: str) -> int:
    """The position, after merging, of a turn that `speaker` adds to `turns`."""
    changes = sum(a.speaker != b.speaker for a, b in pairwise(turns))
    return changes + (turns[-1].speaker != speaker) if turns else 0
