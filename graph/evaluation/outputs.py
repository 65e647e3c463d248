"""Replies of other programs, read from files and aligned with the turns of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

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
    system turn, of all or of those with a strategy other than "Others".

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
    found: Replies | None = None
    for rows in _row_sets(turns):
        if len(rows) == len(lines):
            found = Replies({row: Reply(line) for row, line in zip(rows, lines, strict=True)})
            _check_content(file, found, turns)
            return found
    counts = " or ".join(f"{len(rows):,}" for rows in _row_sets(turns))
    raise DataError(
        f"{file} has {len(lines):,} replies, but the data has {counts} system turns (all, or those "
        "with a strategy other than Others): bring one line for each of them, in the data's order"
    )


def _row_sets(turns: RealTurns) -> list[list[int]]:
    every = list(range(len(turns.turns)))
    labelled = [row for row in every if not set(turns.strategies(row)) <= UNLABELLED]
    return [every] + [labelled] * (0 < len(labelled) < len(every))


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
