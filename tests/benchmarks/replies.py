"""Lets readers judge offline replies, without knowing which program gave them.

python -m tests.benchmarks.replies say --lines tests/trial/held_out.txt --output new.jsonl
python -m tests.benchmarks.replies sheet --systems old.jsonl new.jsonl --output sheet.txt
python -m tests.benchmarks.replies count --sheet sheet.txt --labels labels.txt

`say` holds the conversations of a file of lines: "# task" begins one, each further line is a
message. `sheet` mixes the replies of several programs; beside it lies a key. A reader writes
"NUMBER 1" for a reply that a sensible, kind person would accept, else "NUMBER 0". `count` prints
the shares, with 95 % intervals and sign tests over conversations: messages of one are not
independent.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.graph.evaluation.judging.significance import (
    ratio_interval,
    sign_test,
    signs_by_unit,
)

CONTEXT = 4  # utterances before a message that a reader sees
HELP = "findahelpline.com"  # what the guard says names it


def conversations(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the task and the messages of each conversation."""
    task, said = "", list[str]()
    for line in [*file.read_text(encoding="utf-8").splitlines(), "# end"]:
        if line.startswith("#"):
            if said:
                yield task, said
            task, said = line[1:].strip(), []
        elif line.strip():
            said.append(line.strip())


def say(lines: Path, output: Path, generator: str | None) -> None:
    """Hold the conversations offline and write a row for each message."""
    graphs: dict[str, Any] = {}
    with output.open("w", encoding="utf-8") as file:
        for number, (task, said) in enumerate(conversations(lines)):
            if task not in graphs:
                graph = create_cooper(task, generator=generator)
                graphs[task] = graph.compile(checkpointer=InMemorySaver())
            config = {"configurable": {"thread_id": str(number)}}
            for text in said:
                state = graphs[task].invoke({"messages": [HumanMessage(text)]}, config)
                best = (state["ranking"] or [{}])[0]
                row = {
                    "conversation": number,
                    "task": task,
                    "said": text,
                    "reply": state["messages"][-1].text,
                    "aspect": best.get("aspect"),
                    "due": best.get("due", False),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Read the rows of `say`, with the utterances before each."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    before: list[str] = []
    for last, row in zip([None, *rows], rows, strict=False):
        if last is None or last["conversation"] != row["conversation"]:
            before = []
        row["before"] = before[-CONTEXT:]
        before = [*before, f"P: {row['said']}", f"S: {row['reply']}"]
    return rows


def sheet(systems: list[Path], output: Path, seed: int) -> None:
    """Write the replies of all programs in a random order, and a key beside them."""
    entries = [
        (system.stem, place, row) for system in systems for place, row in enumerate(rows_of(system))
    ]
    random.Random(seed).shuffle(entries)
    key = [
        {
            "system": name,
            "line": place,
            "conversation": row["conversation"],
            "task": row["task"],
            "guard": HELP in row["reply"],
        }
        for name, place, row in entries
    ]
    output.with_suffix(".key.json").write_text(json.dumps(key), encoding="utf-8")
    with output.open("w", encoding="utf-8") as file:
        for number, (_, _, row) in enumerate(entries):
            before = "".join(f"   {text}\n" for text in row["before"])
            file.write(f"[{number}] ({row['task']})\n{before}  >P: {row['said']}\n")
            file.write(f"  =R: {row['reply']}\n\n")


def interval_by_unit(results: Sequence[tuple[str, bool]]) -> tuple[float, float]:
    """Return the 95 % interval of a share, taking the results of a unit together.

    It is that of `ratio_interval`. Where all results are the same their spread says nothing: then
    it is exact, over units.

    Args:
        results: Pairs of a unit and whether it holds there; at least one.

    Returns:
        The ends; all from 0 to 1 for a single unit.
    """
    _, place = np.unique([unit for unit, _ in results], return_inverse=True)
    sizes = np.bincount(place).astype(np.float64)
    held = np.bincount(place, weights=[value for _, value in results]).astype(np.float64)
    units, found = len(sizes), ratio_interval(held, sizes)
    if found is not None and held.sum() in (0, sizes.sum()):
        wins = units if held.any() else 0
        found = sign_test(wins, units - wins).interval
    return (max(0.0, found[0]), min(1.0, found[1])) if found else (0.0, 1.0)


def count(file: Path, labels: Path) -> None:
    """Print each program's share of accepted replies, and the sign test of each pair."""
    key = json.loads(file.with_suffix(".key.json").read_text(encoding="utf-8"))
    if any("conversation" not in entry for entry in key):
        raise SystemExit("the key names no conversations: make the sheet again (the same one)")
    judged = dict(line.split()[:2] for line in labels.read_text().splitlines() if line.strip())
    missing = [number for number in range(len(key)) if str(number) not in judged]
    print(f"{len(key) - len(missing)} of {len(key)} entries are judged")
    systems = sorted({entry["system"] for entry in key})
    unit = {entry["line"]: str(entry["conversation"]) for entry in key}
    accepted: dict[str, dict[int, bool]] = {name: {} for name in systems}
    for task in ["all", *sorted({entry["task"] for entry in key})]:
        for name in systems:
            found = [
                (entry, judged[str(number)] == "1")
                for number, entry in enumerate(key)
                if entry["system"] == name and task in ("all", entry["task"])
                if str(number) in judged
            ]
            good, guard = sum(ok for _, ok in found), sum(entry["guard"] for entry, _ in found)
            low, high = interval_by_unit([(unit[entry["line"]], ok) for entry, ok in found])
            print(
                f"{task:28s} {name:12s} {good:4d} of {len(found):4d}  {good / len(found):.3f} "
                f"[{low:.3f}, {high:.3f}]   asked about safety: {guard}"
            )
            if task == "all":
                accepted[name] = {entry["line"]: ok for entry, ok in found}
    for one, other in itertools.combinations(systems, 2):
        both = accepted[one].keys() & accepted[other].keys()
        signs = [(unit[line], accepted[one][line] - accepted[other][line]) for line in both]
        wins, losses = (sum(sign == side for _, sign in signs) for side in (1, -1))
        test = sign_test(*signs_by_unit(signs))
        print(
            f"only {one} {wins}, only {other} {losses}; by conversation {test.wins} to "
            f"{test.losses}: exact sign test p = {test.p:.2g}"
        )


def main() -> None:
    """Run one of the three steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["say", "sheet", "count"])
    parser.add_argument("--lines", type=Path)
    parser.add_argument("--systems", type=Path, nargs="+")
    parser.add_argument("--generator", help="of `say`: as in create_cooper")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.step == "say":
        say(given.lines, given.output, given.generator)
    elif given.step == "sheet":
        sheet(given.systems, given.output, given.seed)
    else:
        count(given.sheet, given.labels)


if __name__ == "__main__":
    main()
