"""All raters' answers about a pair together, in the form that a judge is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation
from langgraph_cooper.graph.evaluation.judging.ratings import Rated, RatedUtterance
from langgraph_cooper.graph.evaluation.judging.ratings import Rating as Side
from langgraph_cooper.graph.evaluation.rating.rows import Pairs, Rating
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import replacing

RESULTS: Mapping[Side, int] = {"first": 1, "tie": 0, "second": -1}
"""What a side is for the pair's one system."""

SIDES: Mapping[int, Side] = {result: side for side, result in RESULTS.items()}


def rated_together(
    pairs: Pairs, ratings: Sequence[Rating], questions: Mapping[str, str]
) -> list[Rated]:
    """Return each rated pair in each dimension, with one rating of every rater who answered.

    The first conversation is that of the system that comes first in the file of conversations.
    """
    by_pair: dict[str, list[Rating]] = {}
    for rating in sorted(ratings, key=lambda one: one.rater):
        by_pair.setdefault(rating.pair, []).append(rating)
    found = []
    for id, given in by_pair.items():
        pair = pairs.by_id[id]
        first, second = _said(pair.one), _said(pair.other)
        for dimension, question in questions.items():
            results = [one.result(pair, dimension) for one in given]
            sides = tuple(SIDES[result] for result in results if result is not None)
            if sides:
                found.append(
                    Rated(
                        id=id, dimension=dimension, question=question, first=first, second=second,
                        ratings=sides, unit=pair.unit,
                    )
                )  # fmt: skip
    return found


def write_rated(rated: Sequence[Rated], file: Path) -> None:
    """Write what `cooper evaluate judge --calibrate` reads.

    Raises:
        DataError: The file cannot be written; an old one stays as it was.
    """
    try:
        with replacing(file) as stream:
            stream.writelines(one.model_dump_json().encode() + b"\n" for one in rated)
    except OSError as error:
        raise DataError(f"{file} cannot be written: {error.strerror}") from None


def _said(row: Conversation) -> tuple[RatedUtterance, ...]:
    return tuple(RatedUtterance(speaker=one.speaker, text=one.text) for one in row.said if one.text)
