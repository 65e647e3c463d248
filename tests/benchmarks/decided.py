"""Puts labelled answers together again, and measures how decisions are read.

python -m tests.benchmarks.decided --p4g full_dialog.csv --p4g 300_dialog.xlsx \\
    --output decided.jsonl
python -m tests.benchmarks.decided --p4g full_dialog.csv --p4g 300_dialog.xlsx

`tests/trial/decided.tsv` holds labels of persuadees' messages in Persuasion for Good, but quotes
none: a row names a conversation, the digest of its messages, and a letter for each of them. Where a
second reader's letters follow, the conversation is for measuring alone. With `--output` the others
are written, with the lines of `decided_lines.tsv`, to train `cooper train decisions` on. Without,
what `persuasion` hears is measured on those conversations, with the shipped model and by its cue
words alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.nodes.subjects.in_play import last_mentioned
from langgraph_cooper.prompts import Subject, load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.data.reading import load_dialogues

TRIAL = Path(__file__).parents[1] / "trial"
HELD_OUT = ("w3", "w4", "w12")
"""Writers of `decided_lines.tsv` whose lines the shipped model did not learn from."""
LETTERS = {"N": "none", "A": "agrees", "H": "doubts", "R": "refuses", "M": "enough"}
TASK = load_task("persuasion")


class Labelled(NamedTuple):
    """A conversation whose messages readers have labelled."""

    dialogue: str
    pairs: list[Pair]
    readers: list[list[str]]
    """Each reader's labels of the pairs: of one, or of two."""


def answers(utterances: Sequence[Utterance]) -> Iterator[Pair]:
    """Yield each message of the user's with what the other side had said before."""
    before = ""
    for said in utterances:
        text = " ".join(said.text.split())
        if said.speaker == "user":
            yield Pair(before, text)
        else:
            before = text


def conversations(p4g: Sequence[Path]) -> Iterator[Labelled]:
    """Yield the labelled conversations that are found in files of Persuasion for Good.

    The two files cut some conversations differently: a digest tells the one that was read.
    """
    said = [list(answers(each.utterances)) for file in p4g for each in load_dialogues(file, TASK)]
    known = {digest(pairs): pairs for pairs in said}
    for line in (TRIAL / "decided.tsv").read_text(encoding="utf-8").splitlines():
        dialogue, digest, *readers = line.split("\t")
        if pairs := known.get(digest):
            labels = [[LETTERS[letter] for letter in letters] for letters in readers]
            yield Labelled(dialogue, pairs, labels)


def digest(pairs: Sequence[Pair]) -> str:
    """Return what stands for a conversation."""
    told = "\n".join(pair.second for pair in pairs)
    return hashlib.sha256(told.encode()).hexdigest()[:10]


def lines() -> Iterator[dict[str, str]]:
    """Yield the lines that writers wrote."""
    written = (TRIAL / "decided_lines.tsv").read_text(encoding="utf-8")
    for number, line in enumerate(written.splitlines()):
        writer, letter, before, said = line.split("\t")
        yield row(writer, f"{writer}-{number}", Pair(before, said), LETTERS[letter])


def written() -> Labelled:
    """Return the lines of the writers that were held out, as if one conversation held them all."""
    held = [line for line in lines() if line["source"] in HELD_OUT]
    labels = [line["label"] for line in held]
    return Labelled("", [Pair(line["before"], line["said"]) for line in held], [labels, labels])


def row(source: str, dialogue: str, pair: Pair, label: str) -> dict[str, str]:
    """Return a row to train on."""
    return {"source": source, "dialogue": dialogue, "before": pair.first, "said": pair.second,
            "label": label}  # fmt: skip


def write(
    found: Sequence[Labelled], source: str, output: Path, more: Iterable[dict[str, str]] = ()
) -> None:
    """Write what is learnt from: the conversations of one reader, and more rows."""
    rows = [
        row(source, each.dialogue, pair, label)
        for each in found
        if len(each.readers) == 1
        for pair, label in zip(each.pairs, each.readers[0], strict=True)
    ]
    rows += more
    told = (json.dumps(each, ensure_ascii=False) + "\n" for each in rows)
    output.write_text("".join(told), encoding="utf-8")
    print(f"{len(rows):,} labelled pairs: {output}")


def taken_for(pair: Pair, *, first: bool, read: bool) -> str:
    """Return what a message is taken for.

    Args:
        pair: The message, and what was said before it.
        first: Whether it holds the user's first words.
        read: Whether it is read by meaning; else by cue words.
    """
    before = [Utterance("system", pair.first)] if pair.first else []
    earlier = [] if first else [Utterance("user", "Hello.")]
    history = [*earlier, *before, Utterance("user", pair.second)]
    return _decision(last_mentioned(TASK.subjects, history, read=read))


def all_taken_for(each: Labelled, *, read: bool) -> list[str]:
    """Return what the messages of a conversation are taken for."""
    places = enumerate(each.pairs)
    return [
        taken_for(pair, first=not place and bool(each.dialogue), read=read)
        for place, pair in places
    ]


def _decision(found: Sequence[Subject]) -> str:
    ids = {subject.id for subject in found}
    return "refuses" if ids & {"refuses", "asks_to_stop"} else "agrees" if "agrees" in ids else ""


def measure(found: Sequence[Labelled]) -> None:
    """Print how well both recognise what two readers agree on."""
    for name, read in (("by words", False), ("by meaning", True)):
        told = [all_taken_for(each, read=read) for each in found]
        print(f"{name}:")
        for decision in ("refuses", "agrees"):
            print(f"  {decision}: {_shares(decision, found, told)}")
        print(f"  conversations: {_conversations(found, told)}")
        line = [written()]
        told = [all_taken_for(line[0], read=read)]
        for decision in ("refuses", "agrees"):
            print(f"  {decision}, writers that were held out: {_shares(decision, line, told)}")


def _shares(decision: str, found: Sequence[Labelled], told: Sequence[Sequence[str]]) -> str:
    """Count messages: what one of two readers calls so is neither missed nor wrong."""
    rows = [
        (one, other, read)
        for each, reads in zip(found, told, strict=True)
        for one, other, read in zip(*each.readers, reads, strict=True)
    ]
    sure = [read for one, other, read in rows if one == other == decision]
    wrong = [one for one, other, read in rows if read == decision and decision not in (one, other)]
    kinds: Mapping[str, int] = {kind: wrong.count(kind) for kind in sorted(set(wrong))}
    return f"{sure.count(decision)} of {len(sure)}; wrongly {len(wrong)} {dict(kinds)}"


def _conversations(found: Sequence[Labelled], told: Sequence[Sequence[str]]) -> str:
    ever = first = refusing = falsely = others = 0
    for each, reads in zip(found, told, strict=True):
        one, other = each.readers
        sure = [place for place, pair in enumerate(zip(one, other, strict=True))
                if pair == ("refuses", "refuses")]  # fmt: skip
        if sure:
            refusing += 1
            ever += any(reads[place] == "refuses" for place in sure)
            first += reads[sure[0]] == "refuses"
        elif "refuses" not in (*one, *other):
            others += 1
            falsely += "refuses" in reads
    return (
        f"a no is noticed in {ever} of {refusing}, at once in {first}; taken for one without any "
        f"in {falsely} of {others}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--p4g", type=Path, action="append", required=True)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = list(conversations(given.p4g))
    if given.output:
        write(found, "p4g", given.output, lines())
    else:
        measure([each for each in found if len(each.readers) == 2])


if __name__ == "__main__":
    main()
