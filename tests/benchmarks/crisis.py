"""Measures what the safety guard finds and misses: `python -m tests.benchmarks.crisis`.

The corpus is tests/faults/crisis.toml; tests/faults/crisis_lines has lines by independent writers.
With `--esconv FILE` it also counts the messages of real seekers that fire; `--show` prints them,
for a person to judge.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path

from langgraph_cooper.nodes.crisis.phrases import crisis_kind, phrase_book
from tests.faults.corpus import BENIGN, CRISIS, DRESSED, ENGLISH, SPLIT, shuffled

LINES = Path(__file__).parents[1] / "faults" / "crisis_lines"
HELD_OUT = ("w02", "w06", "w09", "w12")


def corpus() -> None:
    """Count misses, disguised words and false alarms on the corpus."""
    missed = [said for said, _ in CRISIS if not crisis_kind(said)]
    print(f"phrases             {len(CRISIS):5d}   missed {len(missed)}")
    print(f"split over turns    {len(SPLIT):5d}   missed {_missed(' '.join(p) for p, _ in SPLIT)}")
    for name, change in DRESSED.items():
        print(f"  {name:29s} {len(ENGLISH):5d}   missed {_missed(change(s) for s, _ in ENGLISH)}")
    fired = [said for said, _ in BENIGN if crisis_kind(said)]
    print(f"benign              {len(BENIGN):5d}   fired {len(fired)} {fired or ''}")
    said = shuffled()
    joined = [" ".join(said[i : i + 3]) for i in range(len(said) - 2)]
    print(f"benign, three read together {len(joined)}   fired {sum(map(_fires, joined))}")


def writers() -> None:
    """Count what fires of each writer's lines, one message at a time; held-out writers first."""
    table = {}
    for file in sorted(LINES.glob("*.tsv"), key=lambda file: (file.name[:3] not in HELD_OUT, file)):
        lines = [row.split("\t") for row in file.read_text("utf-8").splitlines()]
        table[file.stem] = {
            label: [_fires(text) for mark, _, text in lines if mark == label] for label in "+-"
        }
    held = {name: name[:3] in HELD_OUT for name in table}
    for name, wanted in (("held out", True), ("the others", False)):
        own = [table[writer] for writer in held if held[writer] is wanted]
        table[name] = {label: [fired for f in own for fired in f[label]] for label in "+-"}
    for name, fired in table.items():
        crisis, harmless = (f"{sum(fired[x])} of {len(fired[x])}" for x in "+-")
        print(f"{name:24s} crisis: {crisis} fired   harmless: {harmless} fired")


def speed() -> None:
    """Measure the milliseconds for one message, normalisation included."""
    book, times = phrase_book(), []
    for said, _ in BENIGN:
        began = time.perf_counter()
        book.kind_of(said)
        times.append(1000 * (time.perf_counter() - began))
    print(f"per message         {statistics.median(times):.3f} ms (median of {len(times)})")


def conversations(file: Path, show: bool) -> None:
    """Count the seekers' messages of ESConv that fire."""
    lines = file.read_text(encoding="utf-8").splitlines()
    dialogues = [
        [turn["text"] for turn in json.loads(line)["dialog"] if turn["speaker"] == "usr"]
        for line in lines
    ]
    found = [(crisis_kind(text), text) for texts in dialogues for text in texts]
    hits = [(kind, text) for kind, text in found if kind]
    touched = sum(any(map(crisis_kind, texts)) for texts in dialogues)
    print(
        f"{file.name}: {len(found)} messages, {len(hits)} fired "
        f"{dict(Counter(k for k, _ in hits))}; {touched} of {len(dialogues)} conversations"
    )
    for kind, text in hits if show else ():
        print(f"  {kind}: {text}")


def _fires(text: str) -> bool:
    return crisis_kind(text) is not None


def _missed(texts: object) -> int:
    return sum(not _fires(text) for text in texts)  # type: ignore[attr-defined]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--esconv", type=Path, action="append", default=[])
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    corpus()
    writers()
    speed()
    for file in given.esconv:
        conversations(file, given.show)


if __name__ == "__main__":
    main()
