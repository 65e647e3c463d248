"""Measures what the safety guard finds and misses: `python -m tests.benchmarks.crisis`.

The lines are those of tests/faults/crisis_lines by writers that were held out; `--others` shows
those that the classifier learnt from. The corpus is tests/faults/crisis.toml. With `--esconv FILE`
it also counts the messages of real seekers; `--lines FILE` reads other lines ("+ text", "- text").
`--show` prints what was missed and what fired, for a person to judge: never on held-out writers.
`--denials` reads those of tests/faults/crisis_denials alone.
`--rarer` reads as in a task with that setting of the guard. With `--opinions FILE` (a tier, a tab,
a line) a second reader's findings count where no crisis is certain, on the lines of that file;
with `--second MODEL` a chat model is asked for those that it lacks, on all lines. `--talks` reads
the whole conversations of tests/faults/crisis_talks: is each crisis noticed before it ends? With
it, `--trial FILE` counts what is asked in the `esc` conversations of a file of tests/trial, and
`--patient` lets a first faint concern pass, as a task's guard with that setting does. `--context`
reads those of tests/faults/crisis_context, in which earlier messages tell what a later one means.
With either of these, `--opinions FILE` has the second reader's findings in context (see
crisis_talks.py), and the other reader's are counted on the same conversations; `--second MODEL`
asks for those that the file lacks. `--slips SHARE` puts slips of the keyboard into a share of the
longer words of these conversations. `--alone` reads by the classifier alone, as where the context
model cannot be loaded. `--without-corpus` leaves out what takes longest. COOPER_GUARD_ENCODER names
the larger encoder, as it does for the guard.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from functools import cache, partial
from pathlib import Path
from typing import cast

from langgraph_cooper.graph.training.lines import Line, read_lines
from langgraph_cooper.graph.training.talks import read_talks
from langgraph_cooper.nodes.crisis.classifier import (
    LARGER,
    SHIPPED,
    CrisisClassifier,
    read_classifier,
)
from langgraph_cooper.nodes.crisis.course import Finding, Reader, Tier, ToRead
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.nodes.crisis.reading import ENCODER, Readers, doubts, readers
from langgraph_cooper.nodes.llm import chat_model
from langgraph_cooper.nodes.llm.crisis import llm_crisis_reader
from langgraph_cooper.nodes.second_reader import Opinions
from langgraph_cooper.prompts import GuardSettings, load_task
from tests.benchmarks.crisis_talks import conversations, seekers, share, talks, with_opinions
from tests.benchmarks.replies import conversations as trial_conversations
from tests.benchmarks.slips import with_slips
from tests.faults.corpus import BENIGN, CRISIS, DRESSED, ENGLISH, SPLIT, shuffled

LINES = Path(__file__).parents[1] / "faults" / "crisis_lines"
TALKS = Path(__file__).parents[1] / "faults" / "crisis_talks"
CONTEXT = TALKS.parent / "crisis_context"
DENIALS = TALKS.parent / "crisis_denials"
HELD_OUT_TALKS = ("c07", "c08", "c13", "c14", "c21", "c23", "c30", "c32", "c37", "c38")
HELD_OUT = ("w02", "w06", "w09", "w12", "w15", "w20", "w22", "w46", "w47", "w48", "w49", "w50")
PAIRS = ("w27", "w28")  # came later: held out, too, and reported apart
EVERYDAY = ("w51", "w64", "w71")  # everyday messages alone, likewise
HARD = [f"w{number:02d}" for number in range(1, 15)]  # of the first brief


def corpus(read: Reader) -> None:
    """Count misses, disguised words and false alarms on the corpus."""

    def fires(text: str) -> bool:
        return read(text).tier != "none"

    def missed(texts: Iterable[str]) -> int:
        return sum(not fires(text) for text in texts)

    print(f"phrases             {len(CRISIS):5d}   missed {missed(said for said, _ in CRISIS)}")
    print(f"split over turns    {len(SPLIT):5d}   missed {missed(' '.join(p) for p, _ in SPLIT)}")
    for name, change in DRESSED.items():
        print(f"  {name:29s} {len(ENGLISH):5d}   missed {missed(change(s) for s, _ in ENGLISH)}")
    fired = [said for said, _ in BENIGN if fires(said)]
    print(f"benign              {len(BENIGN):5d}   fired {len(fired)} {fired or ''}")
    said = shuffled()
    joined = [" ".join(said[i : i + 3]) for i in range(len(said) - 2)]
    print(f"benign, three read together {len(joined)}   fired {sum(map(fires, joined))}")


def writers(others: bool, read: Reader, only: Set[str] = frozenset()) -> None:
    """Count the tiers of each writer's lines, one message at a time."""
    held_out = HELD_OUT + PAIRS + EVERYDAY
    lines = [line for line in read_lines(LINES) if (line.writer in held_out) != others]
    lines = [line for line in lines if not only or line.text in only]
    groups: list[tuple[str, Callable[[Line], bool]]] = [
        ("all but the pairs", lambda line: line.writer not in PAIRS and line.writer < "w51"),
        ("as hard as they could", lambda line: line.writer in HARD),
        ("as on an ordinary day", lambda line: "w15" <= line.writer <= "w22"),
        ("of every kind", lambda line: "w29" <= line.writer <= "w50"),
        ("everyday messages", lambda line: line.writer >= "w51"),
        ("pairs", lambda line: line.writer in PAIRS),
    ]
    for title, chosen in groups:
        if not (some := [line for line in lines if chosen(line)]):
            continue
        print(f"\n{'learnt from' if others else 'held out'}, {title}: {len(some)} lines")
        _table(read, "crisis", [line for line in some if line.label == "+"], lambda line: line.how)
        _table(read, "crisis", [line for line in some if line.label == "+"], lambda line: line.kind)
        _table(read, "trap", [line for line in some if line.how == "trap"], lambda line: line.kind)
        _table(read, "ordinary", [line for line in some if line.how == "ordinary"], lambda _: "")


def _table(read: Reader, name: str, lines: Sequence[Line], key: Callable[[Line], str]) -> None:
    for value in ["all", *sorted({key(line) for line in lines} - {""})]:
        tiers = [read(line.text).tier for line in lines if value in ("all", key(line))]
        certain = sum(tier == "certain" for tier in tiers)
        either = sum(tier != "none" for tier in tiers)
        print(
            f"  {name + ' ' + value:20s} {len(tiers):5d}   certain {share(certain, len(tiers))}"
            f"   certain or concern {share(either, len(tiers))}"
        )


def opinions_of(file: Path) -> dict[str, Finding]:
    """Read a second reader's findings: a tier and a line in each row."""
    rows = [row.split("\t", 1) for row in file.read_text(encoding="utf-8").splitlines()]
    return {text: Finding(cast(Tier, tier)) for tier, text in rows}


def ask_second(model: str, file: Path) -> dict[str, Finding]:
    """Ask a chat model about the held-out lines that a file lacks; write its findings there."""
    known = opinions_of(file) if file.exists() else {}
    reader = llm_crisis_reader(load_task("esc"), chat_model(model))
    held_out = HELD_OUT + PAIRS + EVERYDAY
    texts = [line.text for line in read_lines(LINES) if line.writer in held_out]
    waiting = [text for text in texts if text not in known and doubts(text)]
    with file.open("a", encoding="utf-8") as out:
        for number, text in enumerate(waiting, start=1):
            known[text] = reader.invoke(ToRead(text))
            out.write(f"{known[text].tier}\t{text}\n")
            out.flush()
            print(f"\r{number} of {len(waiting)} asked", end="", file=sys.stderr)
    return known


def second_reader(read: Reader, found: dict[str, Finding], only: Set[str]) -> None:
    """Count the tiers with the second reader's findings."""
    print("\nwith the second reader")
    opinions = Opinions({ToRead(text).digest: each for text, each in found.items() if doubts(text)})
    writers(False, opinions.over(read), only)


def other_lines(file: Path, show: bool, read: Reader) -> None:
    """Count the tiers of lines "+ text" and "- text"."""
    rows = [row for row in file.read_text(encoding="utf-8").splitlines() if row[:2] in ("+ ", "- ")]
    for mark in "+-":
        found = [(read(row[2:]), row[2:]) for row in rows if row[0] == mark]
        tiers = Counter(finding.tier for finding, _ in found)
        told = {tier: share(tiers[tier], len(found)) for tier in ("certain", "concern")}
        print(f"{file.name} {mark}  {len(found):5d}   {told}")
        for finding, text in found if show else ():
            if (finding.tier == "none") == (mark == "+"):
                print(f"  {finding.tier}: {text}")


def speed(read: Reader) -> None:
    """Measure the milliseconds for one message that was not read before, after six others."""
    before = tuple(said for said, _ in BENIGN[:6])
    for name, reads in (
        ("by phrases", crisis_kind.__wrapped__),
        ("by meaning", lambda text: read(text, before)),
    ):
        times = []
        for said, _ in BENIGN:
            began = time.perf_counter()
            reads(f"{said} Well.")
            times.append(1000 * (time.perf_counter() - began))
        print(f"per message {name}  {statistics.median(times):.2f} ms (median of {len(times)})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--esconv", type=Path, action="append", default=[])
    parser.add_argument("--lines", type=Path, action="append", default=[])
    parser.add_argument("--denials", action="store_true")
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--without-corpus", action="store_true")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--opinions", type=Path)
    parser.add_argument("--second")
    parser.add_argument("--talks", action="store_true")
    parser.add_argument("--context", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--slips", type=float, default=0.0)
    parser.add_argument("--trial", type=Path, action="append", default=[])
    parser.add_argument("--rarer", type=float, default=0.0)
    parser.add_argument("--patient", action="store_true")
    given = parser.parse_args()
    if given.second and not given.opinions:
        parser.error("--second needs --opinions, the file of its findings")
    if given.trial and not given.talks:
        parser.error("--trial needs --talks")
    if given.patient and (given.opinions or given.lines):
        parser.error("--patient is for conversations without opinions: --talks, --trial, --esconv")
    read_by_turn = readers(GuardSettings(rarer=given.rarer))
    if given.alone:
        alone = _alone().read
        read_by_turn = Readers(partial(alone, rarer=given.rarer), alone)
    if given.denials:
        for file in sorted(DENIALS.glob("*.txt")):
            other_lines(file, given.show, read_by_turn.first)
    elif given.context or given.talks:
        whole_conversations(given, read_by_turn)
    else:
        single_lines(given, read_by_turn)


def _alone() -> CrisisClassifier:
    if encoder := os.environ.get(ENCODER):
        return read_classifier(LARGER, encoder=encoder)
    return read_classifier(SHIPPED)


def whole_conversations(given: argparse.Namespace, read_by_turn: Readers) -> None:
    """Measure on conversations."""
    found = read_talks(CONTEXT if given.context else TALKS)
    if given.context:
        found = [talk for talk in found if (talk.writer in HELD_OUT_TALKS) != given.others]
    if given.slips:
        found = with_slips(found, given.slips)
    if given.opinions:
        model = chat_model(given.second) if given.second else None
        return with_opinions(found, read_by_turn, given.opinions, model)
    talks(found, read_by_turn, patient=given.patient)
    for file in given.trial:
        said = [said for task, said in trial_conversations(file) if task == "esc"]
        conversations(file.name, said, given.show, read_by_turn, patient=given.patient)
    for file in given.esconv:
        seekers(file, given.show, read_by_turn, patient=given.patient)
    return None


def single_lines(given: argparse.Namespace, read_by_turn: Readers) -> None:
    """Measure on messages one by one."""
    read = cache(read_by_turn.first)  # many lines are in several groups
    if given.opinions:
        told = ask_second(given.second, given.opinions) if given.second else {}
        only = frozenset() if given.second else frozenset(told := opinions_of(given.opinions))
        writers(False, read, only)
        return second_reader(read, told, only)
    writers(False, read)
    if given.others:
        writers(True, read)
    if not given.without_corpus:
        corpus(read)
    speed(read)
    for file in given.esconv:
        seekers(file, given.show, read_by_turn, patient=given.patient)
    for file in given.lines:
        other_lines(file, given.show, read)
    return None


if __name__ == "__main__":
    main()
