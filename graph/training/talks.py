"""Reads conversations in which writers marked the messages that call for a question."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from langgraph_cooper.graph.training.lines import TARGETS
from langgraph_cooper.nodes.crisis.classifier import crisis_kinds
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import read_text

CRISIS = "crisis"


class Said(NamedTuple):
    """A message of a conversation."""

    mark: str
    """ "+" if it calls for a question about safety in the light of what came before, "-" if it
    does not, "?" where one may ask or not."""
    text: str


class Talk(NamedTuple):
    """What one person said in a conversation."""

    writer: str
    theme: str
    """ "crisis", or what a conversation without one is."""
    kind: str
    """The kind of crisis; "" if there is none."""
    said: list[Said]

    @property
    def texts(self) -> list[str]:
        """The messages."""
        return [each.text for each in self.said]


def read_talks(folder: Path, held_out: Collection[str] = ()) -> list[Talk]:
    """Read a folder's `.tsv` files, one per writer, without the writers that are held out.

    "# crisis KIND" or "# THEME" begins a conversation; a mark, a tab and a message follow.

    Args:
        folder: The files.
        held_out: Writers whose files are not opened: the part of the name before the first "_".

    Raises:
        DataError: A file cannot be read, a line is malformed, or there is no conversation.
    """
    files = sorted(folder.glob("*.tsv"))
    names = [(file, file.stem.split("_")[0]) for file in files]
    talks = [talk for file, name in names if name not in held_out for talk in _talks(file, name)]
    if not talks:
        raise DataError(f"{folder} has no conversations to learn from: name a folder of .tsv files")
    return talks


def read_harmless(file: Path) -> list[list[str]]:
    """Read conversations without a crisis: "# NAME" begins one, a message in each further line.

    Raises:
        DataError: The file cannot be read, or holds none.
    """
    found: list[list[str]] = []
    for number, row in enumerate(read_text(file).split("\n"), start=1):
        if row.startswith("#"):
            found.append([])
        elif row.strip() and not found:
            raise DataError(f'{file}, line {number}: begin a conversation with "# NAME"')
        elif row.strip():
            found[-1].append(row.strip())
    if not any(found):
        raise DataError(f'{file} holds no conversation: "# NAME" begins one')
    return [said for said in found if said]


def _talks(file: Path, writer: str) -> Iterator[Talk]:
    talk: Talk | None = None
    # Not splitlines(), which also splits within a text, at U+2028 and others.
    for number, row in enumerate(read_text(file).split("\n"), start=1):
        mark, tab, text = row.partition("\t")
        theme, _, kind = row[1:].strip().partition(" ")
        if row.startswith("#") and (kind in crisis_kinds() if theme == CRISIS else not kind):
            if talk:
                yield talk
            talk = Talk(writer, theme, kind, [])
        elif talk and tab and mark in TARGETS and text.strip():
            talk.said.append(Said(mark, text))
        elif row.strip():
            raise DataError(
                f'{file}, line {number}: begin a conversation with "# crisis KIND" (one of '
                f'{", ".join(crisis_kinds())}) or "# THEME", a word; '
                'then write a mark ("+", "-" or "?"), a tab and a message in each line'
            )
    if talk:
        yield talk
