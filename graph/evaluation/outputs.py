"""Replies of other programs, read from files and aligned with the turns of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from langgraph_cooper.graph.evaluation.generation import RealTurns, Replies
from langgraph_cooper.graph.evaluation.speakers import Reply
from langgraph_cooper.graph.evaluation.text_metrics import tokenized
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import read_json_lines, read_text

UNLABELLED = frozenset({"Others"})
"""Strategies of turns that some systems leave out."""

SHIFTS = (-3, -2, -1, 1, 2, 3)
PARTS = 4  # of a file; each is checked for itself, so that a line missing in its middle is seen
LEAST_LINES = 200  # for the check by content: fewer lines say too little


def read_lines(file: Path) -> list[str]:
    """Read the lines of a text file; an empty line is an empty text.

    Raises:
        DataError: The file cannot be read, or is empty.
    """
    text = read_text(file)
    if not text.strip():
        raise DataError(f"{file} is empty: one text per line is expected")
    return text.removesuffix("\n").split("\n")


def read_outputs(file: Path, turns: RealTurns) -> Replies:
    """Read another system's replies.

    A JSONL file of this program names the turn of each reply. In a text file line n is the n-th
    system turn, of all or of those with a strategy other than "Others". A number of lines between
    the two is aligned by content.

    Args:
        file: The replies.
        turns: All turns of the data set.

    Raises:
        DataError: The file is empty, its number of lines fits no set of turns, or its lines
            resemble the neighbouring turns more than their own.
    """
    if file.suffix == ".jsonl":
        return _read_kept(file, turns)
    lines = read_lines(file)
    every, labelled = _row_sets(turns)
    if len(lines) == len(every):
        rows = every
    elif len(lines) == len(labelled):
        rows = labelled
    elif len(labelled) < len(lines) < len(every):
        rows = _aligned(lines, turns)
    else:
        raise DataError(
            f"{file} has {len(lines):,} replies, but the data has {len(every):,} or "
            f"{len(labelled):,} system turns (all, or those with a strategy other than Others): "
            "bring one line for each of them, in the data's order"
        )
    found = Replies({row: Reply(line) for row, line in zip(rows, lines, strict=True)})
    _check_content(file, found, turns)
    return found


def _row_sets(turns: RealTurns) -> tuple[list[int], list[int]]:
    """Return the places of all turns, and of those with a strategy other than Others."""
    every = list(range(len(turns.turns)))
    return every, [row for row in every if not set(turns.strategies(row)) <= UNLABELLED]


def _aligned(lines: Sequence[str], turns: RealTurns) -> list[int]:
    """Return the place of each line's turn, where a system left out some turns of Others.

    Of all alignments in order that leave out such turns alone, it is the one whose lines share the
    rarest words with their turns and the two utterances before. It is approximate, and as likeness
    decides, a little too good where it errs.
    """
    count, gaps = len(turns.turns), len(turns.turns) - len(lines)
    said = [set(tokenized(line).split()) for line in lines]
    near = [set(tokenized(turns.neighbourhood(row)).split()) for row in range(count)]
    rare = _rarity(near)
    _, labelled = _row_sets(turns)
    optional = np.ones(count, bool)
    optional[labelled] = False

    def likeness(row: int) -> npt.NDArray[np.float64]:
        """[gaps + 1] of the row to the line that is its own after so many gaps."""
        found = np.full(gaps + 1, -np.inf)
        for gap in range(max(0, row - len(lines) + 1), min(gaps, row) + 1):
            words = said[row - gap]
            found[gap] = rare(words & near[row]) / (1 + rare(words))
        return found

    best = np.full(gaps + 1, -np.inf)  # of the rows so far, by the number left out
    best[0] = 0.0
    left_out = np.zeros((count, gaps + 1), bool)
    for row in range(count):
        taken = best + likeness(row)
        passed = np.full(gaps + 1, -np.inf)
        if optional[row]:
            passed[1:] = best[:-1]
        left_out[row] = passed > taken
        best = np.maximum(passed, taken)
    rows, gap = [], gaps
    for row in range(count - 1, -1, -1):
        if left_out[row, gap]:
            gap -= 1
        else:
            rows.append(row)
    return rows[::-1]


def _read_kept(file: Path, turns: RealTurns) -> Replies:
    rows = {(turn.dialogue.id, turn.index): row for row, turn in enumerate(turns.turns)}
    found: dict[int, Reply] = {}
    for line, fields in read_json_lines(file):
        try:
            row = rows[str(fields["dialogue"]), int(fields["index"])]
            found[row] = Reply(str(fields["reply"]), fields.get("aspect"))
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"{file}, line {line}: not a reply to a turn of this data set (dialogue, index, "
                "reply): name the data that it was made for"
            ) from None
    if not found:
        raise DataError(f"{file} is empty: it holds no replies")
    return Replies(found)


def _check_content(file: Path, replies: Replies, turns: RealTurns) -> None:
    """Refuse a file whose lines fit a shifted alignment better, in the whole or in a part."""
    rows = sorted(replies.by_row)
    if len(rows) < LEAST_LINES:
        return
    said = [set(tokenized(replies.by_row[row].text).split()) for row in rows]
    near = [set(tokenized(turns.neighbourhood(row)).split()) for row in rows]
    rare = _rarity(near)
    size = -(-len(rows) // PARTS)
    for start in range(0, len(rows), size):
        part = range(start, min(start + size, len(rows)))
        own = _overlap(said, near, part, 0, rare)
        best = max(SHIFTS, key=lambda shift: _overlap(said, near, part, shift, rare))
        if _overlap(said, near, part, best, rare) > own:
            raise DataError(
                f"{file}: lines {part.start + 1:,} to {part.stop:,} resemble the turns {best:+d} "
                "places away more than their own: a line is missing or added, or the file is of "
                "another split"
            )


def _rarity(texts: Sequence[set[str]]) -> Callable[[set[str]], float]:
    """Return a function that adds up how rare words are."""
    import math
    from collections import Counter

    counts = Counter(word for text in texts for word in text)
    weights = {word: math.log(len(texts) / count) for word, count in counts.items()}
    return lambda words: sum(weights.get(word, 0.0) for word in words)


def _overlap(
    said: Sequence[set[str]],
    near: Sequence[set[str]],
    part: range,
    shift: int,
    rare: Callable[[set[str]], float],
) -> float:
    """Mean weight of the words that replies share with the turns `shift` places away."""
    pairs = [(row, row + shift) for row in part if 0 <= row + shift < len(near)]
    return sum(rare(said[row] & near[other]) for row, other in pairs) / max(len(pairs), 1)
