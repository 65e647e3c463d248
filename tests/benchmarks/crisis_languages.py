"""Counts what the safety guard finds in other languages.

Run it with `python -m tests.benchmarks.crisis_languages`. The lines are those of
tests/faults/crisis_languages by writers whose lines the phrases were not
written with; `--others` counts those that they were written with.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.crisis.foreign import FOLDER, read_language
from langgraph_cooper.nodes.crisis.reading import read_meaning
from tests.benchmarks.crisis_talks import share


class Row(NamedTuple):
    """A line of a writer."""

    label: str
    kind: str
    how: str
    text: str


LINES = Path(__file__).parents[1] / "faults" / "crisis_languages"
HELD_OUT = "held_out_"
GROUPS: dict[str, Callable[[Row], bool]] = {
    "crises in the usual words": lambda row: row.how == "plain",
    "clear, without them": lambda row: row.how == "worded",
    "hints": lambda row: row.how == "hint",
    "harmless, tempting": lambda row: row.how == "trap",
    "harmless, ordinary": lambda row: row.how == "ordinary",
}


def rows_of(code: str, *, others: bool = False) -> list[Row]:
    """Read one language's lines."""
    files = sorted(LINES.glob(f"*{code}.tsv"))
    chosen = [file for file in files if file.stem.startswith(HELD_OUT) != others]
    texts = [file.read_text(encoding="utf-8").splitlines() for file in chosen]
    return [Row(*line.split("\t")) for lines in texts for line in lines]


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--others", action="store_true")
    others = parser.parse_args().others
    found: list[tuple[Row, Finding]] = []
    for file in sorted(FOLDER.glob("*.toml")):
        rows = rows_of(file.stem, others=others)
        some = [(row, read_meaning(row.text)) for row in rows]
        _table(read_language(file.read_text(encoding="utf-8")).language, some)
        found += some
    _table("all", found)


def _table(name: str, found: list[tuple[Row, Finding]]) -> None:
    print(name)
    for group, chosen in GROUPS.items():
        tiers = [finding.tier for row, finding in found if chosen(row)]
        certain, told = tiers.count("certain"), len(tiers) - tiers.count("none")
        print(
            f"  {group:26s} {len(tiers):4d}   certain {share(certain, len(tiers))}   "
            f"certain or concern {share(told, len(tiers))}"
        )


if __name__ == "__main__":
    main()
