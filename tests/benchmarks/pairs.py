"""Lets readers compare two systems' replies to the same contexts, blind.

python -m tests.benchmarks.pairs contexts --task esc --lines tests/trial/held_out.txt
    --data valid.txt --most 60 --output contexts.jsonl
python -m tests.benchmarks.pairs say --task esc --contexts contexts.jsonl --system bank
    --output bank.jsonl
python -m tests.benchmarks.pairs sheet --contexts contexts.jsonl --systems bank.jsonl other.jsonl
    --output sheet.txt
python -m tests.benchmarks.pairs count --sheet sheet.txt --labels one.txt two.txt three.txt

`contexts` draws so many turns from the strangers' lines, held with the bank, and as many from the
data (`--one-each`: one of a conversation). `sheet` shows both replies of each context in random
order, equal ones left out; beside it lies a key. A reader writes "NUMBER A", "NUMBER B" or
"NUMBER T" (a tie). `count` prints wins, by the majority of the readers, with an exact sign test
over conversations: contexts of one are not independent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from langgraph_cooper.graph.evaluation.judging.significance import sign_test, signs_by_unit
from langgraph_cooper.graph.evaluation.speakers import speakers
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.data.reading import read_dialogues
from tests.benchmarks.replies import conversations

OPENING = 2  # utterances of a data set's dialogue that no context ends in
SHOWN = 6  # utterances that a reader sees


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a file of JSON lines."""
    shown = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    file.write_text("".join(shown), encoding="utf-8")


async def contexts(given: argparse.Namespace) -> None:
    """Draw contexts from strangers' lines and from a data set."""
    task, rng = load_task(given.task), random.Random(given.seed)
    bank = speakers(task, ["bank"], None, CooperContext())["bank"]
    trial: list[dict[str, Any]] = []
    files = [(file, *each) for file in given.lines or [] for each in enumerate(conversations(file))]
    for file, number, (name, said) in files:
        if name != given.task:
            continue
        talk, history = bank.talk(), list[Utterance]()
        for text in said:
            history.append(Utterance("user", text))
            trial.append(context("strangers", f"{file.stem} {number}", history))
            history.append(Utterance("system", (await talk(history)).text))
    data: list[dict[str, Any]] = []
    for dialogue in read_dialogues(given.data, task).dialogues if given.data else ():
        for index in dialogue.system_turns:
            history = dialogue.history(index)
            if index >= OPENING and history[-1].speaker == "user":
                data.append(context("data", dialogue.id, history))
    if given.one_each:
        trial, data = one_each(trial, rng), one_each(data, rng)
    drawn = [rng.sample(each, min(given.most, len(each))) for each in (trial, data)]
    write(given.output, [row | {"task": given.task} for part in drawn for row in part])


def one_each(rows: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """Draw a context of each conversation."""
    by_conversation: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_conversation.setdefault(row["conversation"], []).append(row)
    return [rng.choice(some) for some in by_conversation.values()]


def context(source: str, conversation: str, history: list[Utterance]) -> dict[str, Any]:
    """Return a context as it is written."""
    told = {"from": source, "conversation": conversation}
    return told | {"history": [list(each) for each in history]}


async def say(given: argparse.Namespace) -> None:
    """Let a system reply in each context; a file that is there is gone on with."""
    task = load_task(given.task)
    speaker = speakers(task, [given.system], None, CooperContext(), given.generator)[given.system]
    done = rows_of(given.output) if given.output.exists() else []
    if any(row["by"] != speaker.identity for row in done):
        raise SystemExit(f"{given.output} holds another system's replies")
    contexts = rows_of(given.contexts)
    same_contexts(contexts, done)
    with given.output.open("a", encoding="utf-8") as file:
        for row in contexts[len(done) :]:
            reply = await speaker.talk()([Utterance(*each) for each in row["history"]])
            told = {"to": row["history"][-1:], "by": speaker.identity, "reply": reply.text}
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
            file.flush()


def same_contexts(contexts: list[dict[str, Any]], replies: list[dict[str, Any]]) -> None:
    """Stop unless the replies are to these contexts."""
    for row, reply in zip(contexts, replies, strict=False):
        if row["history"][-1:] != reply["to"]:
            raise SystemExit("the replies are to other contexts")


def sheet(given: argparse.Namespace) -> None:
    """Write the pairs in a random order, and a key beside them."""
    rng, key, entries = random.Random(given.seed), [], []
    names = [file.stem for file in given.systems]
    if names[0] == names[1]:
        raise SystemExit(f"both systems are called {names[0]}: rename a file")
    found = [rows_of(file) for file in given.systems]
    for replies in found:
        same_contexts(rows_of(given.contexts), replies)
    said = [[row["reply"] for row in replies] for replies in found]
    for row, replies in zip(rows_of(given.contexts), zip(*said, strict=True), strict=True):
        sides = [0, 1]
        rng.shuffle(sides)
        entry = {"names": [names[side] for side in sides], "from": row["from"]}
        entry |= {"task": row["task"], "equal": replies[0] == replies[1]}
        entry |= {"conversation": row.get("conversation")}
        entries.append((entry, row["history"], [replies[side] for side in sides]))
    rng.shuffle(entries)
    with given.output.open("w", encoding="utf-8") as file:
        for entry, history, replies in entries:
            key.append(entry)
            if entry["equal"]:
                continue
            before = "".join(f"   {who[0].upper()}: {text}\n" for who, text in history[-SHOWN:])
            before = before.replace("   U: ", "   P: ")
            file.write(f"[{len(key) - 1}] ({entry['task']})\n{before}")
            file.write(f"  =A: {replies[0]}\n  =B: {replies[1]}\n\n")
    given.output.with_suffix(".key.json").write_text(json.dumps(key), encoding="utf-8")


def count(given: argparse.Namespace) -> None:
    """Print wins by the majority of the readers."""
    key = json.loads(given.sheet.with_suffix(".key.json").read_text(encoding="utf-8"))
    if any(entry.get("conversation") is None for entry in key):
        raise SystemExit("the key names no conversations: draw the contexts again")
    judged = [
        dict(line.split()[:2] for line in file.read_text().splitlines() if line.strip())
        for file in given.labels
    ]
    read = {str(number) for number, entry in enumerate(key) if not entry["equal"]}
    for file, labels in zip(given.labels, judged, strict=True):
        if {number for number, label in labels.items() if label in ("A", "B", "T")} != read:
            raise SystemExit(f"{file} does not judge all pairs with A, B or T, or judges others")
    names = sorted(key[0]["names"])
    groups: dict[str, Counter[str]] = {}
    signs: dict[str, list[tuple[str, int]]] = {}
    for number, entry in enumerate(key):
        votes = Counter(labels.get(str(number), "T") for labels in judged)
        (best, most), *_ = votes.most_common()
        side = best if most > len(judged) / 2 and best in "AB" and not entry["equal"] else "T"
        won = (
            "equal"
            if entry["equal"]
            else "tie"
            if side == "T"
            else entry["names"]["AB".index(side)]
        )
        unit = f"{entry['task']}, {entry['from']}, {entry['conversation']}"
        for group in ("all", entry["task"], f"{entry['task']}, {entry['from']}"):
            groups.setdefault(group, Counter())[won] += 1
            sign = (won == names[0]) - (won == names[1])
            signs.setdefault(group, []).append((unit, sign))
    for group, won in groups.items():
        one, other = (won[name] for name in names)
        test = sign_test(*signs_by_unit(signs[group]))
        rest = f"ties {won['tie']}, equal {won['equal']}"
        print(
            f"{group:28s} {names[0]} {one}, {names[1]} {other}, {rest}; by conversation "
            f"{test.wins} to {test.losses}: sign test p = {test.p:.2g}"
        )
    both = [
        (labels[str(n)], others[str(n)])
        for place, labels in enumerate(judged)
        for others in judged[place + 1 :]
        for n in range(len(key))
        if str(n) in labels and str(n) in others
    ]
    if both:
        print(f"two readers agree in {sum(a == b for a, b in both) / len(both):.2f}")


def main() -> None:
    """Run one of the four steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["contexts", "say", "sheet", "count"])
    parser.add_argument("--task", default="esc")
    parser.add_argument("--lines", type=Path, nargs="+")
    parser.add_argument("--one-each", action="store_true", help="one context of a conversation")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--most", type=int, default=60)
    parser.add_argument("--contexts", type=Path)
    parser.add_argument("--system", default="bank")
    parser.add_argument("--generator", type=Path, help="of `say`: the fine-tuned one's folder")
    parser.add_argument("--systems", type=Path, nargs=2)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--labels", type=Path, nargs="+")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.step == "contexts":
        asyncio.run(contexts(given))
    elif given.step == "say":
        asyncio.run(say(given))
    elif given.step == "sheet":
        sheet(given)
    else:
        count(given)


if __name__ == "__main__":
    main()
