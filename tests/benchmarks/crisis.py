"""Measures what the safety guard finds and misses: `python -m tests.benchmarks.crisis`.

The lines are those of tests/faults/crisis_lines by writers that were held out; `--others` shows
those that the classifier learnt from. The corpus is tests/faults/crisis.toml. With `--esconv FILE`
it also counts the messages of real seekers; `--lines FILE` reads other lines ("+ text", "- text").
`--show` prints what was missed and what fired, for a person to judge: never on held-out writers.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from langgraph_cooper.graph.training.lines import Line, read_lines
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.nodes.crisis.reading import read_meaning
from tests.faults.corpus import BENIGN, CRISIS, DRESSED, ENGLISH, SPLIT, shuffled

LINES = Path(__file__).parents[1] / "faults" / "crisis_lines"
HELD_OUT = ("w02", "w06", "w09", "w12", "w15", "w20", "w22", "w46", "w47", "w48", "w49", "w50")
PAIRS = ("w27", "w28")  # came later: held out, too, and reported apart
HARD = [f"w{number:02d}" for number in range(1, 15)]  # of the first brief


def corpus() -> None:
    """Count misses, disguised words and false alarms on the corpus."""
    missed = [said for said, _ in CRISIS if not _fires(said)]
    print(f"phrases             {len(CRISIS):5d}   missed {len(missed)}")
    print(f"split over turns    {len(SPLIT):5d}   missed {_missed(' '.join(p) for p, _ in SPLIT)}")
    for name, change in DRESSED.items():
        print(f"  {name:29s} {len(ENGLISH):5d}   missed {_missed(change(s) for s, _ in ENGLISH)}")
    fired = [said for said, _ in BENIGN if _fires(said)]
    print(f"benign              {len(BENIGN):5d}   fired {len(fired)} {fired or ''}")
    said = shuffled()
    joined = [" ".join(said[i : i + 3]) for i in range(len(said) - 2)]
    print(f"benign, three read together {len(joined)}   fired {sum(map(_fires, joined))}")


def writers(others: bool) -> None:
    """Count the tiers of each writer's lines, one message at a time."""
    held_out = HELD_OUT + PAIRS
    lines = [line for line in read_lines(LINES) if (line.writer in held_out) != others]
    groups: list[tuple[str, Callable[[Line], bool]]] = [
        ("all but the pairs", lambda line: line.writer not in PAIRS),
        ("as hard as they could", lambda line: line.writer in HARD),
        ("as on an ordinary day", lambda line: "w15" <= line.writer <= "w22"),
        ("of every kind", lambda line: line.writer >= "w29"),
        ("pairs", lambda line: line.writer in PAIRS),
    ]
    for title, chosen in groups:
        if not (some := [line for line in lines if chosen(line)]):
            continue
        print(f"\n{'learnt from' if others else 'held out'}, {title}: {len(some)} lines")
        _table("crisis", [line for line in some if line.label == "+"], lambda line: line.how)
        _table("crisis", [line for line in some if line.label == "+"], lambda line: line.kind)
        _table("trap", [line for line in some if line.how == "trap"], lambda line: line.kind)
        _table("ordinary", [line for line in some if line.how == "ordinary"], lambda _: "")


def _table(name: str, lines: Sequence[Line], key: Callable[[Line], str]) -> None:
    for value in ["all", *sorted({key(line) for line in lines} - {""})]:
        tiers = [read_meaning(line.text).tier for line in lines if value in ("all", key(line))]
        certain = sum(tier == "certain" for tier in tiers)
        either = sum(tier != "none" for tier in tiers)
        print(
            f"  {name + ' ' + value:20s} {len(tiers):5d}   certain {_share(certain, len(tiers))}"
            f"   certain or concern {_share(either, len(tiers))}"
        )


def _share(count: int, number: int) -> str:
    """Return a share with Wilson's 95 % interval."""
    if not number:
        return "-"
    share, z = count / number, 1.96
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number**2))
    half /= 1 + z * z / number
    return f"{share:.3f} [{middle - half:.3f}, {middle + half:.3f}]"


def other_lines(file: Path, show: bool) -> None:
    """Count the tiers of lines "+ text" and "- text"."""
    rows = [row for row in file.read_text(encoding="utf-8").splitlines() if row[:2] in ("+ ", "- ")]
    for mark in "+-":
        found = [(read_meaning(row[2:]), row[2:]) for row in rows if row[0] == mark]
        tiers = Counter(finding.tier for finding, _ in found)
        print(f"{file.name} {mark}  {len(found):5d}   {dict(tiers)}")
        for finding, text in found if show else ():
            if (finding.tier == "none") == (mark == "+"):
                print(f"  {finding.tier}: {text}")


def speed() -> None:
    """Measure the milliseconds for one message that was not read before."""
    for name, read in (("by phrases", crisis_kind.__wrapped__), ("by meaning", read_meaning)):
        times = []
        for said, _ in BENIGN:
            began = time.perf_counter()
            read(f"{said} Well.")
            times.append(1000 * (time.perf_counter() - began))
        print(f"per message {name}  {statistics.median(times):.2f} ms (median of {len(times)})")


def conversations(file: Path, show: bool) -> None:
    """Count the tiers of the seekers' messages of ESConv."""
    lines = file.read_text(encoding="utf-8").splitlines()
    dialogues = [
        [turn["text"] for turn in json.loads(line)["dialog"] if turn["speaker"] == "usr"]
        for line in lines
    ]
    found = [[(read_meaning(text), text) for text in texts] for texts in dialogues]
    flat = [each for dialogue in found for each in dialogue]
    for tier in ("certain", "concern"):
        hits = [each for each in flat if each[0].tier == tier]
        touched = sum(any(f.tier == tier for f, _ in dialogue) for dialogue in found)
        print(
            f"{file.name}: {len(flat)} messages, {tier} {_share(len(hits), len(flat))} "
            f"{dict(Counter(f.kind for f, _ in hits))}; {touched} of {len(found)} conversations"
        )
        for finding, text in hits if show else ():
            print(f"  {finding.tier} {finding.kind}: {text}")


def _fires(text: str) -> bool:
    return read_meaning(text).tier != "none"


def _missed(texts: Iterable[str]) -> int:
    return sum(not _fires(text) for text in texts)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--esconv", type=Path, action="append", default=[])
    parser.add_argument("--lines", type=Path, action="append", default=[])
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    writers(others=False)
    if given.others:
        writers(others=True)
    corpus()
    speed()
    for file in given.esconv:
        conversations(file, given.show)
    for file in given.lines:
        other_lines(file, given.show)


if __name__ == "__main__":
    main()
