"""Who rates which pair next, and what was answered until now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from langgraph_cooper.graph.evaluation.interactive.rows import digest
from langgraph_cooper.graph.evaluation.judging.dimensions import dimensions_of
from langgraph_cooper.graph.evaluation.judging.pairs import Pair
from langgraph_cooper.graph.evaluation.kept import KeptRows
from langgraph_cooper.graph.evaluation.rating.errors import RatingError
from langgraph_cooper.graph.evaluation.rating.rows import (
    OVERALL,
    RATINGS,
    Answer,
    Pairs,
    Rating,
    checked,
    ids_of,
    rating_key,
    settings_of,
)
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError

LONGEST_NAME = 60
"""Characters of a rater's name."""

LONGEST_COMMENT = 4_000


def asked_of(task: TaskSpec) -> dict[str, str]:
    """Return what is asked about each pair: dimension -> question, the overall one last."""
    return {**dimensions_of(task), OVERALL: "All in all, which conversation is better?"}


def rater_name(given: str) -> str:
    """Return a rater's name with single spaces.

    Raises:
        RatingError: There is none, it is too long, or it has characters that cannot be seen.
    """
    name = " ".join(given.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise RatingError(f"a rater's name has 1 to {LONGEST_NAME} characters: give such a name")
    return name


class Ratings:
    """The ratings of a file of pairs, which several raters add to at the same time.

    Args:
        pairs: The pairs.
        questions: What is asked: dimension -> question.
        file: Where the answers are kept: a row is written and flushed before it is confirmed.
        seed: Of the order of pairs and sides.
        limit: The number of pairs to rate; None: all.

    Raises:
        DataError: The file holds something else, or ratings of other conversations or another
            task; or it cannot be opened.
    """

    def __init__(
        self,
        pairs: Pairs,
        questions: Mapping[str, str],
        file: Path,
        *,
        seed: int,
        limit: int | None = None,
    ) -> None:
        self.dimensions, self.seed = tuple(questions), seed
        # The same pairs for every rater, or they could not be compared.
        chosen = sorted(pairs.by_id, key=lambda id: digest("chosen", seed, id))[:limit]
        self.pairs: Mapping[str, Pair] = {id: pairs.by_id[id] for id in chosen}
        self._file, self._settings = file, settings_of(pairs.task, questions)
        self._kept = self._opened()
        self._rows = checked(self._kept.rows, file, pairs)

    def raters(self) -> list[str]:
        """Return the names of all who have rated."""
        return sorted({row.rater for row in self._rows.values()})

    def known_as(self, given: str) -> str:
        """Return a rater's name as it was written first: "anna" is "Anna" who rated before.

        Raises:
            RatingError: It is no name.
        """
        name = rater_name(given)
        return next((one for one in self.raters() if one.casefold() == name.casefold()), name)

    def order(self, rater: str) -> list[str]:
        """Return the ids of the pairs in a rater's own order; pairs that are added keep it."""
        return sorted(self.pairs, key=lambda id: digest("order", self.seed, rater, id))

    def sides(self, rater: str, id: str) -> tuple[str, str]:
        """Return the ids of the left and the right conversation; a rated pair stays as it was."""
        if found := self.rating(rater, id):
            return found.left, found.right
        one, other = ids_of(self.pairs[id])
        # Not by the systems' order in the file, or another file's order would change the sides.
        is_swapped = int(digest("sides", self.seed, rater, id), 16) % 2 != (one > other)
        return (other, one) if is_swapped else (one, other)

    def rating(self, rater: str, id: str) -> Rating | None:
        """Return what a rater answered about a pair."""
        return self._rows.get(rating_key(id, rater))

    def answer(
        self, rater: str, id: str, left: str, answers: Mapping[str, Answer], comment: str = ""
    ) -> None:
        """Keep an answer; a rater's later answer about a pair replaces an earlier one.

        Args:
            rater: The rater, as of `known_as`.
            id: The pair's.
            left: The id of the conversation that was on the left.
            answers: Every dimension's.
            comment: What the rater added.

        Raises:
            RatingError: A dimension has no answer or is unknown, or `left` is none of the pair's.
            DataError: The file cannot be written.
        """
        one, other = ids_of(self.pairs[id])
        if left not in (one, other):
            raise RatingError("the page shows other conversations than the server: load it again")
        if missing := [name for name in self.dimensions if name not in answers]:
            raise RatingError(f"{missing[0]} has no answer: choose left, tie or right")
        if unknown := [name for name in answers if name not in self.dimensions]:
            raise RatingError(f"nobody asked about {unknown[0]!r}: load the page again")
        self._add(
            Rating(
                key=rating_key(id, rater), pair=id, left=left,
                right=other if left == one else one, rater=rater,
                answers={name: answers[name] for name in self.dimensions}, seed=self.seed,
                at=datetime.now(UTC), comment=comment[:LONGEST_COMMENT],
            )
        )  # fmt: skip

    def counts(self, rater: str) -> dict[str, dict[Answer, int]]:
        """Return how often a rater chose which side, by dimension."""
        own = [row for pair in self.pairs if (row := self.rating(rater, pair))]
        found: dict[str, dict[Answer, int]] = {}
        for name in self.dimensions:
            given = Counter(row.answers[name] for row in own if name in row.answers)
            found[name] = {"left": given["left"], "tie": given["tie"], "right": given["right"]}
        return found

    def _add(self, row: Rating) -> None:
        try:
            with self._kept.writing():  # removes half a row that a stop left
                self._kept.add(row.model_dump(mode="json"))
        except DataError:
            # A full disk may have taken half a row: the next one must not follow it on its line.
            self._kept = self._opened()
            raise
        self._rows[row.key] = row

    def _opened(self) -> KeptRows:
        return KeptRows(self._file, RATINGS, self._settings)
