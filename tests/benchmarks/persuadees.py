"""Counts how often the guard of `persuasion` asks people who talk about a donation.

`python -m tests.benchmarks.persuadees --data full_dialog.csv --first 151 --last 400` reads the
persuadees' messages of these conversations of Persuasion for Good with the task's setting.
`--rarer` reads with another one, and `--show` prints what was found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from langgraph_cooper.nodes.crisis.reading import readers
from langgraph_cooper.prompts import GuardSettings, load_task
from langgraph_cooper.ranker.data.reading import load_dialogues
from tests.benchmarks.crisis_talks import conversations

TASK = load_task("persuasion")


def main() -> None:
    """Count and print."""
    settings = TASK.guard or GuardSettings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--last", type=int, default=None)
    parser.add_argument("--rarer", type=float, action="append", default=[])
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    dialogues = [
        [said.text for said in dialogue.utterances if said.speaker == "user"]
        for dialogue in load_dialogues(given.data, TASK)[given.first - 1 : given.last]
    ]
    for rarer in given.rarer or [settings.rarer]:
        print(f"rarer = {rarer}")
        read = readers(settings.model_copy(update={"rarer": rarer}))
        conversations(given.data.name, dialogues, given.show, read)


if __name__ == "__main__":
    main()
