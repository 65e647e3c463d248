"""Turns as a data set has them, and merging those of one speaker that follow one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from langgraph_cooper.ranker.data.dialogue import Dialogue
from langgraph_cooper.ranker.data.jsonl import check
from langgraph_cooper.ranker.data.report import LoadReport


class Turn(NamedTuple):
    """One turn as a data set's file has it, before merging."""

    speaker: str
    text: str
    strategies: tuple[str, ...] = ()


def merge(name: str, turns: Iterable[Turn], report: LoadReport, place: str) -> Dialogue:
    """One dialogue whose speakers take turns."""
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
    return check(Dialogue, {"id": name, "utterances": [turn._asdict() for turn in merged]}, place)


def merged_position(turns: Sequence[Turn], speaker: str) -> int:
    """The position, after merging, of a turn that `speaker` adds to `turns`."""
    changes = sum(a.speaker != b.speaker for a, b in pairwise(turns))
    return changes + (turns[-1].speaker != speaker) if turns else 0
