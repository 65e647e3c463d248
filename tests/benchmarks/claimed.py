"""Puts labelled replies together again, and measures how claims of a life are told.

python -m tests.benchmarks.claimed --esconv train.txt --output claimed.jsonl
python -m tests.benchmarks.claimed --esconv train.txt

`tests/trial/claimed.tsv` holds labels of what supporters say in ESConv's train split, but quotes
nothing: a row names a conversation by the digest of their turns, and has a letter for each of them.
Where a second reader's letters follow, the conversation is for measuring alone. With `--output` the
others are written, to train `cooper train claims` on. Without, the rule on words and the shipped
model are measured on what both readers agree on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from langgraph_cooper.nodes.finetuned.claims.reading import claims
from langgraph_cooper.nodes.finetuned.rules import Situation, broken
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.benchmarks.crisis_talks import share
from tests.benchmarks.decided import Labelled, digest, write

FILE = Path(__file__).parents[1] / "trial" / "claimed.tsv"
LETTERS = {"N": "none", "B": "borderline", "L": "claims"}
TASK = load_task("esc")


def replies(turns: Sequence[Mapping[str, str]]) -> Iterator[Pair]:
    """Yield each of the supporter's turns with the user's last words before it."""
    words, before = list[str](), ""
    for turn in turns:
        text = " ".join(turn["text"].split())
        if turn["speaker"] == "usr":
            words.append(text)
        elif text:
            before = " ".join(words) or before
            words = []
            yield Pair(before, text)


def conversations(esconv: Path) -> Iterator[Labelled]:
    """Yield the labelled conversations that are found in a file of ESConv."""
    known = {}
    for line in esconv.read_text(encoding="utf-8").splitlines():
        pairs = list(replies(json.loads(line)["dialog"]))
        known[digest(pairs)] = pairs
    for line in FILE.read_text(encoding="utf-8").splitlines():
        name, *readers = line.split("\t")
        if pairs := known.get(name):
            labels = [[LETTERS[letter] for letter in letters] for letters in readers]
            yield Labelled(name, pairs, labels)


def by_words(pair: Pair) -> bool:
    """Return whether the rule on words takes a reply for a claim."""
    situation = Situation(TASK, [Utterance("user", pair.first)])
    return broken(situation, pair.second, ["life"]) is not None


def measure(found: Sequence[Labelled]) -> None:
    """Print what is taken for a claim, by the label that both readers gave."""
    both = [
        (pair, first)
        for each in found
        if len(each.readers) > 1
        for pair, first, second in zip(each.pairs, *each.readers, strict=True)
        if first == second
    ]
    print(f"{len(both)} replies of which two readers say the same")
    for label in LETTERS.values():
        pairs = [pair for pair, given in both if given == label]
        words, read = [by_words(pair) for pair in pairs], [claims(pair) for pair in pairs]
        either = [one or other for one, other in zip(words, read, strict=True)]
        told = (share(sum(each), len(pairs)) for each in (words, read, either))
        print(f"{label} ({len(pairs)}): by words, by meaning, by either: {'; '.join(told)}")


def main() -> None:
    """Write or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--esconv", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = list(conversations(given.esconv))
    if not found:
        parser.error(f"{given.esconv} holds none of the labelled conversations")
    if given.output:
        write(found, "esconv", given.output)
    else:
        measure(found)


if __name__ == "__main__":
    main()
