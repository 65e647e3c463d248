"""People's pairwise ratings, in this program's form and in that of the Muffin ratings.

One JSON object a line:

    {"id": "1", "dimension": "empathy", "ratings": ["first", "tie", "first"],
     "first": [{"speaker": "user", "text": "..."}, {"speaker": "system", "text": "..."}],
     "second": [...]}

Muffin's ratings (Wang et al. 2024) are a JSON list per rater. An entry holds a situation, the last
utterances (`context`, "Seeker: ..." or "Supporter: ..."), two replies (`Supporter AB`), and per
dimension "A", "B" or "tie". Several raters' files are joined by `idx`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from langgraph_cooper.graph.evaluation.judging.dimensions import ESC
from langgraph_cooper.prompts.errors import first_fault
from langgraph_cooper.ranker.data.dialogue import DataError, Speaker, Utterance
from langgraph_cooper.ranker.data.jsonl import read_json_lines, read_json_list, read_text

Rating = Literal["first", "second", "tie"]
MUFFIN: Mapping[str, str] = {
    "fluency": "Whose last reply is more fluent and easier to understand?",
    "identification": ESC["identification"],
    "comforting": "Who comforts the seeker better?",
    "suggestion": ESC["suggestion"],
    "overall": "Who supports the seeker better on the whole?",
}
"""Muffin's dimensions."""
LETTERS: Mapping[str, Rating] = {"A": "first", "B": "second", "tie": "tie"}
SPEAKERS: Mapping[str, Speaker] = {"Seeker": "user", "Supporter": "system"}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RatedUtterance(_Record):
    """An utterance of a rated conversation."""

    speaker: Speaker
    text: Annotated[str, StringConstraints(min_length=1)]


class Rated(_Record):
    """Two conversations and people's ratings in one dimension.

    Attributes:
        id: The same for the dimensions of one pair.
        dimension: Its name.
        question: What it asks; empty: what the task's dimension of this name asks.
        first: A conversation.
        second: Another.
        ratings: One per rater.
        unit: What is independent of the other pairs: the role that both played; empty: the pair.
    """

    id: str
    dimension: Annotated[str, StringConstraints(min_length=1)]
    question: str = ""
    first: tuple[RatedUtterance, ...]
    second: tuple[RatedUtterance, ...]
    ratings: tuple[Rating, ...]
    unit: str = ""

    @property
    def majority(self) -> Rating:
        """The commonest rating, as of `majority_of`."""
        return majority_of(self.ratings)

    def talk(self, side: Literal["first", "second"]) -> list[Utterance]:
        """Return one of the conversations."""
        said = self.first if side == "first" else self.second
        return [Utterance(each.speaker, each.text) for each in said]


def majority_of(ratings: Sequence[Rating]) -> Rating:
    """Return the commonest rating.

    A tie gives way to a side, and two sides as strong tie.

    Args:
        ratings: At least one.
    """
    counts = Counter(ratings)
    most = max(counts.values())
    sides = [rating for rating, count in counts.items() if count == most and rating != "tie"]
    return sides[0] if len(sides) == 1 else "tie"


def read_ratings(files: Sequence[Path]) -> list[Rated]:
    """Read ratings of either form; several files are Muffin's raters.

    Raises:
        DataError: A file cannot be read, holds none, or is malformed (names the place).
    """
    if not files:
        raise DataError("no file of ratings is named")
    if read_text(files[0]).lstrip().startswith("["):
        return _muffin(files)
    if len(files) > 1:
        raise DataError(f"{files[1]}: several files are read only in the form of Muffin's ratings")
    lines = read_json_lines(files[0])
    found = [_rated(fields, f"{files[0]}, line {line}") for line, fields in lines]
    if not found:
        raise DataError(f"{files[0]} holds no ratings: see docs/judging.md for the form")
    return found


def _rated(fields: Mapping[str, Any], place: str) -> Rated:
    try:
        rated = Rated.model_validate(fields)
    except ValidationError as error:
        raise DataError(f"{place} is no rating ({first_fault(error)})") from None
    if not rated.ratings:
        raise DataError(f"{place} is no rating (ratings: there is none)")
    return rated


def _muffin(files: Sequence[Path]) -> list[Rated]:
    raters = [_by_pair(file) for file in files]
    _check_same_pairs(files, raters)
    found: list[Rated] = []
    for idx, entry in raters[0].items():
        place = f"{files[0]}, pair {idx}"
        try:
            talks = _talks(entry)
            for dimension, question in MUFFIN.items():
                given = [rows[idx].get(dimension) for rows in raters]
                if letters := [letter for letter in given if letter]:
                    fields = {
                        "id": str(idx), "dimension": dimension, "question": question,
                        "ratings": [LETTERS[letter] for letter in letters], **talks,
                        "unit": str(entry.get("situation") or ""),
                    }  # fmt: skip
                    found.append(_rated(fields, place))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _no_muffin(place, error) from None
    if not found:
        raise DataError(f"{files[0]} holds no ratings: its dimensions are empty")
    return found


def _by_pair(file: Path) -> dict[Any, Mapping[str, Any]]:
    """Return a rater's entries by the pair's `idx`."""
    found: dict[Any, Mapping[str, Any]] = {}
    for number, row in enumerate(read_json_list(file)):
        try:
            idx = row["idx"]
            if idx in found:
                raise DataError(f"{file} has two entries of the pair {idx}: leave one")
            found[idx] = dict(row)
        except (KeyError, TypeError, ValueError) as error:
            raise _no_muffin(f"{file}, entry {number}", error) from None
    return found


def _check_same_pairs(files: Sequence[Path], raters: Sequence[Mapping[Any, object]]) -> None:
    """Refuse raters who rated different pairs: some of their ratings would be lost.

    Raises:
        DataError: A file lacks an entry of another.
    """
    everything = dict.fromkeys(idx for rows in raters for idx in rows)
    for file, rows in zip(files, raters, strict=True):
        if missing := [idx for idx in everything if idx not in rows]:
            raise DataError(
                f"{file} has no entry {missing[0]}, which another file has: every rater's file "
                "needs the same pairs"
            )


def _no_muffin(place: str, error: Exception) -> DataError:
    return DataError(f"{place} has not the columns of Muffin's ratings ({error})")


def _talks(entry: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Return the two conversations: the same utterances, each with its own reply."""
    context = []
    for line in entry["context"]:
        who, _, text = str(line).partition(":")
        context.append({"speaker": SPEAKERS[who.strip()], "text": text.strip() or "…"})
    first, second = entry["Supporter AB"]
    replies = [{"speaker": "system", "text": str(text).strip() or "…"} for text in (first, second)]
    return {"first": [*context, replies[0]], "second": [*context, replies[1]]}
