"""Lets readers who cannot use the page of `cooper evaluate rate` rate whole conversations, blind.

python -m tests.benchmarks.blind sheets --conversations talks.jsonl --ratings rated.jsonl
    --rater one --limit 180 --each 60 --output sheets/
python -m tests.benchmarks.blind keep --conversations talks.jsonl --ratings rated.jsonl
    --rater one --limit 180 --each 60 --answers sheets/one-1.answers.txt ...
cooper evaluate ratings rated.jsonl --conversations talks.jsonl

`sheets` writes the pairs in the rater's own order and sides, as the page shows them, in parts. An
answer is a line: the pair's number and id as the sheet has them, then L (left), R (right) or T
(tie) for each question, in the order that the sheet begins with. `keep` adds the answers to the
file of ratings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation
from langgraph_cooper.graph.evaluation.rating.ratings import Ratings, asked_of, rater_name
from langgraph_cooper.graph.evaluation.rating.rows import Answer, conversation_id, read_pairs
from langgraph_cooper.prompts import load_task

SHORT = 6  # characters of a pair's id
LETTERS: dict[str, Answer] = {"L": "left", "T": "tie", "R": "right"}


def opened(given: argparse.Namespace) -> Ratings:
    """Open the file of the ratings."""
    pairs = read_pairs(given.conversations)
    asked = asked_of(load_task(pairs.task))
    return Ratings(pairs, asked, given.ratings, seed=given.seed, limit=given.limit)


def sheets(given: argparse.Namespace) -> None:
    """Write the pairs that a rater has not rated, in parts."""
    ratings = opened(given)
    asked = asked_of(load_task(read_pairs(given.conversations).task))
    head = "".join(f"{at}. {name}: {text}\n" for at, (name, text) in enumerate(asked.items(), 1))
    given.output.mkdir(parents=True, exist_ok=True)
    everything = enumerate(ratings.order(given.rater), 1)
    numbered = ((at, id) for at, id in everything if not ratings.rating(given.rater, id))
    for part in count(1):
        some = islice(numbered, given.each)
        shown = [
            f"{at} {id[:SHORT]}\n" + "\n".join(_shown(ratings, given.rater, id)) for at, id in some
        ]
        if not shown:
            break
        file = given.output / f"{given.rater}-{part}.txt"
        file.write_text(head + "\n" + "\n\n".join(shown) + "\n", encoding="utf-8")
        print(f"{file}: {len(shown)} pairs")


def _shown(ratings: Ratings, rater: str, id: str) -> Iterator[str]:
    pair = ratings.pairs[id]
    by_id = {conversation_id(row): row for row in (pair.one, pair.other)}
    for side, row in zip(("LEFT", "RIGHT"), ratings.sides(rater, id), strict=True):
        yield f"--- {side}"
        yield from _lines(by_id[row])


def _lines(row: Conversation) -> Iterator[str]:
    for said in row.said:
        yield f"{'Person' if said.speaker == 'user' else 'SYSTEM'}: {said.text}"


def keep(given: argparse.Namespace) -> None:
    """Add a rater's answers to the file of the ratings."""
    ratings = opened(given)
    order = ratings.order(given.rater)
    for file in given.answers:
        for line in filter(str.strip, file.read_text(encoding="utf-8").splitlines()):
            number, short, *letters = line.split()
            if len(letters) != len(ratings.dimensions) or not {*letters} <= {*LETTERS}:
                raise SystemExit(f"{file}: not a letter for each question: {line}")
            id = order[int(number) - 1]
            if id[:SHORT] != short:
                raise SystemExit(f"{file}: {number} is another pair than {short}: another --limit?")
            answers = {
                name: LETTERS[letter]
                for name, letter in zip(ratings.dimensions, letters, strict=True)
            }
            ratings.answer(given.rater, id, ratings.sides(given.rater, id)[0], answers)
    done = sum(ratings.rating(given.rater, id) is not None for id in order)
    print(f"{given.rater}: {done} of {len(order)} pairs are rated")


def main() -> None:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["sheets", "keep"])
    parser.add_argument("--conversations", type=Path, required=True)
    parser.add_argument("--ratings", type=Path, required=True)
    parser.add_argument("--rater", type=rater_name, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--each", type=int, default=60, help="pairs of a sheet")
    parser.add_argument("--answers", type=Path, nargs="+")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    (sheets if given.step == "sheets" else keep)(given)


if __name__ == "__main__":
    main()
