"""Puts the replies that readers graded together again, to train `cooper train answers` on.

python -m tests.benchmarks.graded --esconv train.txt --p4g 300_dialog.xlsx --output graded.jsonl

`tests/trial/graded.tsv` holds the grades, but quotes no data set: a row names a message by the
digest of its text and replies by theirs. The messages are read from the data sets and the files
beside it, the replies from the tasks. What is not found there is left out and counted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.reading import read_dialogues
from tests.benchmarks.replies import conversations

TRIAL = Path(__file__).parents[1] / "trial"
GRADES = TRIAL / "graded.tsv"
FIELDS = ("source", "task", "dialogue", "message", "grades", "replies")


def read_grades() -> Iterator[dict[str, str]]:
    """Yield the rows of the file of grades."""
    for line in GRADES.read_text(encoding="utf-8").splitlines():
        yield dict(zip(FIELDS, line.split("\t"), strict=True))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def real_messages(task: TaskSpec, file: Path) -> Iterator[tuple[str, str]]:
    """Yield each message of a data set's users with its conversation's id."""
    for dialogue in read_dialogues(file, task).dialogues:
        for said in dialogue.utterances:
            if said.speaker == "user":
                yield dialogue.id, said.text


def trial_messages(source: str) -> Iterator[tuple[str, str]]:
    """Yield each message of a trial file with its conversation's number."""
    for number, (_, said) in enumerate(conversations(TRIAL / f"{source}.txt")):
        for text in said:
            yield f"{source}{number}", text


def sentences(task: TaskSpec) -> Iterator[str]:
    """Yield all that a task's bank can say."""
    for answer in task.answers:
        yield from answer.say
    for topics in [aspect.topics for aspect in task.aspects] + [k.topics for k in task.passive]:
        for topic in topics:
            yield from topic.say


def rows(esconv: Path, p4g: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the graded messages, None for one that is not found."""
    tasks = {name: load_task(name) for name in ("esc", "persuasion")}
    say = {name: {digest(s): s for s in sentences(task)} for name, task in tasks.items()}
    found = {"esconv": dict(_keyed(real_messages(tasks["esc"], esconv))),
             "p4g": dict(_keyed(real_messages(tasks["persuasion"], p4g)))}  # fmt: skip
    for given in read_grades():
        source, task = given["source"], given["task"]
        if source not in found:
            found[source] = dict(_keyed(trial_messages(source)))
        said = found[source].get((given["dialogue"], given["message"]))
        graded = [
            (say[task][reply], grade)
            for reply, grade in zip(given["replies"].split(), given["grades"], strict=True)
            if reply in say[task]
        ]
        if said is None or not graded:
            yield None
            continue
        replies, grades = zip(*graded, strict=True)
        yield {"task": task, "source": source, "dialogue": given["dialogue"], "said": said,
               "replies": replies, "grades": "".join(grades)}  # fmt: skip


def _keyed(messages: Iterator[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], str]]:
    for dialogue, said in messages:
        yield (dialogue, digest(said)), said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--esconv", type=Path, required=True)
    parser.add_argument("--p4g", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    found = list(rows(given.esconv, given.p4g))
    kept = [row for row in found if row]
    with given.output.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    replies = sum(len(row["grades"]) for row in kept)
    print(f"{len(kept):,} of {len(found):,} messages with {replies:,} grades: {given.output}")


if __name__ == "__main__":
    main()
